package xzdec

import (
	"errors"
	"io"

	"github.com/nodelens/nodelens/internal/checkpoint"
)

// A phase says what comes next in a file.
type phase uint8

const (
	atStream    phase = iota // a stream header, stream padding, or the end
	atBlock                  // a block header, or the index
	inChunks                 // a chunk of LZMA2, or the mark of their end
	afterChunks              // block padding and the check
	atIndex                  // the index
)

// A progress is all of a decoder that decoding can be taken up from but the window.
type progress struct {
	off    int64 // in the file
	phase  phase
	stream stream
	block  block
	check  check
	stages []stage // the filters behind LZMA2
	lzma   *lzma   // nil between blocks
	whole  int64   // as in the window
	dict   int     // the size of the dictionary
}

// clone returns a copy that shares nothing.
func (p *progress) clone() progress {
	twin := *p
	twin.check = p.check.clone()
	twin.stages = nil
	for _, s := range p.stages {
		twin.stages = append(twin.stages, stage{filter: s.clone(), held: append([]byte(nil), s.held...)})
	}
	if p.lzma != nil {
		model := *p.lzma
		twin.lzma = &model
	}
	return twin
}

// A decoder implements [checkpoint.Decoder] and [checkpoint.Indexed].
type decoder struct {
	progress
	file io.ReaderAt // nil if the input is all there is
	size int64
	in   input
	win  window
	tail []byte // what the filters held back at the end of a block
	err  error  // what to return when all content was
}

// Next implements [checkpoint.Decoder].
func (d *decoder) Next() ([]byte, error) {
	for {
		p := d.take()
		if len(p) > 0 {
			return p, nil
		}
		if err := d.err; err != nil {
			if _, doubt := errors.AsType[*checkpoint.Mismatch](err); doubt {
				d.err = nil
			}
			return nil, err
		}
		d.err = d.step()
	}
}

// take returns content that is decoded already, and adds it to the check.
func (d *decoder) take() []byte {
	p := d.win.next(checkpoint.MaxPiece - maxHeld)
	for i := range d.stages {
		if len(p) > 0 {
			p = d.stages[i].pass(p, false)
		}
	}
	if len(p) == 0 && d.win.read == d.win.end {
		p, d.tail = d.tail, nil
	}
	if want := d.block.wantContent; want >= 0 && int64(len(p)) > want-d.block.content {
		p = p[:want-d.block.content]
		d.win.read, d.tail = d.win.end, nil
		d.err = d.fault(d.in.offset(), errBlockSize)
	}
	d.check.add(p)
	d.block.content += int64(len(p))
	d.stream.content += int64(len(p))
	return p
}

// step goes on by a header, a chunk or a check.
func (d *decoder) step() error {
	switch d.phase {
	case atStream:
		return d.streamHeader()
	case atBlock:
		return d.blockHeader()
	case inChunks:
		return d.chunk()
	case afterChunks:
		return d.blockEnd()
	}
	return d.index()
}

// flush passes what the filters held back through those behind them.
func (d *decoder) flush() {
	var p []byte
	for i := range d.stages {
		p = d.stages[i].pass(p, true)
	}
	d.tail = p
}

// State implements [checkpoint.Decoder].
func (d *decoder) State() *checkpoint.State {
	if d.win.read != d.win.end || len(d.tail) > 0 || d.err != nil {
		return nil
	}
	at := &d.progress
	at.off, at.whole, at.dict = d.in.offset(), d.win.whole, d.win.size
	state := &checkpoint.State{}
	if d.phase == inChunks && !d.forgets() {
		state.Window = append([]byte(nil), d.win.dictionary()...)
	}
	rest := at.clone()
	state.Rest = &rest
	return state
}

// forgets reports whether the next chunk needs nothing before it.
func (d *decoder) forgets() bool {
	head, err := d.in.peek(1)
	return err != nil || head[0] == chunkEnd || head[0] == chunkStoredReset || head[0] >= chunkReset
}

// fault returns a FormatError.
func (d *decoder) fault(offset int64, err error) error {
	return &checkpoint.FormatError{Offset: offset, Err: err}
}
