package memory

import (
	"math/bits"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/linux"
)

// Flags of mappings beyond those that package linux has (include/linux/mm.h).
const (
	vmShared   linux.VMAFlags = 0x8
	vmMayWrite linux.VMAFlags = 0x20
	vmLocked   linux.VMAFlags = 0x2000
	vmHugetlb  linux.VMAFlags = 0x400000
	vmMixedMap linux.VMAFlags = 0x10000000
)

// keyBits are the bits of the protection key, which smaps shows in a line of its own.
const keyBits linux.VMAFlags = 0xf << 32

// flagNames are the names of the flags by their bits; empty for those that differ (show_smap_vma_flags of fs/proc/task_mmu.c).
var flagNames = [64]string{
	0: "rd", 1: "wr", 2: "ex", 3: "sh", 4: "mr", 5: "mw", 6: "me", 7: "ms", 8: "gd", 9: "um", 10: "pf", 12: "uw", 13: "lo", 14: "io", 15: "sr",
	16: "rr", 17: "dc", 18: "de", 20: "ac", 21: "nr", 22: "ht", 23: "sf", 24: "ar", 25: "wf", 26: "dd", 27: "sd", 28: "mm", 29: "hg", 30: "nh", 31: "mg",
	38: "ui", 40: "dp", 41: "ui", 42: "sl", 63: "sl",
}

// vmFlagNames returns the names of the flags of a kernel, "??" where it has none.
func vmFlagNames(types *isf.File) (names [64]string) {
	names = flagNames
	_, noFolio := types.UserType("folio")
	shadowStacks := noFolio == nil && !types.HasField("folio", "_folio_order") // since 6.6
	switch {
	case !types.HasField("mm_struct", "mm_mt"): // VM_DENYWRITE, until 5.14
		names[11] = "dw"
	case shadowStacks: // VM_MAYBE_GUARD, since 6.19
		names[11] = "gu"
	}
	if shadowStacks {
		names[19], names[37] = "lf", "ss"
	} else {
		names[37] = "ui" // moved by 6.6
	}
	for i := range names {
		if names[i] == "" {
			names[i] = "??"
		}
	}
	return names
}

// FlagNames returns the flags of a mapping by the names that the line VmFlags of /proc/PID/smaps has, in its order.
func (r *Reader) FlagNames(f linux.VMAFlags) []string {
	names := make([]string, 0, 16)
	for rest := uint64(f &^ keyBits); rest != 0; rest &= rest - 1 {
		names = append(names, r.flagNames[bits.TrailingZeros64(rest)])
	}
	return names
}
