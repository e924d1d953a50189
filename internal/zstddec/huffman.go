package zstddec

import (
	"errors"
	"math/bits"
)

const (
	huffmanBits = 11 // of a code, at most: RFC 8878, Huffman Tree Description
	maxSymbols  = 256
)

// What is wrong with Huffman codes.
var (
	errWeights = errors.New("weights make no Huffman code")
	errStream  = errors.New("bit stream does not end with its last symbol")
)

// A huffman decodes literals. The table is indexed by the next huffmanBits bits, its
// entries are symbol<<8 | bits.
type huffman struct {
	valid bool
	table [1 << huffmanBits]uint16
}

// read reads a code from the beginning of b.
func (h *huffman) read(b *body) error {
	h.valid = false
	head, err := b.cut(1)
	if err != nil {
		return err
	}
	var weights [maxSymbols]uint8
	var n int
	if size := int(head.bytes()[0]); size >= 128 {
		n = size - 127
		err = directWeights(b, weights[:n])
	} else if head, err = b.cut(size); err == nil {
		n, err = fseWeights(head, weights[:maxSymbols-1])
	}
	if err != nil {
		return err
	}
	return h.build(&weights, n)
}

// directWeights reads weights of four bits each.
func directWeights(b *body, weights []uint8) error {
	part, err := b.cut((len(weights) + 1) / 2)
	if err != nil {
		return err
	}
	for i := range weights {
		weights[i] = part.bytes()[i/2] >> (4 * (^i & 1)) & 15
	}
	return nil
}

// fseWeights reads weights that fill b, and returns how many. Two states take turns;
// the stream ends where one of them finds no more bits.
func fseWeights(b body, weights []uint8) (int, error) {
	d, err := readDistribution(&b, huffmanBits+1, 6)
	if err != nil {
		return 0, err
	}
	var table [1 << 6]cell
	d.cells(table[:])
	in, ok := newBackward(b)
	if !ok {
		return 0, errStream
	}
	state := uint16(in.read(d.log))
	other := uint16(in.read(d.log))
	if in.left() < 0 {
		return 0, errStream
	}
	for n := range weights {
		c := table[state]
		weights[n] = c.symbol
		if in.left() < int(c.bits) {
			if n+2 > len(weights) {
				break
			}
			weights[n+1] = table[other].symbol
			return n + 2, nil
		}
		state, other = other, c.next+uint16(in.read(int(c.bits)))
	}
	return 0, errWeights
}

// build makes the table. The weight of the last symbol, after the n given, is what is
// missing to a power of two.
func (h *huffman) build(weights *[maxSymbols]uint8, n int) error {
	sum := 0
	for _, w := range weights[:n] {
		if w > huffmanBits {
			return errWeights
		}
		sum += 1 << w >> 1
	}
	width := bits.Len(uint(sum))
	rest := 1<<width - sum
	if sum == 0 || width > huffmanBits || rest&(rest-1) != 0 {
		return errWeights
	}
	weights[n] = uint8(bits.Len(uint(rest)))
	h.fill(weights[:n+1], width)
	h.valid = true
	return nil
}

// fill lays out the symbols in the order of their weights. Codes of width bits are the
// longest.
func (h *huffman) fill(weights []uint8, width int) {
	var at [huffmanBits + 2]int // where the next symbol of a weight goes
	for _, w := range weights {
		at[w+1] += 1 << w >> 1 << (huffmanBits - width)
	}
	for w := 2; w < len(at); w++ {
		at[w] += at[w-1]
	}
	for s, w := range weights {
		if w == 0 {
			continue
		}
		size := 1 << w >> 1 << (huffmanBits - width)
		cells := h.table[at[w]:][:size]
		at[w] += size
		e := uint16(s)<<8 | uint16(width+1-int(w))
		for i := range cells {
			cells[i] = e
		}
	}
}
