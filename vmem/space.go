package vmem

import "iter"

// Tables are the page tables of one address space, by which an architecture makes physical
// addresses of virtual ones. Package x86 has those of x86-64. Implementations are safe for
// concurrent use.
type Tables interface {
	// Root returns the physical address of the top-level table.
	Root() PhysAddr

	// Canonical reports whether va is an address that the tables can translate.
	Canonical(va VirtAddr) bool

	// Walk finds the entry that maps va. The error is a *Fault.
	Walk(va VirtAddr) (Leaf, error)

	// Translate returns the page that va is in. The error is a *Fault.
	Translate(va VirtAddr) (Mapping, error)

	// Mappings returns the pages that have an address in within: see
	// [AddressSpace.Mappings].
	Mappings(within Range[VirtAddr]) iter.Seq2[Mapping, error]
}

// A Leaf is the end of a walk through page tables: the entry that maps a page.
type Leaf struct {
	Phys  PhysAddr // of the virtual address that was asked for
	Entry uint64   // as stored
}

// An AddressSpace is virtual memory as one set of page tables defines it: that of
// the kernel or of one process. Its tables are read through a Physical that it can
// share with others; a small cache of its own keeps translations. Parts of it may be
// known to be linear, see [AddressSpace.WithLinear].
//
// An AddressSpace is safe for concurrent use; hits in its caches take no lock.
type AddressSpace struct {
	phys   *Physical
	tables Tables
	tlb    tlb
	linear []LinearMap
}

// NewAddressSpace returns the virtual memory that tables define, with its pages in p.
func NewAddressSpace(p *Physical, tables Tables) *AddressSpace {
	return &AddressSpace{phys: p, tables: tables}
}

// Tables returns the page tables.
func (as *AddressSpace) Tables() Tables { return as.tables }

// Root returns the physical address of the top-level table.
func (as *AddressSpace) Root() PhysAddr { return as.tables.Root() }

// Canonical reports whether va is an address that the page tables can translate.
func (as *AddressSpace) Canonical(va VirtAddr) bool { return as.tables.Canonical(va) }

// Translate returns the page that va is in. The error is a *Fault. Of a page in a linear
// map that the tables have lost, the flags are not known.
func (as *AddressSpace) Translate(va VirtAddr) (Mapping, error) {
	if pa, ok := as.arithmetic(va); ok {
		return as.linearPage(va, pa), nil
	}
	return as.tables.Translate(va)
}

// Mappings returns the pages that have an address in within, in ascending order of
// address. A page that reaches beyond within is yielded as a whole.
//
// What is not mapped is passed over; so are entries that tell no more than that
// there is no page (ErrNotPresent). Each other entry that maps nothing, and each
// table that can't be read, is yielded as a *Fault together with a Mapping whose
// Range is the part of within that is lost by it; the walk then goes on behind. So
// pages in swap, under migration and so on are errors here. A table that leads back
// to itself, and tables shared so widely that the walk meets more of them than the
// captured memory can hold, end the walk of that part, or of the rest.
//
// The tables are read anew with every use of the iterator.
func (as *AddressSpace) Mappings(within Range[VirtAddr]) iter.Seq2[Mapping, error] {
	return as.tables.Mappings(within)
}
