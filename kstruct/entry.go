package kstruct

import "github.com/nodelens/nodelens/vmem"

// An Entry is what an XArray, an IDR or a maple tree holds for a range of indices.
type Entry struct {
	First, Last uint64 // the indices, both inclusive
	Kind        EntryKind
	Ptr         vmem.VirtAddr // of a PointerEntry; 0 otherwise, which is no address
	Value       uint64        // of a ValueEntry
}

// An EntryKind tells what is stored in an Entry.
type EntryKind uint8

const (
	// PointerEntry is a pointer to an object. Nothing is said of whether an object is
	// there.
	PointerEntry EntryKind = iota
	// ValueEntry is an integer of 63 bits (xa_mk_value, include/linux/xarray.h), such as
	// what the page cache keeps of an evicted page, or the swap entry of a page of shmem.
	ValueEntry
	// ReservedEntry holds a place for which nothing is stored yet (XA_ZERO_ENTRY).
	ReservedEntry
)

// String returns pointer, value or reserved.
func (k EntryKind) String() string {
	return [...]string{"pointer", "value", "reserved"}[min(k, ReservedEntry)]
}

// Internal entries, as include/linux/xarray.h has them: the two lowest bits are 2, and
// what is not above xaInternalMax is no node.
const (
	xaInternal    = 2
	xaInternalMax = 4096
	xaRetry       = 256<<2 | xaInternal // XA_RETRY_ENTRY
	xaZero        = 257<<2 | xaInternal // XA_ZERO_ENTRY
)

// isNode reports whether an entry leads to a node: xa_is_node.
func isNode(e vmem.VirtAddr) bool { return e&3 == xaInternal && e > xaInternalMax }

// newEntry returns what is stored, which must be no internal entry but XA_ZERO_ENTRY, for
// the indices from first to last.
func newEntry(e vmem.VirtAddr, first, last uint64) Entry {
	switch {
	case e&1 != 0:
		return Entry{First: first, Last: last, Kind: ValueEntry, Value: uint64(e) >> 1}
	case e == xaZero:
		return Entry{First: first, Last: last, Kind: ReservedEntry}
	}
	return Entry{First: first, Last: last, Ptr: e}
}
