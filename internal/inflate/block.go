package inflate

import (
	"errors"
	"io"
)

var (
	errBlockType = errors.New("block of type 3, which does not exist")
	errStored    = errors.New("the length of a stored block and its complement do not fit")
	errCode      = errors.New("lengths that make no Huffman code")
	errSymbol    = errors.New("bits that are no symbol of the block's code")
	errDistance  = errors.New("match that reaches back before the content")
)

// A kind is where a decoder is in a stream of blocks.
type kind uint8

const (
	between kind = iota // blocks: at the header of one
	stored              // in a block that is not compressed
	coded               // in a block with codes
)

// A block is the state of decoding one, but for its tables.
type block struct {
	kind   kind
	last   bool
	left   int        // bytes of a stored block
	fixed  bool       // the codes are those of the format
	lens   [320]uint8 // lengths of the codes of literals and lengths, and from 288 on of distances
	stream bool       // the stream of blocks has not ended
}

// header reads the header of a block.
func (d *decoder) header() error {
	h, err := d.in.take(3)
	if err != nil {
		return err
	}
	d.block.last = h&1 != 0
	switch h >> 1 {
	case 0:
		return d.storedHeader()
	case 1:
		d.block.kind, d.block.fixed = coded, true
		d.code = fixed()
		return nil
	case 2:
		return d.dynamicHeader()
	}
	return errBlockType
}

func (d *decoder) storedHeader() error {
	d.in.align()
	b, err := d.in.bytes(4)
	if err != nil {
		return err
	}
	n := int(b[0]) | int(b[1])<<8
	if n^0xffff != int(b[2])|int(b[3])<<8 {
		return errStored
	}
	d.block.kind, d.block.left = stored, n
	return nil
}

// order is that of the lengths of the code of lengths (RFC 1951, section 3.2.7).
var order = [19]uint8{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}

// dynamicHeader reads the lengths of the codes of a block.
func (d *decoder) dynamicHeader() error {
	v, err := d.in.take(14)
	if err != nil {
		return err
	}
	nlit, ndist, nlen := int(v&31)+257, int(v>>5&31)+1, int(v>>10)+4
	if nlit > 286 || ndist > 30 {
		return errCode
	}
	var lens [19]uint8
	for _, i := range order[:nlen] {
		n, err := d.in.take(3)
		if err != nil {
			return err
		}
		lens[i] = uint8(n)
	}
	if !build(d.lengths[:], lengthBits, lens[:], lengthSymbols[:]) {
		return errCode
	}
	var all [286 + 30]uint8
	if err := d.readLengths(all[:nlit+ndist]); err != nil {
		return err
	}
	b := &d.block
	b.lens = [320]uint8{}
	copy(b.lens[:], all[:nlit])
	copy(b.lens[288:], all[nlit:nlit+ndist])
	return d.dynamic()
}

// dynamic makes the tables of a block from its lengths.
func (d *decoder) dynamic() error {
	b := &d.block
	if !build(d.own.lit[:], litBits, b.lens[:288], litSymbols[:]) ||
		!build(d.own.dist[:], distBits, b.lens[288:], distSymbols[:]) {
		return errCode
	}
	d.code = &d.own
	b.kind, b.fixed = coded, false
	return nil
}

// lengthBits is the longest that a code of a length can be.
const lengthBits = 7

var lengthSymbols = func() (s [19]entry) {
	for i := range s {
		s[i] = entry(i) << 16
	}
	return s
}()

// readLengths reads the lengths of codes, which are themselves coded.
func (d *decoder) readLengths(lens []uint8) error {
	for i := 0; i < len(lens); {
		if err := d.in.top(); err != nil {
			return err
		}
		e := d.lengths[d.in.bits&(1<<lengthBits-1)]
		if e.width() > d.in.n || e&stop != 0 && d.in.n < lengthBits {
			return io.ErrUnexpectedEOF
		}
		if e&stop != 0 {
			return errCode
		}
		d.in.drop(e.width())
		if e.value() < 16 {
			lens[i] = uint8(e.value())
			i++
			continue
		}
		n, err := d.repeat(e.value())
		switch {
		case err != nil:
			return err
		case i+n > len(lens), e.value() == 16 && i == 0:
			return errCode
		}
		for range n {
			if e.value() == 16 {
				lens[i] = lens[i-1]
			}
			i++
		}
	}
	return nil
}

// repeat returns how often a symbol of the code of lengths says that a length comes.
func (d *decoder) repeat(symbol int) (int, error) {
	base, extra := 3, uint(2)
	switch symbol {
	case 17:
		extra = 3
	case 18:
		base, extra = 11, 7
	}
	n, err := d.in.take(extra)
	return base + int(n), err
}
