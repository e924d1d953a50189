package zstddec

import (
	"errors"
	"io"
)

// The entropy decoders load eight bytes at a time, and see only later that they
// are beyond a stream: so there is room before and behind what a source has read.
const (
	lead  = 32
	trail = 32
)

// readSize is how much of the file a source has in memory: a block and more.
const readSize = 256 << 10

// A source is a file that is read forwards, in parts that lie in one piece.
type source struct {
	r          io.ReaderAt
	size       int64
	off        int64  // in the file, of buf[start]
	buf        []byte // lead, what was read as start to end, and room
	start, end int
}

func newSource(r io.ReaderAt, size int64) source {
	return source{r: r, size: size}
}

// need reads on until the next n bytes, at most readSize, are in buf. The error is
// io.ErrUnexpectedEOF where the file ends before them.
func (s *source) need(n int) error {
	if s.end-s.start >= n {
		return nil
	}
	if s.buf == nil {
		room := min(readSize, max(s.size-s.off, 0))
		s.buf = make([]byte, lead+max(int(room), 16)+trail)
		s.start, s.end = lead, lead
	}
	s.end = lead + copy(s.buf[lead:], s.buf[s.start:s.end])
	s.start = lead
	at := s.off + int64(s.end-s.start)
	more := min(int64(len(s.buf)-trail-s.end), max(s.size-at, 0))
	got, err := s.r.ReadAt(s.buf[s.end:s.end+int(more)], at)
	s.end += got
	switch {
	case s.end-s.start >= n:
		return nil
	case err == nil || errors.Is(err, io.EOF):
		return io.ErrUnexpectedEOF
	}
	return err
}

// next returns the n bytes that need has read, and goes on behind them.
func (s *source) next(n int) []byte {
	p := s.buf[s.start : s.start+n]
	s.skip(int64(n))
	return p
}

// peek returns up to n bytes without going on.
func (s *source) peek(n int) []byte {
	return s.buf[s.start:min(s.start+n, s.end)]
}

// skip goes on behind the next n bytes, read or not.
func (s *source) skip(n int64) {
	s.off += n
	if n <= int64(s.end-s.start) {
		s.start += int(n)
		return
	}
	s.start, s.end = lead, lead
}
