package zstddec

import (
	"errors"
	"slices"
)

// Literals block types: RFC 8878, Literals Section Header.
const (
	literalsRaw = iota
	literalsRLE
	literalsCompressed
	literalsTreeless
)

// What is wrong with literals.
var (
	errTreeless     = errors.New("literals without a Huffman code, and none before in the frame")
	errManyLiterals = errors.New("more literals than a block can have content")
	errJump         = errors.New("literals of four streams that are too short")
)

// A literalsHeader is how literals are stored.
type literalsHeader struct {
	kind    uint64
	size    int // of the literals
	stored  int // of what is in the file
	streams int // of Huffman codes
}

// literalsHeader reads the header of the literals from the beginning of b.
func readLiteralsHeader(b *body) (literalsHeader, error) {
	if b.len() == 0 {
		return literalsHeader{}, errShort
	}
	first := b.bytes()[0]
	h := literalsHeader{kind: uint64(first & 3), streams: 4}
	format := first >> 2 & 3
	if h.kind <= literalsRLE {
		n, skip := 1+int(format&1)+int(format&1&(format>>1)), 4
		if n == 1 {
			skip = 3 // format has one bit
		}
		head, err := b.cut(n)
		h.size = int(little(head.bytes()) >> skip)
		h.stored = h.size
		if h.kind == literalsRLE {
			h.stored = 1
		}
		return h, err
	}
	width := []int{10, 10, 14, 18}[format]
	if format == 0 {
		h.streams = 1
	}
	head, err := b.cut((4 + 2*width + 7) / 8)
	v := little(head.bytes()) >> 4
	h.size = int(v & (1<<width - 1))
	h.stored = int(v >> width)
	return h, err
}

// literals reads the literals from the beginning of b. There is room behind their end.
func (d *decoder) literals(b *body, limit int) ([]byte, error) {
	h, err := readLiteralsHeader(b)
	if err != nil {
		return nil, err
	}
	if h.size > limit {
		return nil, errManyLiterals
	}
	part, err := b.cut(h.stored)
	if err != nil {
		return nil, err
	}
	switch h.kind {
	case literalsRaw:
		return part.bytes(), nil
	case literalsRLE:
		lits := d.literalRoom(h.size)
		for i, c := 0, part.bytes()[0]; i < len(lits); i++ {
			lits[i] = c
		}
		return lits, nil
	case literalsCompressed:
		if err := d.tables.huffman.read(&part); err != nil {
			return nil, err
		}
	}
	if !d.tables.huffman.valid {
		return nil, errTreeless
	}
	lits := d.literalRoom(h.size)
	if h.streams == 1 {
		return lits, d.tables.huffman.one(lits, part)
	}
	return lits, d.tables.huffman.four(lits, part)
}

// A scratch is memory that a block needs and none after it.
type scratch struct {
	lits []byte
	seqs []sequence
}

// literalRoom returns room for n literals, with slack behind.
func (s *scratch) literalRoom(n int) []byte {
	s.lits = slices.Grow(s.lits[:0], n+slack)
	return s.lits[:n]
}

// sequenceRoom returns room for n sequences.
func (s *scratch) sequenceRoom(n int) []sequence {
	s.seqs = slices.Grow(s.seqs[:0], n)
	return s.seqs[:n]
}
