package xzdec

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Control bytes of LZMA2's chunks.
const (
	chunkEnd         = 0x00
	chunkStoredReset = 0x01 // stored, the dictionary is reset
	chunkStored      = 0x02
	chunkLZMA        = 0x80 // and all above
	chunkState       = 0xa0 // the state is reset
	chunkProperties  = 0xc0 // and the properties are new
	chunkReset       = 0xe0 // and the dictionary is reset
)

var (
	errDictionary = errors.New("LZMA2: the first chunk does not reset the dictionary")
	errProperties = errors.New("LZMA2: malformed properties, or none")
)

// chunk decodes one chunk of a block, or passes over the mark of its end.
func (d *decoder) chunk() error {
	start := d.in.offset()
	head, err := d.in.peek(1)
	if err != nil {
		return d.cut(err)
	}
	control := head[0]
	switch {
	case control == chunkEnd:
		d.in.skip(1)
		d.block.packed = d.in.offset() - d.block.start
		d.phase = afterChunks
		d.flush()
		return nil
	case control > chunkStored && control < chunkLZMA:
		return d.fault(start, fmt.Errorf("LZMA2: control byte %#x", control))
	}
	if control == chunkStoredReset || control >= chunkReset {
		d.win.reset()
		d.block.ready, d.block.properties = true, false
	}
	if !d.block.ready {
		return d.fault(start, errDictionary)
	}
	if control < chunkLZMA {
		err = d.stored()
	} else {
		err = d.packed(control)
	}
	if err == nil && d.block.wantPacked >= 0 && d.in.offset()-d.block.start > d.block.wantPacked {
		err = d.fault(start, errBlockSize)
	}
	return err
}

// stored copies a chunk that is not compressed.
func (d *decoder) stored() error {
	head, err := d.in.peek(3)
	if err != nil {
		return d.cut(err)
	}
	n := int(binary.BigEndian.Uint16(head[1:])) + 1
	d.in.skip(len(head))
	b, err := d.in.peek(n)
	d.win.reserve(n)
	d.win.append(b)
	d.in.skip(len(b))
	if err != nil {
		return d.cut(err)
	}
	return nil
}

// packed decodes a compressed chunk.
func (d *decoder) packed(control byte) error {
	start := d.in.offset()
	head, err := d.in.peek(6)
	if len(head) < 6 && (control >= chunkProperties || len(head) < 5) {
		return d.cut(err)
	}
	n := int(control&0x1f)<<16 + int(binary.BigEndian.Uint16(head[1:])) + 1
	packed := int(binary.BigEndian.Uint16(head[3:])) + 1
	if control >= chunkProperties {
		d.block.properties = d.lzma.properties(head[5])
		d.in.skip(6)
	} else {
		d.in.skip(5)
	}
	if !d.block.properties {
		return d.fault(start, errProperties)
	}
	if control >= chunkState {
		d.lzma.reset()
	}
	b, missing := d.in.peek(packed)
	d.win.reserve(n)
	err = d.lzma.decode(&d.win, n, b[:len(b)+lookahead], len(b))
	d.in.skip(len(b))
	switch {
	case missing != nil && (err == nil || errors.Is(err, errPacked) || errors.Is(err, errRest)):
		return d.cut(missing)
	case err != nil:
		return d.fault(start, err)
	}
	return nil
}

// cut says that the file ends too early, or can't be read.
func (d *decoder) cut(err error) error {
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return d.fault(d.in.base+int64(d.in.end), err)
}
