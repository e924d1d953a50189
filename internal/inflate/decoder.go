package inflate

import (
	"errors"
	"fmt"
	"io"

	"github.com/nodelens/nodelens/internal/checkpoint"
)

// Gzip and Zlib are the formats of files that this package decodes.
var (
	Gzip checkpoint.Format = isGzip
	Zlib checkpoint.Format = isZlib
)

// A format is what is around the streams of a file.
type format uint8

const (
	isGzip format = iota
	isZlib
)

func (f format) framing() framing {
	if f == isZlib {
		return &zlib{sum: 1}
	}
	return new(gzip)
}

// A framing is what is around a stream of blocks.
type framing interface {
	// begin reads what is before a stream. At the end of the file it returns io.EOF.
	begin(*input) error
	// add takes note of content.
	add(content []byte)
	// end reads what is behind a stream, and returns what does not fit the content; nil
	// if all does.
	end(*input) (*checkpoint.Mismatch, error)
	// clone returns the framing as it is now.
	clone() framing
}

// A decoder decodes one file.
type decoder struct {
	in      input
	framing framing
	block   block
	begun   bool // a stream has begun, whose end has not been read
	err     error

	out     []byte // content of before, up to window, and behind it the piece, up to pos
	pos     int
	have    int // bytes before window that may be referred to
	code    *code
	own     code
	lengths [1 << lengthBits]entry
}

// A state is what it takes to go on, besides the window.
type state struct {
	off     int64 // in the file: of the next byte
	bits    uint8 // the n bits before it that are not decoded yet
	n       uint8
	begun   bool
	block   block
	framing framing
}

// NewDecoder implements [checkpoint.Format].
func (f format) NewDecoder(r io.ReaderAt, size int64, at *checkpoint.State) (checkpoint.Decoder, error) {
	d := &decoder{
		in:      input{r: r, size: size},
		framing: f.framing(),
		out:     make([]byte, window+pieceSize+slack),
		pos:     window,
	}
	if at == nil {
		if err := d.begin(); err != nil {
			return nil, d.at(err)
		}
		return d, nil
	}
	s, ok := at.Rest.(*state)
	if !ok || len(at.Window) > window {
		return nil, fmt.Errorf("inflate: a state of another format: %T", at.Rest)
	}
	d.in.seek(s.off)
	d.in.bits, d.in.n = uint64(s.bits), uint(s.n)
	d.begun, d.block, d.framing = s.begun, s.block, s.framing.clone()
	d.have = copy(d.out[window-len(at.Window):], at.Window)
	switch {
	case d.block.kind != coded:
	case d.block.fixed:
		d.code = fixed()
	default:
		if err := d.dynamic(); err != nil {
			return nil, d.at(err)
		}
	}
	return d, nil
}

// begin reads what is before a stream.
func (d *decoder) begin() error {
	if err := d.framing.begin(&d.in); err != nil {
		return err
	}
	d.begun, d.have = true, 0
	d.block.kind, d.block.stream = between, true
	return nil
}

// at gives an error its place.
func (d *decoder) at(err error) error {
	if errors.Is(err, io.EOF) {
		return err
	}
	return &checkpoint.FormatError{Offset: d.in.offset(), Err: err}
}

// Next implements [checkpoint.Decoder].
func (d *decoder) Next() ([]byte, error) {
	d.slide()
	for d.err == nil {
		switch {
		case !d.begun:
			d.err = d.begin()
		case d.block.stream:
			d.err = d.blocks()
			if d.pos > window {
				piece := d.out[window:d.pos]
				d.framing.add(piece)
				return piece, nil
			}
		default:
			d.begun, d.have = false, 0
			d.in.align()
			mismatch, err := d.framing.end(&d.in)
			d.err = err
			if mismatch != nil {
				return nil, mismatch
			}
		}
	}
	return nil, d.at(d.err)
}

// slide makes the end of the last piece the window of the next.
func (d *decoder) slide() {
	n := d.pos - window
	d.have = min(window, d.have+n)
	copy(d.out[window-d.have:window], d.out[d.pos-d.have:d.pos])
	d.pos = window
}

// State implements [checkpoint.Decoder].
func (d *decoder) State() *checkpoint.State {
	if d.err != nil {
		return nil
	}
	d.in.unread()
	s := &state{
		off:   d.in.off - int64(len(d.in.buf)-d.in.pos),
		bits:  uint8(d.in.bits),
		n:     uint8(d.in.n),
		begun: d.begun, block: d.block, framing: d.framing.clone(),
	}
	at := &checkpoint.State{Rest: s}
	if d.begun && d.block.stream {
		at.Window = append(at.Window, d.out[d.pos-min(window, d.have+d.pos-window):d.pos]...)
	}
	return at
}
