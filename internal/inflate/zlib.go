package inflate

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/adler32"
	"io"

	"github.com/nodelens/nodelens/internal/checkpoint"
)

// A zlib is the framing of a zlib stream.
type zlib struct {
	sum   uint32
	size  int64
	ended bool
}

func (z *zlib) clone() framing {
	c := *z
	return &c
}

// begin reads the header of the stream. Behind it there may be zeros.
func (z *zlib) begin(in *input) error {
	if z.ended {
		if err := skipZeros(in); err != nil {
			return err
		}
		return errors.New("bytes behind the end of the zlib stream")
	}
	b, err := in.bytes(2)
	switch {
	case err != nil:
		return fmt.Errorf("zlib header: %w", err)
	case !zlibHeader(b):
		return errors.New("no zlib header")
	case b[1]&0x20 != 0:
		return errors.New("zlib stream that needs a dictionary, which is not supported")
	}
	return nil
}

// zlibHeader reports whether b can be the header of a zlib stream: method 8, a window of no
// more than 32 KiB, and the check bits.
func zlibHeader(b []byte) bool {
	return b[0]&15 == 8 && b[0]>>4 <= 7 && binary.BigEndian.Uint16(b)%31 == 0
}

// enough is how much content says that a file is a zlib stream, though it be damaged
// behind that: other data give an error after a few bytes.
const enough = 4096

// IsZlib reports whether a file is a zlib stream. The header alone says little, so the
// beginning must be decoded, or all of it.
func IsZlib(r io.ReaderAt, size int64) bool {
	var b [2]byte
	if n, _ := r.ReadAt(b[:], 0); n < len(b) || !zlibHeader(b[:]) {
		return false
	}
	d, err := Zlib.NewDecoder(r, size, nil)
	if err != nil {
		return false
	}
	piece, err := d.Next()
	if len(piece) >= enough {
		return true
	}
	if err == nil { // the piece is not full for a reason that comes next
		_, err = d.Next()
	}
	return err == nil || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}

func (z *zlib) add(content []byte) {
	z.sum = appendAdler(z.sum, adler32.Checksum(content), len(content))
	z.size += int64(len(content))
}

// appendAdler returns the Adler-32 of two contents, one behind the other, from that of
// each and the size of the second. The lower half is 1 and the sum of all bytes, the
// upper the sum of what the lower was after each byte, both modulo 65521.
func appendAdler(first, second uint32, size int) uint32 {
	const mod = 65521
	lower := first&0xffff + mod - 1
	a := (lower + second&0xffff) % mod
	b := (uint64(first>>16) + uint64(second>>16) + uint64(lower%mod)*uint64(size%mod)) % mod
	return uint32(b)<<16 | a
}

// end reads the checksum behind the stream.
func (z *zlib) end(in *input) (*checkpoint.Mismatch, error) {
	z.ended = true
	at := in.offset()
	b, err := in.bytes(4)
	if err != nil {
		return nil, fmt.Errorf("Adler-32 behind the zlib stream: %w", err)
	}
	if binary.BigEndian.Uint32(b) != z.sum {
		return &checkpoint.Mismatch{Offset: at, What: "Adler-32", Size: z.size}, nil
	}
	return nil, nil
}
