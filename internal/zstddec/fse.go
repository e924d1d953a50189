package zstddec

import (
	"encoding/binary"
	"errors"
	"math/bits"
)

const (
	maxLog   = 9 // accuracy log of any table
	maxCodes = 53
)

// What is wrong with the tables of Finite State Entropy.
var (
	errAccuracy = errors.New("FSE table of too high an accuracy")
	errCodes    = errors.New("FSE table of more symbols than there are")
)

// A distribution is how probable the symbols are: RFC 8878, FSE Table Description.
type distribution struct {
	log    int             // the counts add up to 1<<log
	counts [maxCodes]int16 // by symbol; -1 for less than 1
	size   int             // how many symbols there are
}

// readDistribution reads a distribution of symbols below codes from the beginning of b.
func readDistribution(b *body, codes, log int) (distribution, error) {
	d := distribution{}
	at := forward{*b, 0}
	d.log = 5 + at.read(4)
	if d.log > log {
		return d, errAccuracy
	}
	for left := 1 << d.log; left > 0; {
		if d.size == codes {
			return d, errCodes
		}
		count := at.below(left+2) - 1
		d.counts[d.size] = int16(count)
		d.size++
		if count == 0 {
			d.size += at.zeros(codes - d.size)
		}
		left -= max(count, -count)
	}
	_, err := b.cut((at.pos + 7) / 8)
	return d, err
}

// A forward reads bits from the lowest of the first byte on. Behind the end it reads
// something, up to the size of a distribution, which fits into a body's room.
type forward struct {
	body
	pos int
}

func (f *forward) peek() int {
	at := min(f.start+f.pos/8, f.end)
	return int(binary.LittleEndian.Uint32(f.buf[at:]) >> (f.pos % 8) & 0xffff)
}

func (f *forward) read(n int) int {
	v := f.peek() & (1<<n - 1)
	f.pos += n
	return v
}

// below reads a number below n, which takes a bit less where it is small.
func (f *forward) below(n int) int {
	width := bits.Len(uint(n - 1))
	short := 1<<width - n // that many numbers take the bit less
	v := f.peek() & (1<<width - 1)
	low := v & (1<<(width-1) - 1)
	if low < short {
		f.pos += width - 1
		return low
	}
	f.pos += width
	if v >= 1<<(width-1) {
		v -= short
	}
	return v
}

// zeros reads how many symbols more have no probability. It stops above most.
func (f *forward) zeros(most int) int {
	n := 0
	for {
		v := f.read(2)
		n += v
		if v < 3 || n > most {
			return min(n, most)
		}
	}
}

// A cell is a state of an FSE decoder.
type cell struct {
	symbol byte
	bits   uint8  // to read for the next state
	next   uint16 // to add them to
}

// cells lays the distribution out as a decoding table: RFC 8878, From Normalized
// Distribution to Decoding Tables.
func (d *distribution) cells(table []cell) {
	size := 1 << d.log
	table = table[:size]
	last := size - 1 // where a symbol of more than one cell can be
	var next [maxCodes]uint16
	for s, count := range d.counts[:d.size] {
		next[s] = uint16(max(count, 1))
		if count < 0 {
			table[last].symbol = byte(s)
			last--
		}
	}
	pos := 0
	for s, count := range d.counts[:d.size] {
		for range count {
			table[pos].symbol = byte(s)
			for pos = d.step(pos); pos > last; {
				pos = d.step(pos)
			}
		}
	}
	for i := range table {
		c := &table[i]
		x := next[c.symbol]
		next[c.symbol]++
		c.bits = uint8(d.log + 1 - bits.Len16(x))
		c.next = x<<c.bits - uint16(size)
	}
}

func (d *distribution) step(pos int) int {
	size := 1 << d.log
	return (pos + size>>1 + size>>3 + 3) & (size - 1)
}
