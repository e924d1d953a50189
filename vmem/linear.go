package vmem

import "slices"

// A LinearMap is virtual memory that is mapped to physical memory in one piece: where its
// addresses are is arithmetic, for which no page tables are needed.
type LinearMap struct {
	Range Range[VirtAddr]
	Phys  PhysAddr // of Range.Start
}

// At returns the physical address of va, which must lie inside the map.
func (m LinearMap) At(va VirtAddr) PhysAddr { return m.Phys + PhysAddr(va-m.Range.Start) }

// WithLinear returns the same virtual memory, of which it is known that parts are linear.
// There the maps are believed and the tables are not: a table that was lost or overwritten
// costs nothing. Memory that was not captured is an error there as elsewhere; what the
// tables leave out on purpose is not.
//
// Only what was verified may be given, and the first of two maps that overlap counts.
// Mappings and Tables are still those of the tables, which can be compared with the maps.
func (as *AddressSpace) WithLinear(maps ...LinearMap) *AddressSpace {
	return &AddressSpace{phys: as.phys, tables: as.tables, linear: append(slices.Clip(as.linear), maps...)}
}

// LinearMaps returns the parts that are known to be linear. The caller must not change the
// slice.
func (as *AddressSpace) LinearMaps() []LinearMap { return as.linear }

// arithmetic returns the physical address of va if it is in a linear map.
func (as *AddressSpace) arithmetic(va VirtAddr) (PhysAddr, bool) {
	for i := range as.linear {
		if m := &as.linear[i]; m.Range.Contains(va) {
			return m.At(va), true
		}
	}
	return 0, false
}

// linearPage returns the page of va, which is in a linear map, at pa. The tables say how
// large it is and what it allows, where they agree.
func (as *AddressSpace) linearPage(va VirtAddr, pa PhysAddr) Mapping {
	if m, err := as.tables.Translate(va); err == nil && m.At(va) == pa {
		return m
	}
	off := va % PageSize
	return Mapping{Range: Range[VirtAddr]{va - off, PageSize}, Phys: pa - PhysAddr(off)}
}
