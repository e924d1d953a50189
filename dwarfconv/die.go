package dwarfconv

// A typeRef says where the entry of a type is: an offset or a position below
// refBits, and above it which of the three. 0 is no type, which C calls void.
type typeRef uint64

const (
	refLocal     = 1 + iota // an offset in the unit
	refGlobal               // an offset in .debug_info
	refSignature            // the position in the unit of a type unit's signature
)

// A die is an entry of a unit, reduced to what a conversion needs.
type die struct {
	name nameRef // 0: none
	typ  typeRef
	val  uint64 // bytes of a type; offset of a member; value of an enumerator; elements of a dimension; address of a variable
	aux  uint64 // of a member: its memberBits; of a variable or function: the typeRef of its origin; of a user type: the typeRef of its signature; of a base type: its encoding
	hash uint64 // of the type as others refer to it; 0: not yet known

	off   uint32 // from the start of the unit
	first uint32 // index of the first child that matters here; 0: none
	next  uint32 // index of the next one of the same parent; 0: none
	kind  kind
	flags flags
}

type flags uint8

const (
	isDeclared   flags = 1 << iota // only declared, defined elsewhere
	isStatic                       // a variable or function with an address
	isByte                         // a variable of which only the lowest byte is kept
	isTop                          // not inside a function or another type
	fromStart                      // a member: val counts bits, not bytes
	hasBitOffset                   // a member: the bits are counted from the most significant of its storage unit
)

// memberBits is the aux of a member.
type memberBits uint64

// newMemberBits packs the size of a bit field, its distance from the most
// significant bit of its storage unit, and the size of that in bytes.
func newMemberBits(size, offset, storage uint64) (memberBits, error) {
	if size > 255 || storage > 255 || int64(offset) > 1<<15 || int64(offset) < -1<<15 {
		return 0, errBitfield
	}
	return memberBits(size | storage<<8 | offset<<16), nil
}

func (m memberBits) size() uint64    { return uint64(m & 0xff) }
func (m memberBits) storage() uint64 { return uint64(m >> 8 & 0xff) }
func (m memberBits) offset() int64   { return int64(m) >> 16 }

// isUser reports whether d is a struct, union, class or enumeration.
func (d *die) isUser() bool { return d.kind >= kindStruct && d.kind <= kindEnum }

// isStub reports whether a user type is only a reference to a type unit.
func (d *die) isStub() bool { return d.aux != 0 }
