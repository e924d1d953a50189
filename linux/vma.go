package linux

import (
	"fmt"
	"iter"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// VMAFlags are the VM_ flags of include/linux/mm.h.
type VMAFlags uint64

// The VMA flags that /proc/PID/maps shows.
const (
	VMRead   VMAFlags = 0x1
	VMWrite  VMAFlags = 0x2
	VMExec   VMAFlags = 0x4
	VMShared VMAFlags = 0x80 // VM_MAYSHARE, as in maps
)

// String returns the flags in the form of /proc/PID/maps, such as r-xp.
func (f VMAFlags) String() string {
	b := []byte("---p")
	for i, bit := range [...]VMAFlags{VMRead, VMWrite, VMExec} {
		if f&bit != 0 {
			b[i] = "rwx"[i]
		}
	}
	if f&VMShared != 0 {
		b[3] = 's'
	}
	return string(b)
}

type vmaLayout struct {
	start, end, flags, pgoff, file, mm, next field
	ops, private, anonName                   field
	opsName, specialName, anonNameText       field // vm_operations_struct, vm_special_mapping, anon_vma_name
}

func newVMALayout(r resolver) vmaLayout {
	return vmaLayout{
		start: r.need("vm_area_struct", "vm_start"),
		end:   r.need("vm_area_struct", "vm_end"),
		flags: r.need("vm_area_struct", "vm_flags"),
		pgoff: r.need("vm_area_struct", "vm_pgoff"),
		file:  r.need("vm_area_struct", "vm_file"),
		mm:    r.need("vm_area_struct", "vm_mm"),
		next:  r.opt("vm_area_struct", "vm_next"), // until 6.0

		ops:          r.opt("vm_area_struct", "vm_ops"),
		private:      r.opt("vm_area_struct", "vm_private_data"),
		anonName:     r.opt("vm_area_struct", "anon_name"), // since 5.17 (9a10064f5625)
		opsName:      r.opt("vm_operations_struct", "name"),
		specialName:  r.opt("vm_special_mapping", "name"),
		anonNameText: r.opt("anon_vma_name", "name"),
	}
}

// A VMA is a mapping of a process (vm_area_struct; linux.proc.Maps of Volatility).
type VMA struct {
	Range  vmem.Range[vmem.VirtAddr]
	Flags  VMAFlags
	Offset uint64        // in the file, in bytes; 0 without a file
	Path   string        // of the file, or a name in brackets such as [heap], as in /proc/PID/maps; may be empty
	Addr   vmem.VirtAddr // of the vm_area_struct
}

// VMAs yields the mappings by ascending address, from the maple tree that the kernel
// has kept them in since 6.1 or from the list before. Errors are [vmem.Gap] and do not end
// the walk; a count that differs from mm_struct.map_count is one, at the end.
func (m *MM) VMAs() iter.Seq2[VMA, error] {
	return func(yield func(VMA, error) bool) {
		m.k.phys.Refresh()
		n, stopped := 0, false
		each := func(addr vmem.VirtAddr, err error) bool {
			var v VMA
			if err == nil {
				v, err = m.vma(addr)
				n++
			}
			if err != nil {
				err = newGap("mappings of "+m.name, addr, err)
			}
			stopped = !yield(v, err)
			return !stopped
		}
		if tree := m.k.layout.mm.tree; tree.ok() {
			m.k.mapleTree(m.Addr+vmem.VirtAddr(tree), each)
		} else {
			m.vmaList(each)
		}
		r := m.k.reader()
		want := int(r.i32(m.Addr, m.k.layout.mm.mapCount))
		if !stopped && r.err == nil && m.k.layout.mm.mapCount.ok() && want != n {
			yield(VMA{}, gapf("mappings of "+m.name, m.Addr, ErrDisagree, "found %d, map_count says %d", n, want))
		}
	}
}

// vmaList walks mm_struct.mmap, a list by ascending address.
func (m *MM) vmaList(each func(vmem.VirtAddr, error) bool) {
	l, r := &m.k.layout.vma, m.k.reader()
	var last vmem.VirtAddr
	at := r.ptr(m.Addr, m.k.layout.mm.mmap)
	for range maxNodes {
		if at == 0 || r.err != nil {
			break
		}
		start := r.ptr(at, l.start)
		if r.err != nil {
			break
		}
		if start < last || last != 0 && start == last { // addresses must ascend, so no cycle goes unseen
			each(at, fmt.Errorf("%w: mapping at %v follows one at %v", kstruct.ErrCorrupt, start, last))
			return
		}
		if !each(at, nil) {
			return
		}
		last, at = start, r.ptr(at, l.next)
	}
	if r.err != nil {
		each(at, r.err)
	}
}

func (m *MM) vma(addr vmem.VirtAddr) (VMA, error) {
	l, r := &m.k.layout.vma, m.k.reader()
	start, end := r.ptr(addr, l.start), r.ptr(addr, l.end)
	mm, file := r.ptr(addr, l.mm), r.ptr(addr, l.file)
	v := VMA{Addr: addr, Flags: VMAFlags(r.u64(addr, l.flags))}
	pgoff := r.u64(addr, l.pgoff)
	if r.err != nil {
		return VMA{}, r.err
	}
	if mm != m.Addr || end <= start || (start|end)%pageSize != 0 {
		return VMA{}, fmt.Errorf("%w: vm_area_struct %v of mm %v, [%v, %v)", kstruct.ErrCorrupt, addr, mm, start, end)
	}
	v.Range = vmem.Range[vmem.VirtAddr]{Start: start, Size: uint64(end - start)}
	if file == 0 {
		v.Path = m.special(addr, v.Range)
		return v, nil
	}
	v.Offset = pgoff * pageSize
	var err error
	v.Path, err = m.k.userPath(file)
	return v, err
}

// special names a mapping without a file, as show_map_vma of fs/proc/task_mmu.c. A name
// that can't be read is none.
func (m *MM) special(addr vmem.VirtAddr, area vmem.Range[vmem.VirtAddr]) string {
	l, r := &m.k.layout.vma, m.k.reader()
	if ops := r.ptr(addr, l.ops); ops != 0 && l.opsName.ok() && l.specialName.ok() {
		if name := r.ptr(ops, l.opsName); name != 0 && name == m.k.specialMappingName {
			mapping := r.ptr(addr, l.private)
			return r.cstring(r.ptr(mapping, l.specialName), nameMax)
		}
	}
	switch {
	case m.VDSO != 0 && area.Start == m.VDSO:
		return "[vdso]"
	case area.Start < m.Brk && area.Last() >= m.StartBrk:
		return "[heap]"
	case area.Contains(m.StartStack):
		return "[stack]"
	}
	if name := r.ptr(addr, l.anonName); plausible(name) && l.anonNameText.ok() {
		if s := r.cstring(name+vmem.VirtAddr(l.anonNameText), nameMax); r.err == nil {
			return "[anon:" + s + "]"
		}
	}
	return ""
}
