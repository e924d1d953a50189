package inflate

import "io"

const (
	window    = 32 << 10
	pieceSize = 128 << 10
	// slack is how far behind the end of a piece the fast loop may write: three literals
	// and the longest match, in steps of 8 bytes.
	slack = 3 + 258 + 8
)

// blocks decodes until the piece is full or the stream ends.
func (d *decoder) blocks() error {
	for d.pos < window+pieceSize && d.block.stream {
		var err error
		switch d.block.kind {
		case between:
			err = d.header()
		case stored:
			err = d.stored()
		case coded:
			err = d.coded()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// endBlock goes on behind a block.
func (d *decoder) endBlock() {
	d.block.kind = between
	d.block.stream = !d.block.last
}

// stored copies from a stored block.
func (d *decoder) stored() error {
	d.in.unread()
	if err := d.in.ahead(1); err != nil {
		return err
	}
	n := copy(d.out[d.pos:window+pieceSize], d.in.buf[d.in.pos:min(len(d.in.buf), d.in.pos+d.block.left)])
	if n == 0 && d.block.left > 0 {
		return io.ErrUnexpectedEOF
	}
	d.pos += n
	d.in.pos += n
	if d.block.left -= n; d.block.left == 0 {
		d.endBlock()
	}
	return nil
}

// coded decodes symbols of a block.
func (d *decoder) coded() error {
	for d.pos < window+pieceSize {
		if err := d.in.ahead(padding); err != nil {
			return err
		}
		var e entry
		var err error
		if len(d.in.buf)-d.in.pos >= padding {
			e, err = d.fast()
		} else {
			e, err = d.symbol()
		}
		if err != nil {
			return err
		}
		if e&end != 0 {
			d.endBlock()
			return nil
		}
	}
	return nil
}

// symbol decodes one symbol near the end of the file, and a distance if it needs one. It
// returns the entry of the symbol.
func (d *decoder) symbol() (entry, error) {
	in := &d.in
	if err := in.top(); err != nil {
		return 0, err
	}
	b, n := in.bits, in.n
	e, err := lookup(d.code.lit[:], litBits, &b, &n)
	if err != nil {
		return 0, err
	}
	switch {
	case e&stop != 0:
	case e&literal != 0:
		d.out[d.pos] = byte(e.value())
		d.pos++
	default:
		before := in.bits >> (in.n - n - e.width())
		f, err := lookup(d.code.dist[:], distBits, &b, &n)
		if err != nil {
			return 0, err
		}
		length := e.with(before)
		distance := f.with(in.bits >> (in.n - n - f.width()))
		if distance > d.pos-window+d.have {
			return 0, errDistance
		}
		expand(d.out, d.pos, length, distance)
		d.pos += length
	}
	in.bits, in.n = b, n
	return e, nil
}

// lookup decodes one symbol with its extra bits out of the n bits b.
func lookup(table []entry, first uint, b *uint64, n *uint) (entry, error) {
	e := table[*b&(1<<first-1)]
	if e&link != 0 {
		if e.width() > *n {
			return 0, io.ErrUnexpectedEOF
		}
		index, rest := e.follow(*b)
		*b, *n = rest, *n-e.width()
		e = table[index]
	}
	switch {
	case e.width() > *n, e.width() == 0 && *n < maxLength:
		return 0, io.ErrUnexpectedEOF
	case e&stop != 0 && e&end == 0:
		return 0, errSymbol
	}
	*b, *n = *b>>e.width(), *n-e.width()
	return e, nil
}

// expand copies length bytes in out to pos from distance bytes before. It may write 7
// bytes more.
func expand(out []byte, pos, length, distance int) {
	switch {
	case distance >= 8 && length <= 32 || distance >= 8 && distance < length:
		for i := 0; i < length; i += 8 {
			store(out, pos+i, load(out, pos+i-distance))
		}
	case distance >= 8:
		copy(out[pos:pos+length], out[pos-distance:])
	default:
		repeat(out[pos:pos+length+7], out[pos-distance:pos])
	}
}

// strides is how many of 8 bytes whole periods fill, by their length.
var strides = [8]int{1: 8, 2: 8, 3: 6, 4: 8, 5: 5, 6: 6, 7: 7}

// repeat fills out, but for as many as its last 7 bytes, with a short period.
func repeat(out, period []byte) {
	var v uint64
	for i := range 8 {
		v |= uint64(period[i%len(period)]) << (8 * i)
	}
	stride := strides[len(period)&7]
	for len(out) >= 8 {
		store(out, 0, v)
		out = out[min(stride, len(out)):]
	}
}
