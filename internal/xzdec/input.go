package xzdec

import "io"

// inputSize is how much of a file is read at once. It is more than the largest chunk
// of LZMA2 with its header takes.
const inputSize = 256 << 10

// lookahead is how far behind the end of a chunk the range decoder may look before it
// is noticed. One symbol has less than 48 bits, each of which takes a byte at most.
const lookahead = 64

// An input gives the bytes of a file one after another.
type input struct {
	r        io.Reader
	buf      []byte // with lookahead bytes behind
	pos, end int
	base     int64 // file offset of buf[0]
	err      error // of r
}

// offset returns the file offset of the next byte.
func (in *input) offset() int64 { return in.base + int64(in.pos) }

// peek returns the next n bytes, inputSize at most, without passing over them. Where
// there are less it returns what there is and the reason.
func (in *input) peek(n int) ([]byte, error) {
	if in.end-in.pos < n {
		in.fill(n)
		if in.end-in.pos < n {
			return in.buf[in.pos:in.end], in.err
		}
	}
	return in.buf[in.pos : in.pos+n], nil
}

// skip passes over n bytes that peek returned.
func (in *input) skip(n int) { in.pos += n }

// fill reads until n bytes are there.
func (in *input) fill(n int) {
	if in.buf == nil {
		in.buf = make([]byte, inputSize+lookahead)
	}
	in.base += int64(in.pos)
	in.end = copy(in.buf, in.buf[in.pos:in.end])
	in.pos = 0
	for empty := 0; in.end < n && in.err == nil; {
		var got int
		got, in.err = in.r.Read(in.buf[in.end:inputSize])
		in.end += got
		if empty++; got > 0 {
			empty = 0
		} else if empty == 100 && in.err == nil {
			in.err = io.ErrNoProgress
		}
	}
}
