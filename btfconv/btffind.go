package btfconv

import (
	"bytes"
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/vmem"
)

const (
	btfReach    = 64 << 20 // how far after kallsyms the BTF may be
	minBTFTypes = 10000    // the kernel's own has more; that of a program inside the kernel has fewer
)

// decodeTypes finds the kernel's own BTF, in the read-only data of the kernel's
// image, after kallsyms, and converts it: within is where that is. Module BTF is in memory of its own, and
// the embedded BTF of BPF programs is small.
func (s *search) decodeTypes(ctx context.Context, within vmem.Range[vmem.PhysAddr]) error {
	var wrong error
	for pa := range scanFor(ctx, s.mem, within, []byte{0x9f, 0xeb, btfVersion, 0}) {
		h, ok := isKernelBTF(s.mem, pa)
		if !ok {
			continue
		}
		t, err := readBTF(s.mem, pa, &h)
		if err != nil {
			wrong = cmp.Or(wrong, err)
			continue
		}
		return s.useTypes(t, pa, "its magic number")
	}
	if err := cmp.Or(wrong, ctx.Err()); err != nil {
		return err
	}
	t, pa, err := s.findShape(ctx, within)
	if err != nil {
		return err
	}
	return s.useTypes(t, pa, "the shape of its records")
}

// useTypes converts BTF that was found at an address.
func (s *search) useTypes(t *btfTypes, pa vmem.PhysAddr, by string) error {
	s.types, s.vars = convertTypes(t)
	s.btf, s.layouts = t, newLayouts(t)
	s.report.BTF = Table{Addr: pa, Size: uint64(len(t.data) + len(t.strs)), Count: len(t.offsets), FoundBy: by}
	s.buildID()
	inMemory(s.types.Lost, pa)
	return s.checkTypes()
}

// inMemory gives losses their places in memory, of BTF that is at an address.
func inMemory(lost []error, pa vmem.PhysAddr) {
	for i := range lost {
		if gap, ok := errors.AsType[vmem.Gap](lost[i]); ok && gap.Place.Kind == vmem.InImage {
			gap.Place = vmem.Place{Kind: vmem.InPhysical, Addr: uint64(pa) + uint64(gap.Place.Offset)}
			lost[i] = gap
		}
	}
}

// isKernelBTF reports whether what is at a place that has the magic number can be
// the kernel's types: a header, with sizes that are large enough.
func isKernelBTF(mem vmem.Memory, pa vmem.PhysAddr) (btfHeader, bool) {
	h, err := parseBTFHeader(readUpTo(mem, pa, btfHeaderSize+8))
	return h, err == nil && h.typeLen >= minBTFTypes*btfRecordSize
}

// readBTF reads the kernel's BTF. Pages that were not captured are damage.
func readBTF(mem vmem.Memory, pa vmem.PhysAddr, h *btfHeader) (*btfTypes, error) {
	b, holes := readHoles(mem, pa, int(h.total()))
	fillHoles(b, holes)
	t, err := parseBTF(b, nil, btfPlace{phase: int(pa % vmem.PageSize), holes: holes})
	if err != nil {
		return nil, fmt.Errorf("at %v: %w", pa, err)
	}
	return t, nil
}

// fillHoles makes what was not captured nothing that is in BTF.
func fillHoles(b []byte, holes []span) {
	for _, hole := range holes {
		for i := hole.start; i < hole.end; i++ {
			b[i] = 0xff
		}
	}
}

// buildID finds the build id of vmlinux in the notes, which are right before the
// BTF. (That of VMCOREINFO is wrong in some stable kernels of 2024.)
func (s *search) buildID() {
	const header, size = "\x04\x00\x00\x00\x14\x00\x00\x00\x03\x00\x00\x00GNU\x00", 20
	const reach = 16 << 10
	b := readUpTo(s.mem, s.report.BTF.Addr-reach, reach)
	if i := bytes.LastIndex(b, []byte(header)); i >= 0 && i+len(header)+size <= len(b) {
		s.report.BuildID = hex.EncodeToString(b[i+len(header):][:size])
	}
}

// checkTypes checks that the types are those of this kernel: that there is a
// task_struct, and that structs have the sizes that VMCOREINFO says. Of damaged BTF, what
// is not so is lost.
func (s *search) checkTypes() error {
	var err error
	if size, ok := s.layouts.size("task_struct"); !ok || size < 1024 {
		err = fmt.Errorf("BTF at %v: no struct task_struct: %w", s.report.BTF.Addr, ErrDamaged)
	}
	if s.notes == nil || err != nil && !s.btf.recovered {
		return err
	}
	for _, typ := range []string{"page", "pglist_data", "zone", "free_area", "list_head", "mem_section", "printk_info"} {
		want, err := s.notes.Size(typ)
		got, ok := s.layouts.size(typ)
		if err != nil || !ok || got == want {
			continue
		}
		if !s.btf.recovered {
			return fmt.Errorf("struct %s has %d bytes in BTF, %d in VMCOREINFO: %w", typ, got, want, ErrDamaged)
		}
		s.layouts.drop(typ)
		s.types.Types = slices.DeleteFunc(s.types.Types, func(u isf.UserType) bool { return u.Name == typ })
	}
	return err
}

// scanChunk is how much a scan reads at once: small enough for a processor's cache.
const scanChunk = 1 << 20

// scanFor yields where a short string is, within a part of memory.
func scanFor(ctx context.Context, mem vmem.Memory, within vmem.Range[vmem.PhysAddr], needle []byte) func(func(vmem.PhysAddr) bool) {
	return func(yield func(vmem.PhysAddr) bool) {
		buf := make([]byte, scanChunk+len(needle)-1)
		for _, r := range mem.Ranges() {
			r = r.Intersect(within)
			for off := uint64(0); off < r.Size; off += scanChunk {
				if ctx.Err() != nil {
					return
				}
				b := buf[:min(uint64(len(buf)), r.Size-off)]
				n, _ := mem.ReadAt(b, int64(r.Start)+int64(off))
				for i := 0; ; i++ {
					k := bytes.Index(b[i:n], needle)
					if k < 0 {
						break
					}
					i += k
					if !yield(r.Start + vmem.PhysAddr(off) + vmem.PhysAddr(i)) {
						return
					}
				}
			}
		}
	}
}
