package bpf

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
	"github.com/nodelens/nodelens/vmem/x86"
)

// plausible reports whether a can be the address of a kernel object.
func plausible(a vmem.VirtAddr) bool { return x86.IsObject(a) }

// corrupt describes what contradicts itself.
func corrupt(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{kstruct.ErrCorrupt}, args...)...)
}

// unsupported describes what the kernel's types or symbols lack.
func unsupported(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{kstruct.ErrUnsupported}, args...)...)
}

// cause returns err, and where it says no more than that something was not bound, what the
// types lack.
func cause(err, lacks error) error {
	if err != nil && lacks != nil && errors.Is(err, kstruct.ErrUnsupported) {
		return lacks
	}
	return err
}

// cString returns b up to its first NUL.
func cString(b []byte) string {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		b = b[:i]
	}
	return string(b)
}

// maxGaps is how many losses are told one by one.
const maxGaps = 1000

// lose notes a loss.
func (s *Set) lose(object string, at vmem.VirtAddr, err error) {
	if err == nil || s.ctx.Err() != nil && errors.Is(err, s.ctx.Err()) {
		return
	}
	g := vmem.NewGap(object, vmem.KernelPlace(at), err)
	switch {
	case len(s.gaps) < maxGaps:
		s.gaps = append(s.gaps, g)
	case s.more == 0:
		s.moreAt = g
		fallthrough
	default:
		s.more++
	}
}

// endGaps says how many losses were not told.
func (s *Set) endGaps() {
	if s.more > 0 {
		s.gaps = append(s.gaps, vmem.Gap{Object: s.moreAt.Object, Place: s.moreAt.Place, Err: fmt.Errorf("%w: and %d more losses", kstruct.ErrTooMany, s.more)})
	}
}
