package linux

import (
	"cmp"
	"context"
	"fmt"
	"iter"

	"github.com/nodelens/nodelens/isf"
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

// A vmArea is struct vm_area_struct (include/linux/mm_types.h).
type vmArea struct {
	areaBounds
	Flags    uint64        `kernel:"vm_flags"`
	Offset   uint64        `kernel:"vm_pgoff"` // in pages
	File     vmem.VirtAddr `kernel:"vm_file"`
	Ops      vmem.VirtAddr `kernel:"vm_ops"`
	Private  vmem.VirtAddr `kernel:"vm_private_data"`
	AnonName vmem.VirtAddr `kernel:"anon_name,optional"` // since 5.17 (9a10064f5625), if configured
}

// areaBounds are the members of a vm_area_struct that say where it is.
type areaBounds struct {
	Start vmem.VirtAddr `kernel:"vm_start"`
	End   vmem.VirtAddr `kernel:"vm_end"` // exclusive
	MM    vmem.VirtAddr `kernel:"vm_mm"`
	Next  vmem.VirtAddr `kernel:"vm_next,optional"` // until 6.0
}

// mmAreas are the members of a mm_struct that hold its mappings.
type mmAreas struct {
	Tree  vmem.VirtAddr `kernel:"&mm_mt,optional"` // a maple tree since 6.1 (d4af56c5c7c6)
	First vmem.VirtAddr `kernel:"mmap,optional"`   // a list before
	Count int32         `kernel:"map_count"`
}

type vmaViews struct {
	areas  *kstruct.View[mmAreas]
	area   *kstruct.View[vmArea]
	bounds *kstruct.View[areaBounds]
	err    error

	opsName     *kstruct.Field[vmem.VirtAddr] // of vm_operations_struct: a function
	specialName *kstruct.Field[vmem.VirtAddr] // of vm_special_mapping
	anonName    kstruct.Member                // of anon_vma_name
	namedFiles  bool                          // mappings of files can have an anon_name: since 6.2 (d09e8ca6cb93); before, other things are there
}

func bindVMA(types *isf.File) (v vmaViews) {
	b := kstruct.NewBinder(types)
	v.areas = kstruct.Bind[mmAreas](b, "mm_struct")
	v.area = kstruct.Bind[vmArea](b, "vm_area_struct")
	v.bounds = kstruct.Bind[areaBounds](b, "vm_area_struct")
	if !v.areas.Has("Tree") && !v.areas.Has("First") {
		kstruct.BindMember(b, "mm_struct", "mm_mt", "mmap")
	}
	v.err = b.Err()
	b = kstruct.NewBinder(types)
	v.opsName = kstruct.BindOptionalField[vmem.VirtAddr](b, "vm_operations_struct", "name")
	v.specialName = kstruct.BindOptionalField[vmem.VirtAddr](b, "vm_special_mapping", "name")
	v.anonName = kstruct.BindOptionalMember(b, "anon_vma_name", "name")
	name, shared := kstruct.BindOptionalMember(b, "vm_area_struct", "anon_name"), kstruct.BindOptionalMember(b, "vm_area_struct", "shared")
	v.namedFiles = name.Ok() && (name.Offset() < shared.Offset() || name.Offset() >= shared.Offset()+shared.Size())
	return v
}

// A VMA is a mapping of a process (vm_area_struct; linux.proc.Maps of Volatility).
type VMA struct {
	Range  vmem.Range[vmem.VirtAddr]
	Flags  VMAFlags
	Offset uint64        // in the file, in bytes; 0 without a file
	Path   string        // of the file, or a name in brackets such as [heap], as in /proc/PID/maps; may be empty
	Addr   vmem.VirtAddr // of the vm_area_struct
	File   vmem.VirtAddr // of the struct file; 0 if there is none. Of a file of an overlay it is the one below
	Inode  vmem.VirtAddr // whose number /proc/PID/maps shows; 0 without a file, or if it can't be read
}

// VMAs yields the mappings by ascending address, from the maple tree that the kernel
// has kept them in since 6.1 or from the list before. Errors are [vmem.Gap] and do not end
// the walk, but for the context's own; a count that differs from mm_struct.map_count is
// one, at the end. With the error for a mapping whose path can't be read comes the VMA
// without its path; with others a zero VMA.
func (m *MM) VMAs(ctx context.Context) iter.Seq2[VMA, error] {
	return func(yield func(VMA, error) bool) {
		m.k.refresh()
		m.eachArea(ctx, func(addr vmem.VirtAddr, err error) bool {
			var v VMA
			if err == nil {
				if v, err = m.vma(addr); err != nil {
					err = newGap("mappings of "+m.name, addr, err)
				}
			}
			return yield(v, err)
		})
	}
}

// eachArea calls yield with the address of each vm_area_struct, and with the errors of
// VMAs, until it returns false.
func (m *MM) eachArea(ctx context.Context, yield func(vmem.VirtAddr, error) bool) {
	k, v := m.k, &m.k.views.vma
	object := "mappings of " + m.name
	areas, err := v.areas.Load(k.space, m.Addr)
	if err = cmp.Or(v.err, err); err != nil {
		yield(0, newGap(object, m.Addr, err))
		return
	}
	n, stopped := int32(0), false
	count := func(addr vmem.VirtAddr, err error) bool {
		if err == nil {
			n++
		}
		stopped = !yield(addr, err)
		return !stopped
	}
	if v.areas.Has("Tree") {
		m.treeAreas(ctx, object, &areas, count)
	} else {
		m.listAreas(ctx, object, &areas, count)
	}
	if !stopped && ctx.Err() == nil && n != areas.Count {
		yield(0, gapf(object, m.Addr, ErrDisagree, "found %d, map_count says %d", n, areas.Count))
	}
}

// treeAreas walks mm_struct.mm_mt.
func (m *MM) treeAreas(ctx context.Context, object string, areas *mmAreas, yield func(vmem.VirtAddr, error) bool) {
	for e, err := range m.k.walk(ctx, object, areaNodes(areas.Count)).Maple(areas.Tree) {
		if err == nil && e.Kind != kstruct.PointerEntry {
			continue
		}
		if !yield(e.Ptr, err) {
			return
		}
	}
}

// listAreas walks mm_struct.mmap, a list by ascending address.
func (m *MM) listAreas(ctx context.Context, object string, areas *mmAreas, yield func(vmem.VirtAddr, error) bool) {
	var last areaBounds
	at, most := areas.First, areaNodes(areas.Count)
	for n := 0; at != 0; n++ {
		if err := ctx.Err(); err != nil {
			yield(0, err)
			return
		}
		b, err := m.k.views.vma.bounds.Load(m.k.space, at)
		switch {
		case err != nil:
		case n > 0 && b.Start <= last.Start: // addresses must ascend, so no cycle goes unseen
			err = fmt.Errorf("%w: mapping at %v follows one at %v", kstruct.ErrCorrupt, b.Start, last.Start)
		case n >= most:
			err = fmt.Errorf("%w: more than %d mappings", kstruct.ErrTooLong, most)
		}
		if err != nil {
			yield(0, newGap(object, at, err))
			return
		}
		if !yield(at, nil) {
			return
		}
		last, at = b, b.Next
	}
}

// valid returns what is wrong with the bounds of the vm_area_struct at addr.
func (m *MM) valid(addr vmem.VirtAddr, b *areaBounds) error {
	if b.MM != m.Addr || b.End <= b.Start || (b.Start|b.End)%pageSize != 0 {
		return fmt.Errorf("%w: vm_area_struct %v of mm %v, [%v, %v)", kstruct.ErrCorrupt, addr, b.MM, b.Start, b.End)
	}
	return nil
}

func (m *MM) vma(addr vmem.VirtAddr) (VMA, error) {
	var a vmArea
	if err := m.k.views.vma.area.Read(m.k.space, addr, &a); err != nil {
		return VMA{}, err
	}
	if err := m.valid(addr, &a.areaBounds); err != nil {
		return VMA{}, err
	}
	v := VMA{Addr: addr, Flags: VMAFlags(a.Flags), Range: vmem.Range[vmem.VirtAddr]{Start: a.Start, Size: uint64(a.End - a.Start)}}
	if a.File == 0 {
		v.Path = m.special(&a, v.Range)
		return v, nil
	}
	v.Offset, v.File = a.Offset*pageSize, a.File
	var err error
	if v.Path, v.Inode, err = m.k.userFile(a.File); m.k.views.vma.namedFiles {
		if name, ok := m.anonName(&a); ok {
			return v.named("[anon_shmem:" + name + "]"), nil
		}
	}
	return v, err
}

func (v VMA) named(name string) VMA {
	v.Path = name
	return v
}

// anonName returns the name that a process gave to a mapping (PR_SET_VMA_ANON_NAME).
func (m *MM) anonName(a *vmArea) (string, bool) {
	v, k := &m.k.views.vma, m.k
	if !plausible(a.AnonName) || !v.anonName.Ok() {
		return "", false
	}
	s, err := k.space.CString(v.anonName.Of(a.AnonName), nameMax)
	return s, err == nil
}

// special names a mapping without a file, as show_map_vma of fs/proc/task_mmu.c. A name
// that can't be read is none.
func (m *MM) special(a *vmArea, area vmem.Range[vmem.VirtAddr]) string {
	v, k := &m.k.views.vma, m.k
	if a.Ops != 0 {
		if f, err := v.opsName.Load(k.space, a.Ops); err == nil && f != 0 && f == k.specialMappingName {
			return k.pointedText(v.specialName, a.Private)
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
	if name, ok := m.anonName(a); ok {
		return "[anon:" + name + "]"
	}
	return ""
}

// pointedText returns the text that a member of the structure at addr points to, empty
// where it can't be read.
func (k *Kernel) pointedText(f *kstruct.Field[vmem.VirtAddr], addr vmem.VirtAddr) string {
	at, err := f.Load(k.space, addr)
	if err != nil {
		return ""
	}
	s, err := k.space.CString(at, nameMax)
	if err != nil {
		return ""
	}
	return s
}
