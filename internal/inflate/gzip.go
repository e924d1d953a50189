package inflate

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/nodelens/nodelens/internal/checkpoint"
)

// gzipID is how a member begins.
const gzipID = "\x1f\x8b"

// The bits of the FLG byte of a gzip header.
const (
	flagHeaderSum = 1 << 1
	flagExtra     = 1 << 2
	flagName      = 1 << 3
	flagComment   = 1 << 4
	flagReserved  = 7 << 5
)

// A gzip is the framing of gzip members.
type gzip struct {
	crc     uint32
	size    int64
	members int
	doubt   *checkpoint.Mismatch // of the header
}

func (g *gzip) clone() framing {
	c := *g
	return &c
}

// begin reads the header of a member. Behind the first there may be zeros.
func (g *gzip) begin(in *input) error {
	g.crc, g.size = 0, 0
	if g.members > 0 {
		if err := skipZeros(in); err != nil {
			return err
		}
	}
	g.members++
	h := header{in: in}
	if id := h.read(2); id != nil && string(id) != gzipID {
		in.pos -= len(id)
		return errors.New("no header of a gzip member")
	}
	fixed := h.read(8)
	if fixed == nil {
		return fmt.Errorf("gzip header: %w", h.err)
	}
	method, flags := fixed[0], fixed[1]
	if method != 8 || flags&flagReserved != 0 {
		return fmt.Errorf("gzip header with method %d and flags %#x, which are not known", method, flags)
	}
	h.fields(flags)
	if flags&flagHeaderSum != 0 {
		sum := uint16(h.crc)
		at := in.offset()
		if b := h.read(2); b != nil && binary.LittleEndian.Uint16(b) != sum {
			g.doubt = &checkpoint.Mismatch{Offset: at, What: "CRC-16 of the gzip header"}
		}
	}
	if h.err != nil {
		return fmt.Errorf("gzip header: %w", h.err)
	}
	return nil
}

// fields passes over the optional fields that the flags tell of.
func (h *header) fields(flags byte) {
	if flags&flagExtra != 0 {
		if n := h.read(2); n != nil {
			h.skip(int(binary.LittleEndian.Uint16(n)))
		}
	}
	if flags&flagName != 0 {
		h.text()
	}
	if flags&flagComment != 0 {
		h.text()
	}
}

// skipZeros passes over zeros, and returns io.EOF where nothing else follows.
func skipZeros(in *input) error {
	for {
		b, err := in.bytes(1)
		switch {
		case errors.Is(err, io.ErrUnexpectedEOF):
			return io.EOF
		case err != nil:
			return err
		case b[0] != 0:
			in.pos--
			return nil
		}
	}
}

// A header reads the fields of a gzip header, and their CRC-32, up to an error.
type header struct {
	in  *input
	crc uint32
	err error
}

// read returns the next n bytes; nil on an error.
func (h *header) read(n int) []byte {
	if h.err != nil {
		return nil
	}
	var b []byte
	b, h.err = h.in.bytes(n)
	h.crc = crc32.Update(h.crc, crc32.IEEETable, b)
	return b
}

func (h *header) skip(n int) {
	for ; n > 0 && h.err == nil; n -= min(n, 64) {
		h.read(min(n, 64))
	}
}

// text passes over a text that ends with a zero.
func (h *header) text() {
	for b := h.read(1); b != nil && b[0] != 0; {
		b = h.read(1)
	}
}

func (g *gzip) add(content []byte) {
	g.crc = crc32.Update(g.crc, crc32.IEEETable, content)
	g.size += int64(len(content))
}

// end reads the trailer of a member.
func (g *gzip) end(in *input) (*checkpoint.Mismatch, error) {
	at := in.offset()
	b, err := in.bytes(8)
	if err != nil {
		return nil, fmt.Errorf("gzip trailer: %w", err)
	}
	m := &checkpoint.Mismatch{Offset: at, Size: g.size}
	switch {
	case binary.LittleEndian.Uint32(b) != g.crc:
		m.What = "CRC-32"
	case binary.LittleEndian.Uint32(b[4:]) != uint32(g.size):
		m.Offset, m.What = at+4, "length"
	default:
		m, g.doubt = g.doubt, nil
	}
	return m, nil
}
