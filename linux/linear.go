package linux

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"slices"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/memmap"
	"github.com/nodelens/nodelens/vmem"
	"github.com/nodelens/nodelens/vmem/x86"
)

// Linear memory of the kernel: its image and the direct map of all physical memory. Where
// they are is arithmetic, so that a lost page of their page tables costs nothing.

// mapLinear makes the kernel's image and its direct map linear in the kernel's memory. It
// tells what is wrong with the page tables, and adds to what is lost of the location.
func (k *Kernel) mapLinear(ctx context.Context, f *finder, l *location) {
	maps := []vmem.LinearMap{l.image}
	base, told, err := f.directMap(l, l.image)
	switch {
	case err != nil:
		l.lost = append(l.lost, lostSign{"direct map", 0, cmp.Or(told, err)})
	case told != nil:
		told = fmt.Errorf("%w; it is %v, by lists that lead there and back", told, base)
		l.lost = append(l.lost, lostSign{"page_offset_base", f.addressOf(l, "page_offset_base"), told})
	}
	if err == nil {
		maps = append(maps, directMapOf(base, f.phys.Ranges()))
	}
	k.setSpace(l.tables.WithLinear(maps...))
	if g, damage, ok := k.tableDamage(ctx, maps); ok {
		k.gaps = append(k.gaps, g)
		k.replaceTop(maps, damage)
	}
}

// imageMap returns where the kernel's image is. The end is that of the last variable; as far
// as symbols tell.
func (f *finder) imageMap(l *location) vmem.LinearMap {
	first, ok := f.anyAddress("_text", "_stext")
	if !ok {
		first = startKernelMap
	}
	end, ok := f.anyAddress("__bss_stop", "_end")
	if !ok {
		for s := range f.symbols.Symbols() {
			if s.Address >= first && s.Address-first < imageMost && s.Address >= end {
				end = s.Address + 8
			}
		}
	}
	r := vmem.Range[vmem.VirtAddr]{Start: vmem.VirtAddr(first + l.shift), Size: min(end-first, imageMost)}
	return vmem.LinearMap{Range: r, Phys: l.phys(uint64(r.Start))}
}

// imageMost is how large the image of a kernel can be: without KASLR, modules follow.
const imageMost = x86.KernelImageSize / 2

// anyAddress returns the address, as linked, of the first of some symbols that there is.
func (f *finder) anyAddress(names ...string) (uint64, bool) {
	for _, name := range names {
		if s, err := f.symbols.Symbol(name); err == nil && s.Address >= startKernelMap {
			return s.Address, true
		}
	}
	return 0, false
}

// directMapOf returns the direct map that begins at base, as far as there is memory.
func directMapOf(base vmem.VirtAddr, ranges []vmem.Range[vmem.PhysAddr]) vmem.LinearMap {
	return vmem.LinearMap{Range: vmem.Range[vmem.VirtAddr]{Start: base, Size: uint64(ranges[len(ranges)-1].Last()) + 1}}
}

// tableDamage compares the page tables with linear maps. Memory that was captured and is no
// RAM need not be mapped.
func (k *Kernel) tableDamage(ctx context.Context, maps []vmem.LinearMap) (vmem.Gap, x86.LinearDamage, bool) {
	tables, ok := k.space.Tables().(*x86.Tables)
	if !ok {
		return vmem.Gap{}, x86.LinearDamage{}, false
	}
	d := compareLinear(tables, maps, k.phys.Ranges())
	if d.First != nil {
		d = compareLinear(tables, maps, k.capturedRAM(ctx))
	}
	if d.First != nil && k.Live() { // they may just have been changed
		k.refresh()
		d = compareLinear(tables, maps, k.capturedRAM(ctx))
	}
	if d.First == nil {
		return vmem.Gap{}, d, false
	}
	err := fmt.Errorf("%w: %d tables are damaged, so that %d KiB of the kernel's image and of the direct map are not where they should be; "+
		"those are read without tables", d.First.Err, len(d.Tables), d.Bytes>>10)
	at := vmem.Range[vmem.PhysAddr]{Start: d.First.Phys &^ (vmem.PageSize - 1), Size: vmem.PageSize}
	return vmem.NewGap("page tables of the kernel", vmem.PhysicalPlace(at, 0), err), d, true
}

