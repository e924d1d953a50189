// Package nfkit is what the packages below netfilter, and ipvs, share: the types and symbols
// of kernel code that may be a module, what modules keep for each network namespace, and the
// kernel's time in jiffies.
package nfkit

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/linux/internal/jiffies"
	"github.com/nodelens/nodelens/linux/module"
	"github.com/nodelens/nodelens/vmem"
	"github.com/nodelens/nodelens/vmem/x86"
)

// A Source gives types and symbols of kernel code, wherever it was built to. It is immutable
// and safe for concurrent use.
type Source struct {
	K    *linux.Kernel
	Mods *module.Set
}

// Jiffies returns the kernel's time in ticks.
func (s *Source) Jiffies() (jiffies.Time, error) { return jiffies.Read(s.K) }

// Mem returns the kernel's memory.
func (s *Source) Mem() *vmem.AddressSpace { return s.K.Space() }

// Types returns the types of the first of the modules whose types describe a structure; those
// of the kernel, and why, where none does. That a binding fails then says what is missing.
func (s *Source) Types(structure string, modules ...string) (*isf.File, error) {
	var first error
	for _, name := range modules {
		types, err := s.Mods.Types(name)
		if _, missing := types.UserType(structure); missing == nil {
			return types, nil
		}
		first = cmp.Or(first, err)
	}
	own := s.K.Symbols()
	if _, err := own.UserType(structure); err != nil {
		return own, cmp.Or(first, fmt.Errorf("%w: %w", kstruct.ErrUnsupported, err))
	}
	return own, nil
}

// Bind binds a view of a structure that one of modules has. The error wraps
// [kstruct.ErrUnsupported] and says why the types of the module are not there, if so.
func Bind[T any](s *Source, structure string, modules ...string) (*kstruct.View[T], error) {
	types, lost := s.Types(structure, modules...)
	b := kstruct.NewBinder(types)
	v := kstruct.Bind[T](b, structure)
	if err := b.Err(); err != nil {
		return v, cmp.Or(lost, err)
	}
	return v, nil
}

// Symbol returns the address of a symbol of a module, or of the kernel where it is built in.
func (s *Source) Symbol(mod, name string) (vmem.VirtAddr, error) {
	return s.Mods.Symbol(mod, name)
}

// Walk returns a walk over containers in the kernel's memory, with the types of a module.
func (s *Source) Walk(ctx context.Context, object string, nodes int, mod string) *kstruct.Walk {
	space, err := s.Mods.Space(mod)
	if err != nil || space == nil {
		space = s.K.Objects()
	}
	return space.Walk(ctx, &kstruct.WalkOptions{Object: object, Nodes: nodes, Gaps: s.K.Limits().Gaps})
}

// Plausible reports whether a can be the address of a kernel object.
func Plausible(a vmem.VirtAddr) bool { return x86.IsObject(a) }

// Gap makes a Gap of err, at an address of the kernel unless err says where.
func Gap(object string, addr vmem.VirtAddr, err error) vmem.Gap {
	return vmem.NewGap(object, vmem.KernelPlace(addr), err)
}

// Corrupt returns an error that wraps [kstruct.ErrCorrupt].
func Corrupt(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{kstruct.ErrCorrupt}, args...)...)
}

// Pointer describes a pointer that can't be one.
func Pointer(what string, a vmem.VirtAddr) error { return Corrupt("%s pointer %v", what, a) }

// Text returns the text before the first NUL of b.
func Text(b []byte) string {
	if i := slices.Index(b, 0); i >= 0 {
		b = b[:i]
	}
	return string(b)
}

// Printable reports whether s is a name: text without control characters.
func Printable(s string) bool {
	return s != "" && utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f })
}

// CString returns the text at a pointer of the kernel's, up to limit bytes.
func (s *Source) CString(what string, a vmem.VirtAddr, limit int) (string, error) {
	if a < 1<<63 {
		return "", Pointer(what, a)
	}
	return s.Mem().CString(a, limit)
}

// Bytes reads n bytes at a. It is for sizes that were checked.
func (s *Source) Bytes(a vmem.VirtAddr, n int) ([]byte, error) {
	b := make([]byte, n)
	_, err := s.Mem().ReadVirt(b, a)
	return b, err
}
