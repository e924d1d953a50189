package inflate

import (
	"math/bits"
	"sync"
)

// An entry of a decoding table says what the next bits stand for:
//
//	bits 0 to 5    how many of them to drop: the code and the extra bits behind it
//	bits 8 to 11   where the extra bits begin; of a link, how many bits index its table
//	bit 12         stop: the end of the block or, if bit 14 is not set, no code at all
//	bit 13         link: the code is longer, and goes on in the table at the value
//	bit 14         end of the block
//	bit 15         literal
//	bits 16 to 31  value: the literal, the least length or distance, the table's place
type entry uint32

const (
	stop    entry = 1 << 12
	link    entry = 1 << 13
	end     entry = 1 << 14
	literal entry = 1 << 15
)

func (e entry) width() uint { return uint(e & 63) }

func (e entry) value() int { return int(e >> 16) }

// with returns the value and the extra bits, of the bits that begin with the code.
func (e entry) with(b uint64) int {
	return e.value() + int(b&(1<<e.width()-1)>>(e>>8&15))
}

// follow returns the entry of a link, and the bits behind its first part.
func (e entry) follow(b uint64) (index int, rest uint64) {
	rest = b >> e.width()
	return e.value() + int(rest&(1<<(e>>8&15)-1)), rest
}

// How many bits index the first table of a code, and the sizes of whole tables: those
// of all codes of 288 and 32 symbols of at most 15 bits fit, rounded up so that an index
// needs no check.
const (
	litBits  = 11
	distBits = 9
	litSize  = 1 << 12
	distSize = 1 << 10

	maxLength = 15
)

// A code is a pair of tables.
type code struct {
	lit  [litSize]entry
	dist [distSize]entry
}

// The symbols' entries without their codes (RFC 1951, section 3.2.5).
var litSymbols, distSymbols = makeSymbols()

func makeSymbols() (lit [288]entry, dist [32]entry) {
	for i := range 256 {
		lit[i] = literal | entry(i)<<16
	}
	lit[256] = stop | end
	for i, base := 0, 3; i < 28; i++ {
		extra := max(0, i/4-1)
		lit[257+i] = entry(base)<<16 | entry(extra)
		base += 1 << extra
	}
	lit[285] = 258 << 16
	lit[286], lit[287] = stop, stop
	for i, base := 0, 1; i < 30; i++ {
		extra := max(0, i/2-1)
		dist[i] = entry(base)<<16 | entry(extra)
		base += 1 << extra
	}
	dist[30], dist[31] = stop, stop
	return lit, dist
}

// fixed is the code of blocks that bring none.
var fixed = sync.OnceValue(func() *code {
	c := new(code)
	var lens [288 + 32]uint8
	for i := range lens {
		switch {
		case i < 144:
			lens[i] = 8
		case i < 256:
			lens[i] = 9
		case i < 280:
			lens[i] = 7
		case i < 288:
			lens[i] = 8
		default:
			lens[i] = 5
		}
	}
	build(c.lit[:], litBits, lens[:288], litSymbols[:])
	build(c.dist[:], distBits, lens[288:], distSymbols[:])
	return c
})

// build makes the table of a code from the lengths of its symbols, and reports whether
// they make one. Its first 1<<first entries are indexed by bits of the file.
func build(table []entry, first uint, lens []uint8, symbols []entry) bool {
	var b builder
	for _, n := range lens {
		b.count[n]++
	}
	b.count[0] = 0
	ok, longest := b.complete()
	if !ok || longest <= first {
		fillWith(table[:1<<first], stop)
	}
	if !ok || longest == 0 {
		return ok
	}
	b.sort(lens)
	b.table, b.first = table, first
	b.next = 1 << first
	for i, s := range b.sorted[:b.symbols] {
		n := uint(lens[s])
		b.add(n, symbols[s])
		if i+1 < b.symbols {
			b.code = (b.code + 1) << (uint(lens[b.sorted[i+1]]) - n)
		}
	}
	return true
}

// A builder is the state of build.
type builder struct {
	table   []entry
	first   uint
	count   [maxLength + 1]int // symbols by length, of those that were not yet added
	sorted  [288]uint16        // the symbols in the order of their codes
	symbols int
	code    uint // of the next symbol, highest bit first
	next    int  // the place of the next linked table
	prefix  uint // of the codes in the last one
	linked  uint // bits that index the last one
	at      int  // its place
}

// complete reports whether the lengths use up all codes, and the longest. A single
// code of one bit and no code at all will do as well.
func (b *builder) complete() (ok bool, longest uint) {
	used := 0
	for n := range b.count {
		used <<= 1
		used += b.count[n]
		if b.count[n] > 0 {
			longest = uint(n)
		}
		if used > 1<<n {
			return false, 0
		}
	}
	used >>= maxLength - longest
	return longest == 0 || used == 1<<longest || used == 1 && longest == 1, longest
}

// sort lists the symbols that have codes by length and then by value.
func (b *builder) sort(lens []uint8) {
	var at [maxLength + 2]int
	for n, c := range b.count {
		at[n+1] = at[n] + c
	}
	for s, n := range lens {
		if n > 0 {
			b.sorted[at[n]] = uint16(s)
			at[n]++
		}
	}
	b.symbols = at[maxLength]
}

// add enters the next symbol, whose code is of n bits.
func (b *builder) add(n uint, symbol entry) {
	rev := uint(bits.Reverse16(uint16(b.code)) >> (16 - n))
	table, width := b.table[:1<<b.first], n
	if n > b.first {
		prefix := rev & (1<<b.first - 1)
		if b.next == 1<<b.first || prefix != b.prefix {
			b.link(prefix, n)
		}
		rev, width = rev>>b.first, n-b.first
		table = b.table[b.at : b.at+1<<b.linked]
	}
	b.count[n]--
	e := symbol + entry(width)<<8 + entry(width)
	for i := rev; i < uint(len(table)); i += 1 << width {
		table[i] = e
	}
}

// link begins a table for codes that are of n bits and more, and have a prefix.
func (b *builder) link(prefix, n uint) {
	b.prefix, b.linked = prefix, n-b.first
	for used := b.count[n]; used < 1<<b.linked && b.first+b.linked < maxLength; {
		b.linked++
		used = used<<1 + b.count[b.first+b.linked]
	}
	b.at = b.next
	b.next += 1 << b.linked
	b.table[prefix] = link | entry(b.at)<<16 | entry(b.linked)<<8 | entry(b.first)
}

func fillWith(table []entry, e entry) {
	for i := range table {
		table[i] = e
	}
}