// compareLinear compares page tables with some maps.
func compareLinear(t *x86.Tables, maps []vmem.LinearMap, ram []vmem.Range[vmem.PhysAddr]) (all x86.LinearDamage) {
	for _, m := range maps {
		d := t.CompareLinear(m, ram)
		all.Tables = append(all.Tables, d.Tables...)
		all.Bytes += d.Bytes
		all.First = cmp.Or(all.First, d.First)
	}
	slices.Sort(all.Tables)
	all.Tables = slices.Compact(all.Tables)
	return all
}

// capturedRAM returns what was captured of RAM: all that was captured where the kernel's map
// of RAM is not whole.
func (k *Kernel) capturedRAM(ctx context.Context) []vmem.Range[vmem.PhysAddr] {
	var resources []memmap.Resource
	for r, err := range k.IOMem(ctx) {
		if err != nil {
			return k.phys.Ranges()
		}
		resources = append(resources, r)
	}
	var ram []vmem.Range[vmem.PhysAddr]
	for _, r := range memmap.SystemRAM(resources) {
		for _, have := range k.phys.Ranges() {
			if r := r.Intersect(have); r.Size > 0 {
				ram = append(ram, r)
			}
		}
	}
	if len(ram) == 0 {
		return k.phys.Ranges()
	}
	return vmem.NormalizeRanges(ram)
}

// setSpace makes space the kernel's memory.
func (k *Kernel) setSpace(space *vmem.AddressSpace) {
	k.space, k.objects = space, kstruct.NewSpace(space, k.symbols, k.info.KASLRShift)
}

// maxProcesses is how many processes are asked for a copy of the top page table.
const maxProcesses = 64

// replaceTop takes the top page table of a process for that of the kernel, if its half of the
// kernel maps more: all of them have the same there (sync_global_pgds of
// arch/x86/mm/init_64.c).
func (k *Kernel) replaceTop(maps []vmem.LinearMap, damage x86.LinearDamage) {
	most := damage.Bytes
	for root := range k.topTables() {
		space, err := newSpace(k.phys, root, k.info.PageTableLevels, k.mask)
		if err != nil {
			continue
		}
		d := compareLinear(space.Tables().(*x86.Tables), maps, k.phys.Ranges())
		if d.Bytes < most {
			most = d.Bytes
			k.setSpace(space.WithLinear(maps...))
		}
		if most == 0 {
			return
		}
	}
}

// topTables yields the top page tables of some processes.
func (k *Kernel) topTables() iter.Seq[vmem.PhysAddr] {
	return func(yield func(vmem.PhysAddr) bool) {
		space, seen := k.space, map[vmem.VirtAddr]bool{}
		init, _ := k.Symbol("init_task")
		var reaper vmem.VirtAddr
		if ns, err := k.Symbol("init_pid_ns"); err == nil {
			reaper, _ = k.views.pid.reaper.Load(space, ns)
		}
		for _, task := range []vmem.VirtAddr{init, reaper} {
			for len(seen) < maxProcesses && plausible(task) && !seen[task] {
				seen[task] = true
				if root, ok := k.topTable(space, task); ok && !yield(root) {
					return
				}
				next, err := space.Uint64(k.views.idle.tasks.Of(task))
				if err != nil {
					break
				}
				task = k.views.idle.tasks.Container(vmem.VirtAddr(next))
			}
		}
	}
}

// topTable returns the top page table of a task that has one.
func (k *Kernel) topTable(space *vmem.AddressSpace, task vmem.VirtAddr) (vmem.PhysAddr, bool) {
	mm, err := k.views.mm.of.Load(space, task)
	if err != nil || !plausible(mm) {
		return 0, false
	}
	s, err := k.views.mm.mm.Load(space, mm)
	if err != nil {
		return 0, false
	}
	m, err := space.Translate(s.PGD)
	return m.At(s.PGD), err == nil && s.PGD%vmem.PageSize == 0
}
