package btfconv

import (
	"encoding/binary"

	"github.com/nodelens/nodelens/vmem"
	"github.com/nodelens/nodelens/vmem/x86"
)

// Modules are mapped from MODULES_VADDR on: after the kernel's image
// (arch/x86/include/asm/pgtable_64_types.h), in pages from anywhere.
const (
	modulesStart = startKernelMap + 512<<20
	modulesEnd   = 0xffffffffff000000
)

// fromModules finds the list of modules: the only list whose head is in the image
// and whose first and last members are inside of a struct module each. There is
// none without modules.
func (f *finder) fromModules() {
	list, ok := f.layouts.offset("module", "list")
	self, ok2 := f.layouts.offset("module", "mkobj.mod")
	if !ok || !ok2 || f.has("modules") {
		return
	}
	space := f.space()
	if space == nil {
		return
	}
	isModule := func(member, link, head uint64) bool {
		m, err := space.Uint64(vmem.VirtAddr(member - list + self))
		back, err2 := space.Uint64(vmem.VirtAddr(member + link))
		return err == nil && err2 == nil && m == member-list && back == head
	}
	for at, b := range f.image.chunks(f.dataStart(), f.end, 8) {
		for i := 0; i+16 <= len(b); i += 8 {
			next, prev := binary.LittleEndian.Uint64(b[i:]), binary.LittleEndian.Uint64(b[i+8:])
			if !inModules(next) || !inModules(prev) {
				continue
			}
			if head := at + uint64(i); isModule(next, 8, head) && isModule(prev, 0, head) {
				f.found("modules", head, "a list of struct module")
				return
			}
		}
	}
}

func inModules(va uint64) bool { return va >= modulesStart && va < modulesEnd && va%8 == 0 }

// space returns the kernel's address space, nil where its page table isn't known.
func (f *finder) space() *vmem.AddressSpace {
	top, ok := f.find("init_top_pgt")
	if !ok {
		return nil
	}
	return f.spaceOf(top)
}

// spaceOf returns the address space of a page table in the kernel's image, nil where that does not
// map the image to where it is.
func (s *search) spaceOf(top uint64) *vmem.AddressSpace {
	root, ok := s.image.physical(top)
	if !ok {
		return nil
	}
	phys := vmem.NewPhysical(s.mem)
	for _, levels := range []int{4, 5} {
		as, err := x86.NewAddressSpace(phys, root, &x86.Options{Levels: levels, EncryptionMask: s.encryptionMask()})
		if err != nil {
			continue
		}
		if m, err := as.Translate(vmem.VirtAddr(s.image.text)); err == nil && m.At(vmem.VirtAddr(s.image.text)) == s.image.phys {
			return as
		}
	}
	return nil
}

func (s *search) encryptionMask() uint64 {
	if s.notes == nil {
		return 0
	}
	n, err := s.notes.Number("sme_mask")
	if err != nil {
		return 0
	}
	return uint64(n)
}
