package linux

import (
	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/vmem"
)

// swapTypes returns how a kernel numbers the types of swap entries (include/linux/swap.h),
// as its types and symbols tell by what else depends on the same settings. The zero value
// means that they don't tell.
func swapTypes(f *isf.File) vmem.SwapTypes {
	files, sized := maxSwapFiles(f)
	if !has(f, "pageflags", "PG_locked") || !has(f, "vm_event_item", "PGFAULT") || !sized && !symbol(f, "do_exit") {
		return vmem.SwapTypes{} // what is not among the types or symbols may be there all the same
	}
	t := vmem.SwapTypes{HWPoison: one(has(f, "pageflags", "PG_hwpoison")), Device: deviceTypes(f)} // PG_hwpoison: MEMORY_FAILURE
	exclusive := has(f, "pageflags", "PG_anon_exclusive")                                          // since 5.19 (6c287605fd56)
	if has(f, "vm_event_item", "PGMIGRATE_SUCCESS") {                                              // MIGRATION
		t.Migration = 2 + one(exclusive)
	}
	_, err := f.UserType("mm_rss_stat") // until 6.1 (f1a7941243c1)
	switch {
	case !exclusive:
	case err != nil: // since 6.2 markers are there always, and stand for errors too (15520a3f0469)
		t.Marker = 1
	case !sized: // whether PTE_MARKER is set only the sum tells
		return vmem.SwapTypes{}
	default:
		t.SwapinError = 1
		t.Marker = one(vmem.SwapTypeCount-files > t.Special())
	}
	if sized && vmem.SwapTypeCount-files != t.Special() {
		return vmem.SwapTypes{}
	}
	return t
}

// maxSwapFiles returns MAX_SWAPFILES, the length of the array swap_info, if it is known.
func maxSwapFiles(f *isf.File) (int, bool) {
	s, err := f.Symbol("swap_info")
	if err != nil || s.Type == nil || s.Type.Kind != isf.KindArray || s.Type.Count == 0 || s.Type.Count > vmem.SwapTypeCount {
		return 0, false
	}
	return int(s.Type.Count), true
}

// deviceTypes returns SWP_DEVICE_NUM, by functions that exist with DEVICE_PRIVATE only.
func deviceTypes(f *isf.File) uint8 {
	switch {
	case symbol(f, "make_device_exclusive"): // since 6.15
		return 3
	case symbol(f, "make_device_exclusive_range"): // since 5.14
		return 4
	case !has(f, "mmu_notifier_event", "MMU_NOTIFY_EXCLUSIVE") && symbol(f, "migrate_vma_setup"):
		return 2
	}
	return 0
}

// has reports whether an enumeration has a constant.
func has(f *isf.File, enum, constant string) bool {
	_, err := f.Constant(enum, constant)
	return err == nil
}

func symbol(f *isf.File, name string) bool {
	_, err := f.Symbol(name)
	return err == nil
}

func one(is bool) uint8 {
	if is {
		return 1
	}
	return 0
}
