package zstddec

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/nodelens/nodelens/internal/checkpoint"
)

// A decoder implements [checkpoint.Decoder] and [checkpoint.Indexed].
type decoder struct {
	in     source
	place  // in the frame
	hist   history
	tables tables
	scratch
	err error // for good
}

// A place is where in a frame a decoder is.
type place struct {
	frame   frame
	inside  bool  // false between frames
	last    bool  // no block follows in the frame
	decoded int64 // bytes of the frame's content
	listed  int64 // bytes of the next frame's content by a seek table; 0 where there is none
	sum     digest
}

func (d *decoder) Next() ([]byte, error) {
	for d.err == nil {
		piece, err := d.step()
		if _, doubt := errors.AsType[*checkpoint.Mismatch](err); doubt || errors.Is(err, io.EOF) {
			return nil, err // not for good
		}
		d.err = err
		if len(piece) > 0 {
			return piece, nil
		}
	}
	return nil, d.err
}

// step decodes what comes next: a header, a block or a frame's end. It may return
// content and an error that is behind it.
func (d *decoder) step() ([]byte, error) {
	if !d.inside {
		return nil, d.begin()
	}
	if d.last {
		return nil, d.end()
	}
	return d.block()
}

// wrong returns err as what is wrong at the next byte of the file.
func (d *decoder) wrong(err error) error {
	return &checkpoint.FormatError{Offset: d.in.off, Err: err}
}

// begin reads a frame's header, or passes over a skippable frame.
func (d *decoder) begin() error {
	if d.in.off == d.in.size {
		return io.EOF
	}
	if err := d.in.need(8); err != nil {
		return d.wrong(fmt.Errorf("header of a zstd frame: %w", err))
	}
	head := d.in.peek(8)
	switch magic := binary.LittleEndian.Uint32(head); {
	case skippable(magic):
		if d.listed > 0 {
			return d.wrong(errListed)
		}
		n := 8 + int64(binary.LittleEndian.Uint32(head[4:]))
		if n > d.in.size-d.in.off {
			return d.wrong(fmt.Errorf("skippable frame: %w", io.ErrUnexpectedEOF))
		}
		d.in.skip(n)
		return nil
	case magic != magicFrame:
		return d.wrong(errMagic)
	}
	size := header(head[4]).size()
	if err := d.in.need(size); err != nil {
		return d.wrong(fmt.Errorf("header of a zstd frame: %w", err))
	}
	f, err := parseFrame(d.in.peek(size))
	if err != nil {
		return d.wrong(err)
	}
	d.in.skip(int64(size))
	if d.listed > 0 {
		if f.content >= 0 && f.content != d.listed {
			return d.wrong(errListed)
		}
		f.content = d.listed
	}
	d.place = place{frame: f, inside: true, sum: newDigest()}
	d.tables.reset()
	d.hist.reset(f.window, f.blockMax())
	return nil
}

// end reads what is behind a frame's last block, and checks the frame as a whole.
func (d *decoder) end() error {
	f, decoded := d.frame, d.decoded
	if f.content >= 0 && f.content != decoded {
		return d.wrong(fmt.Errorf("frame of %d bytes of content, not the %d of its header or the seek table", decoded, f.content))
	}
	if !f.checksum {
		d.place = place{}
		return nil
	}
	if err := d.in.need(4); err != nil {
		return d.wrong(fmt.Errorf("content checksum: %w", err))
	}
	off, got := d.in.off, uint32(d.sum.sum())
	want := binary.LittleEndian.Uint32(d.in.next(4))
	d.place = place{}
	if got != want {
		return &checkpoint.Mismatch{Offset: off, What: "XXH64", Size: decoded}
	}
	return nil
}
