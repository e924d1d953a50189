package btfconv

import (
	"context"

	"github.com/nodelens/nodelens/vmem"
)

// Where VMCOREINFO is lost and kallsyms is damaged, the banner leads to the export tables, which are near
// it; these say where in memory init_task is, which points to itself by its virtual address.

const (
	maxBanners  = 16
	bannerReach = 64 << 20 // how far from the banner the export tables may be
)

// exportsByBanner finds the export tables.
func (s *search) exportsByBanner(ctx context.Context) bool {
	tried := 0
	for pa := range scanFor(ctx, s.mem, everything, []byte(bannerStart)) {
		k := kernelImage{mem: s.mem, phys: pa}
		if k.bannerAt(0) == "" {
			continue
		}
		within := vmem.Range[vmem.PhysAddr]{Start: pa - min(pa, bannerReach), Size: 2 * bannerReach}
		exports, table, lost := findDamagedExports(s.mem, within)
		if len(exports) >= minExports {
			s.exports, s.symbolsLost = exports, lost
			s.report.Exports, s.report.FoundBy = table, "the shape of the export tables"
			return true
		}
		if tried++; tried == maxBanners {
			break
		}
	}
	return false
}

// placeByInitTask finds out where the image is by the task that points to itself. The image starts
// at a multiple of 2 MiB, before the first exported function by less than that.
func (s *search) placeByInitTask() {
	comm, ok := s.layouts.offset("task_struct", "comm")
	parent, ok2 := s.layouts.offset("task_struct", "real_parent")
	exports := newSymbolTable(s.exports, nil)
	task, ok3 := exports.find("init_task")
	if !ok || !ok2 || !ok3 {
		return
	}
	base := task &^ (kernelAlign - 1)
	k := kernelImage{mem: s.mem, text: base, phys: vmem.PhysAddr(base)}
	name := string(k.window(task+comm, 8))
	self, err := k.word(task + parent)
	if err != nil || name != "swapper/" && name != "swapper\x00" || self-startKernelMap >= kernelImageMax {
		return
	}
	delta, lowest := self-task, task
	for i := range exports.sorted {
		if a := exports.sorted[i].addr; a+delta-startKernelMap < kernelImageMax {
			lowest = min(lowest, a)
		}
	}
	if delta%kernelAlign != 0 {
		return
	}
	phys := lowest &^ (kernelAlign - 1)
	s.image.text, s.image.phys, s.agree = phys+delta, vmem.PhysAddr(phys), true
	s.symbols, s.report.Kallsyms.Count = &symbolTable{}, 0
	s.symbols.add(shifted(exports.sorted, delta))
}
