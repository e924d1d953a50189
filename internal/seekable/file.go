package seekable

import (
	"errors"
	"io"
	"sync/atomic"
)

// errChanged is the reason for which what was decoded once is not decoded again.
var errChanged = errors.New("the compressed file is not what it was when it was opened")

// errShort is the reason for which what the index tells of is not there.
var errShort = errors.New("the content ends before its index does")

// A readError is an error of reading the compressed file, which is none of its format.
type readError struct{ error }

func (e *readError) Unwrap() error { return e.error }

// isReadError reports whether err is of reading the compressed file.
func isReadError(err error) bool {
	_, ok := errors.AsType[*readError](err)
	return ok
}

// A file is the compressed file. It tells errors of reading it from its end.
type file struct {
	r        io.ReaderAt
	size     int64
	furthest atomic.Int64 // end of what was read
}

// ReadAt implements [io.ReaderAt].
func (f *file) ReadAt(p []byte, off int64) (int, error) {
	n, err := f.r.ReadAt(p, off)
	f.furthest.Store(max(f.furthest.Load(), off+int64(n)))
	if err != nil && n < len(p) && !errors.Is(err, io.EOF) {
		return n, &readError{err}
	}
	return n, err
}
