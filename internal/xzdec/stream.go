package xzdec

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"

	"github.com/nodelens/nodelens/internal/checkpoint"
)

// Sizes of a stream's header and footer: section 2.1.
const (
	headerSize = 12
	footerSize = 12
)

var (
	errMagic   = errors.New("neither an xz stream nor padding of zeros")
	errPadding = errors.New("stream padding is not a multiple of four bytes")
	errHeader  = errors.New("stream header does not fit its CRC-32")
	errFlags   = errors.New("stream flags that the format does not define")
	errIndex   = errors.New("the index does not fit the blocks, and no stream footer is where it should be")
	errFooter  = errors.New("no stream footer behind the index")
)

// A stream is what is known of the current stream.
type stream struct {
	check   checkID
	content int64
	blocks  int64
	// The records of the blocks so far, as the index should have them.
	recordsSize int64
	recordsCRC  uint32
}

// A record is what the index says of a block. None has no unpadded size.
type record struct {
	unpadded int64 // header, packed content and check
	content  int64
}

// add adds a block to what the index should be.
func (s *stream) add(r record) {
	b := appendNumber(appendNumber(make([]byte, 0, 2*maxNumber), r.unpadded), r.content)
	s.blocks++
	s.recordsSize += int64(len(b))
	s.recordsCRC = crc32.Update(s.recordsCRC, crc32.IEEETable, b)
}

// streamHeader reads the header of a stream, the padding before it, or the end.
func (d *decoder) streamHeader() error {
	first := d.in.offset() == 0
	for {
		start := d.in.offset()
		b, err := d.in.peek(4)
		switch {
		case len(b) == 0 && errors.Is(err, io.EOF) && !first:
			return io.EOF
		case len(b) < 4:
			if errors.Is(err, io.EOF) && !first && isZero(b) {
				return d.fault(start, errPadding)
			}
			return d.cut(err)
		case first || !isZero(b):
			return d.newStream(start)
		}
		d.in.skip(4)
	}
}

func (d *decoder) newStream(start int64) error {
	b, err := d.in.peek(headerSize)
	if !bytes.HasPrefix(b, []byte(headerMagic)[:min(len(b), len(headerMagic))]) {
		return d.fault(start, errMagic)
	}
	if err != nil {
		return d.cut(err)
	}
	d.stream = stream{}
	if d.stream.check, err = parseHeader(b); err != nil {
		return d.fault(start, err)
	}
	d.in.skip(headerSize)
	d.phase = atBlock
	return nil
}

// parseHeader returns the check that a stream header names.
func parseHeader(b []byte) (checkID, error) {
	flags := b[6:8]
	switch {
	case string(b[:6]) != headerMagic:
		return 0, errMagic
	case crc32.ChecksumIEEE(flags) != binary.LittleEndian.Uint32(b[8:]):
		return 0, errHeader
	case flags[0] != 0 || flags[1] > byte(maxCheckID):
		return 0, errFlags
	}
	return checkID(flags[1]), nil
}

// index compares the index and the footer with what they should be. Where there is a
// footer behind them, other streams may follow, whatever they say.
func (d *decoder) index() error {
	start := d.in.offset()
	size, fits, err := d.compareIndex()
	if err != nil {
		return err
	}
	at := d.in.offset()
	b, err := d.in.peek(footerSize)
	if err != nil {
		return d.cut(err)
	}
	check, backward, ok := parseFooter(b)
	marked := string(b[footerSize-len(footerMagic):]) == footerMagic
	switch {
	case !marked && !fits:
		return d.fault(start, errIndex)
	case !marked:
		return d.fault(at, errFooter)
	}
	d.in.skip(footerSize)
	d.phase = atStream
	switch {
	case !fits:
		return &checkpoint.Mismatch{Offset: start, What: "index", Size: d.stream.content}
	case !ok || check != d.stream.check || backward != size:
		return &checkpoint.Mismatch{Offset: at, What: "stream footer", Size: d.stream.content}
	}
	return nil
}

// parseFooter returns what a stream footer says: the check, and the size of the index.
func parseFooter(b []byte) (check checkID, index int64, ok bool) {
	if string(b[10:12]) != footerMagic || crc32.ChecksumIEEE(b[4:10]) != binary.LittleEndian.Uint32(b) ||
		b[8] != 0 || b[9] > byte(maxCheckID) {
		return 0, 0, false
	}
	return checkID(b[9]), (int64(binary.LittleEndian.Uint32(b[4:])) + 1) * 4, true
}

// compareIndex passes over the index as it should be, and reports whether it is.
func (d *decoder) compareIndex() (size int64, fits bool, err error) {
	s := &d.stream
	head := appendNumber([]byte{0}, s.blocks)
	b, err := d.in.peek(len(head))
	if err != nil {
		return 0, false, d.cut(err)
	}
	fits = bytes.Equal(b, head)
	crc := crc32.ChecksumIEEE(b)
	d.in.skip(len(head))
	records := uint32(0)
	for left := s.recordsSize; left > 0; left -= int64(len(b)) {
		if b, err = d.in.peek(int(min(left, inputSize))); err != nil {
			return 0, false, d.cut(err)
		}
		records = crc32.Update(records, crc32.IEEETable, b)
		crc = crc32.Update(crc, crc32.IEEETable, b)
		d.in.skip(len(b))
	}
	size = int64(len(head)) + s.recordsSize
	pad := padding(size)
	if b, err = d.in.peek(pad + 4); err != nil {
		return 0, false, d.cut(err)
	}
	crc = crc32.Update(crc, crc32.IEEETable, b[:pad])
	fits = fits && records == s.recordsCRC && isZero(b[:pad]) && crc == binary.LittleEndian.Uint32(b[pad:])
	d.in.skip(pad + 4)
	return size + int64(pad) + 4, fits, nil
}

func isZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}
