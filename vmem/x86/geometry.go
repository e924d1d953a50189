package x86

import "github.com/nodelens/nodelens/vmem"

// PageSize is the size in bytes of a table and of the smallest page.
const PageSize = 1 << 12

const (
	indexBits = 9 // of an address, that index a table
	entrySize = 8 // of an entry, in bytes
)

// A level is what is particular of one level of the tables.
type level struct {
	span uint8 // how many bits of an address an entry translates
	page bool  // an entry can map a page
}

// geometry are the levels, by their number: that of the bottom is 1. (The length is a power
// of two, so that no index needs a check.)
var geometry = [8]level{
	1: {12, true},  // PTE
	2: {21, true},  // PMD
	3: {30, true},  // PUD
	4: {39, false}, // P4D; PGD with 4 levels
	5: {48, false}, // PGD
}

// span returns how many bits of an address an entry of a level translates.
func span(level int) uint { return uint(geometry[level&7].span) & 63 }

// spanSize returns how many bytes an entry of a level translates.
func spanSize(level int) uint64 { return 1 << span(level) }

// entryAddr returns the physical address of the entry by which a table of a level
// translates va.
func entryAddr(table vmem.PhysAddr, level int, va vmem.VirtAddr) vmem.PhysAddr {
	return table + vmem.PhysAddr(va>>span(level)%(1<<indexBits)*entrySize)
}
