package zstddec

import (
	"errors"
	"fmt"
)

// Block types: RFC 8878, Blocks.
const (
	blockRaw = iota
	blockRLE
	blockCompressed
)

// What is wrong with blocks.
var (
	errBlockType = errors.New("reserved type of zstd block")
	errBlockSize = errors.New("zstd block larger than the frame's window or 128 KiB")
)

// block decodes a block. Of a block without compression that the file ends in it
// returns what there is.
func (d *decoder) block() ([]byte, error) {
	if err := d.in.need(3); err != nil {
		return nil, d.wrong(fmt.Errorf("header of a zstd block: %w", err))
	}
	head := little(d.in.peek(3))
	kind, size := head>>1&3, int(head>>3)
	stored := size // bytes in the file
	if kind == blockRLE {
		stored = 1
	}
	switch {
	case kind > blockCompressed:
		return nil, d.wrong(errBlockType)
	case size > d.frame.blockMax():
		return nil, d.wrong(errBlockSize)
	}
	var piece []byte
	err := d.in.need(3 + stored)
	switch {
	case err == nil:
		piece, err = d.content(kind, size, stored)
	case kind == blockRaw:
		piece = d.in.peek(3 + stored)[3:]
	}
	if err != nil {
		return piece, d.wrong(fmt.Errorf("zstd block: %w", err))
	}
	d.in.skip(int64(3 + stored))
	d.last = head&1 != 0
	d.decoded += int64(len(piece))
	if d.frame.checksum {
		d.sum.add(piece)
	}
	return piece, nil
}

// content decodes the content of a block, behind its header, which is not passed yet.
func (d *decoder) content(kind uint64, size, stored int) ([]byte, error) {
	from := d.in.start + 3
	b := body{d.in.buf, from, from + stored}
	d.hist.makeRoom()
	at := d.hist.pos
	switch kind {
	case blockRaw:
		d.hist.add(b.bytes())
	case blockRLE:
		d.hist.fill(b.buf[from], size)
	default:
		if err := d.compressed(b); err != nil {
			return nil, err
		}
	}
	return d.hist.buf[at:d.hist.pos], nil
}

// compressed decodes a compressed block.
func (d *decoder) compressed(b body) error {
	limit := d.frame.blockMax()
	lits, err := d.literals(&b, limit)
	if err != nil {
		return err
	}
	seqs, err := d.sequences(&b, limit)
	if err != nil {
		return err
	}
	return d.hist.execute(seqs, lits, limit)
}

// A body is a part of a block that is still to be decoded, in a buffer with room to
// load beyond it.
type body struct {
	buf        []byte
	start, end int
}

func (b *body) len() int { return b.end - b.start }

func (b *body) bytes() []byte { return b.buf[b.start:b.end] }

// errShort is of a block that ends before what its headers announce.
var errShort = errors.New("ends before what it announces")

// cut takes n bytes off the beginning of b.
func (b *body) cut(n int) (body, error) {
	if n > b.len() {
		return body{}, errShort
	}
	front := body{b.buf, b.start, b.start + n}
	b.start += n
	return front, nil
}
