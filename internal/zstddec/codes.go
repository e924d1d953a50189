package zstddec

import "sync"

// The kinds of codes of a sequence, in the order of their tables.
const (
	literalLength = iota
	offsetCode
	matchLength
)

// A codeSpec is how the codes of a kind are made: RFC 8878, Sequences Section.
type codeSpec struct {
	log        int // accuracy log of a table, at most
	codes      []code
	predefined distribution
}

// A code stands for a number from base on: what its extra bits say above it.
type code struct {
	base  uint32
	extra uint8
}

// specs are by kind.
var specs = sync.OnceValue(func() *[3]codeSpec {
	lengths := []uint8{1, 1, 1, 1, 2, 2, 3, 3, 4, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}
	matches := []uint8{1, 1, 1, 1, 2, 2, 3, 3, 4, 4, 5, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}
	return &[3]codeSpec{
		literalLength: {9, codes(0, 16, lengths), distribute(6,
			4, 3, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2,
			2, 3, 2, 1, 1, 1, 1, 1, -1, -1, -1, -1)},
		offsetCode: {8, offsets(), distribute(5,
			1, 1, 1, 1, 1, 1, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1)},
		matchLength: {9, codes(3, 32, matches), distribute(6,
			1, 4, 3, 2, 2, 2, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
			1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1, -1, -1)},
	}
})

// codes returns the codes for the numbers from first on: the first direct of them
// without extra bits, the others with those.
func codes(first uint32, direct int, extra []uint8) []code {
	var list []code
	for _, n := range append(make([]uint8, direct), extra...) {
		list = append(list, code{first, n})
		first += 1 << n
	}
	return list
}

// offsets returns the codes of offsets: 1<<N and N bits.
func offsets() []code {
	var list []code
	for n := range uint8(32) {
		list = append(list, code{1 << n, n})
	}
	return list
}

func distribute(log int, counts ...int16) distribution {
	d := distribution{log: log, size: len(counts)}
	copy(d.counts[:], counts)
	return d
}

// A codeTable decodes the codes of a kind.
type codeTable struct {
	log     int
	entries [1 << maxLog]entry
}

// An entry is a cell with its code's number: base<<32 | next<<16 | extra<<8 | bits.
type entry uint64

func (t *codeTable) build(spec *codeSpec, d *distribution) {
	var cells [1 << maxLog]cell
	d.cells(cells[:])
	t.log = d.log
	for i, c := range cells[:1<<d.log] {
		t.entries[i] = newEntry(spec.codes[c.symbol], c.next, c.bits)
	}
}

// single makes a table of one code, which takes no bits.
func (t *codeTable) single(c code) {
	t.log = 0
	t.entries[0] = newEntry(c, 0, 0)
}

func newEntry(c code, next uint16, bits uint8) entry {
	return entry(c.base)<<32 | entry(next)<<16 | entry(c.extra)<<8 | entry(bits)
}

// predefined returns the tables that need no description.
var predefined = sync.OnceValue(func() *[3]codeTable {
	var t [3]codeTable
	for kind := range t {
		spec := &specs()[kind]
		t[kind].build(spec, &spec.predefined)
	}
	return &t
})
