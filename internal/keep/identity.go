package keep

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

const (
	// sampleSize is how much is read of the beginning and the end of a file, and of places
	// between them, to tell it from others.
	sampleSize = 64 << 10
	samples    = 16
)

// ErrNoIdentity says that nothing tells a file from what it may be tomorrow.
var ErrNoIdentity = errors.New("no regular file")

// Identity returns what a file is known by without reading all of it: another file, and what a file has become that was written to, has another one.
// It is of the size, of the time at which the file was written, of samples, and where the system tells them of the number
// of the file and the time of the last change of any kind, which nobody can set. The error wraps [ErrNoIdentity] of what is no regular file.
func Identity(name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return "", err
	case !info.Mode().IsRegular() || info.Size() == 0: // as those of /proc are
		return "", fmt.Errorf("%s: %w", name, ErrNoIdentity)
	}
	id, err := Sample(f, info.Size(), info.ModTime())
	return id + " " + systemIdentity(info), err
}

// Sample returns a digest of the size of a file, the time at which it was written, its beginning, its end, and samples between.
func Sample(r io.ReaderAt, size int64, written time.Time) (string, error) {
	sum := sha256.New()
	var head [16]byte
	binary.LittleEndian.PutUint64(head[:], uint64(size))
	binary.LittleEndian.PutUint64(head[8:], uint64(written.UnixNano()))
	sum.Write(head[:])
	b := make([]byte, min(size, sampleSize))
	for i := range int64(samples + 1) {
		if n, err := r.ReadAt(b, (size-int64(cap(b)))/samples*i); n < len(b) {
			return "", err
		}
		sum.Write(b)
		b = b[:cap(b)/samples]
		if i == samples-1 {
			b = b[:cap(b)]
		}
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}
