package source

import (
	"bytes"
	"io"
	"time"

	"github.com/nodelens/nodelens/internal/keep"
	"github.com/nodelens/nodelens/internal/seekable"
)

// An index is where it is kept what makes it unnecessary to decode a compressed file once
// before it can be read, under a key by what the compressed file is.
type index struct {
	dir keep.Dir
	key string
}

const (
	// maxIndexes bounds what all files in the directory have, in bytes, and maxIndex one.
	maxIndexes = 1 << 30
	maxIndex   = 256 << 20
	// leastIndexed is the size of a file that is decoded as fast as an index is read, in bytes.
	leastIndexed = 64 << 10
)

// newIndex returns where the index of a file is kept. It returns nil where it can't be told what the file is.
func newIndex(dir string, r io.ReaderAt, size int64, written time.Time) *index {
	if dir == "" || size < leastIndexed || written.IsZero() {
		return nil
	}
	id, err := keep.Sample(r, size, written)
	if err != nil { // what can't be read now may be readable next time
		return nil
	}
	return &index{keep.Dir{Path: dir, Most: maxIndexes, One: maxIndex}, "index of " + id}
}

// load returns what was kept; nil if that is nothing.
func (x *index) load() []byte { return x.dir.Get(x.key) }

// save keeps what a Reader has to keep.
func (x *index) save(r *seekable.Reader) error {
	var b bytes.Buffer
	if err := r.Save(&b); err != nil {
		return err
	}
	return x.dir.Put(x.key, b.Bytes())
}
