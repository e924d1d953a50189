package inflate

import (
	"encoding/binary"
	"io"
)

const (
	inputSize = 128 << 10
	// padding is what a fast loop needs to be unread in the buffer before each symbol:
	// two loads of 8 bytes, the second of which begins 7 bytes further on at most.
	padding = 16
)

// An input is a file as bits, which DEFLATE takes from each byte lowest first.
type input struct {
	r    io.ReaderAt
	size int64
	off  int64 // in the file: of what follows buf
	buf  []byte
	pos  int    // in buf: of what has not gone into bits
	bits uint64 // the next n bits; what is above them is of no meaning
	n    uint
}

// seek goes to an offset of the file.
func (in *input) seek(off int64) {
	in.off, in.buf, in.pos, in.bits, in.n = off, in.buf[:0], 0, 0, 0
}

// unread gives whole bytes in bits back to buf.
func (in *input) unread() {
	in.pos -= int(in.n >> 3)
	in.n &= 7
	in.bits &= 1<<in.n - 1
}

// offset returns the place in the file of the byte that has the next bit.
func (in *input) offset() int64 {
	return in.off - int64(len(in.buf)-in.pos) - int64((in.n+7)>>3)
}

// fill reads on, if the file goes on. It fails only if the file can't be read.
func (in *input) fill() error {
	if in.off >= in.size {
		return nil
	}
	in.unread()
	if in.buf == nil {
		in.buf = make([]byte, 0, inputSize)
	}
	rest := copy(in.buf[:cap(in.buf)], in.buf[in.pos:])
	in.buf, in.pos = in.buf[:rest], 0
	n := int(min(int64(cap(in.buf)-rest), in.size-in.off))
	got, err := in.r.ReadAt(in.buf[rest:rest+n], in.off)
	in.buf = in.buf[:rest+got]
	in.off += int64(got)
	if got == n {
		return nil
	}
	if err == nil || err == io.EOF {
		in.size = in.off // the file has become shorter
		return nil
	}
	return err
}

// ahead makes sure that n bytes are in buf, as far as the file has them.
func (in *input) ahead(n int) error {
	if len(in.buf)-in.pos >= n {
		return nil
	}
	return in.fill()
}

// top moves as many bytes as have room, or as there are, into bits. There are 57 bits
// then, or all that are left; those above them are zero.
func (in *input) top() error {
	if err := in.ahead(8); err != nil {
		return err
	}
	in.bits &= 1<<in.n - 1
	for in.n <= 56 && in.pos < len(in.buf) {
		in.bits |= uint64(in.buf[in.pos]) << in.n
		in.pos++
		in.n += 8
	}
	return nil
}

// take returns the next n bits, of 32 at most.
func (in *input) take(n uint) (uint32, error) {
	if in.n < n {
		if err := in.top(); err != nil {
			return 0, err
		}
		if in.n < n {
			return 0, io.ErrUnexpectedEOF
		}
	}
	v := in.bits & (1<<n - 1)
	in.drop(n)
	return uint32(v), nil
}

func (in *input) drop(n uint) {
	in.bits >>= n
	in.n -= n
}

// align passes over bits up to the next byte.
func (in *input) align() { in.drop(in.n & 7) }

// bytes returns the next n bytes, of 64 at most, which begin at the next bit: it has been
// aligned. They are valid until the next call of any method. Where the file ends before,
// it returns nil.
func (in *input) bytes(n int) ([]byte, error) {
	in.unread()
	if err := in.ahead(n); err != nil {
		return nil, err
	}
	if len(in.buf)-in.pos < n {
		return nil, io.ErrUnexpectedEOF
	}
	in.pos += n
	return in.buf[in.pos-n : in.pos], nil
}

// load returns 8 bytes of b from i on.
func load(b []byte, i int) uint64 { return binary.LittleEndian.Uint64(b[i:]) }

// store puts 8 bytes to b from i on.
func store(b []byte, i int, v uint64) { binary.LittleEndian.PutUint64(b[i:], v) }
