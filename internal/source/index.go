package source

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/nodelens/nodelens/internal/seekable"
)

// An index is where it is kept what makes it unnecessary to decode a compressed file once
// before it can be read: a file in a directory, of a name by what the compressed file is.
type index struct {
	dir, name string
}

const (
	indexSuffix = ".index"
	// maxIndexes bounds what all files in the directory have, in bytes, and maxIndex one.
	maxIndexes = 1 << 30
	maxIndex   = 256 << 20
	// indexSample is how much is read of the beginning and the end of a file, and of places
	// between them, to tell it from others.
	indexSample  = 64 << 10
	indexSamples = 16
)

// newIndex returns where the index of a file is kept: by its size, the time at which it was
// written, its beginning, its end, and samples between. It returns nil if that can't be told.
func newIndex(dir string, r io.ReaderAt, size int64, written time.Time) *index {
	if dir == "" || size < indexSample || written.IsZero() {
		return nil
	}
	sum := sha256.New()
	var head [16]byte
	binary.LittleEndian.PutUint64(head[:], uint64(size))
	binary.LittleEndian.PutUint64(head[8:], uint64(written.UnixNano()))
	sum.Write(head[:])
	b := make([]byte, indexSample)
	for i := range int64(indexSamples + 1) {
		if n, err := r.ReadAt(b, (size-indexSample)/indexSamples*i); n < len(b) {
			_ = err // what can't be read now may be readable next time
			return nil
		}
		sum.Write(b)
		b = b[:indexSample/indexSamples]
		if i == indexSamples-1 {
			b = b[:cap(b)]
		}
	}
	return &index{dir: dir, name: hex.EncodeToString(sum.Sum(nil)) + indexSuffix}
}

// load returns what was kept; nil if that is nothing.
func (x *index) load() []byte {
	name := filepath.Join(x.dir, x.name)
	f, err := os.Open(name)
	if err != nil {
		return nil
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxIndex))
	if err != nil {
		return nil
	}
	now := time.Now()
	_ = os.Chtimes(name, now, now) // which is used least is dropped first
	return b
}

// save keeps what a Reader has to keep. Who reads meanwhile finds what was there before, and
// of two who write the last one wins.
func (x *index) save(r *seekable.Reader) error {
	var b bytes.Buffer
	if err := r.Save(&b); err != nil || b.Len() > maxIndex {
		return err
	}
	if err := os.MkdirAll(x.dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(x.dir, "new-*"+indexSuffix)
	if err != nil {
		return err
	}
	_, err = f.Write(b.Bytes())
	err = cmp.Or(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), filepath.Join(x.dir, x.name))
	}
	if err != nil {
		return cmp.Or(err, os.Remove(f.Name()))
	}
	return x.bound(maxIndexes)
}

// bound removes the indexes used least recently, until all together have no more than most
// bytes.
func (x *index) bound(most int64) error {
	entries, err := os.ReadDir(x.dir)
	if err != nil {
		return err
	}
	var infos []fs.FileInfo
	for _, e := range entries {
		if info, err := e.Info(); err == nil && info.Mode().IsRegular() && filepath.Ext(e.Name()) == indexSuffix {
			infos = append(infos, info)
		}
	}
	slices.SortFunc(infos, func(a, b fs.FileInfo) int { return b.ModTime().Compare(a.ModTime()) })
	for _, info := range infos {
		if most -= info.Size(); most < 0 {
			_ = os.Remove(filepath.Join(x.dir, info.Name())) // another may have done it
		}
	}
	return nil
}
