package fleet

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/nodelens/nodelens/image"
	"github.com/nodelens/nodelens/internal/httprange"
	"github.com/nodelens/nodelens/kcore"
)

// An Identity is what an image is known by, without reading all of it: an image that was replaced or changed has another. It is no proof of the content,
// as the SHA-256 of the whole file is. Its zero value is that of an image that could not be reached.
//
//	file     size, time of the last change, and a digest of a sample: of the first and the last mebibyte, and of 62 blocks of 64 KiB in between
//	object   size and ETag; a sample where the server gives no ETag
//	live     the time: a running machine is another each time
type Identity struct {
	Size     int64     `json:"size"`
	Modified time.Time `json:"modified,omitzero"` // of a file
	ETag     string    `json:"etag,omitempty"`    // of an object on a server
	Sample   string    `json:"sample,omitempty"`  // SHA-256 in lower-case hexadecimal
	Live     bool      `json:"live,omitempty"`    // it is the running machine's memory
}

// Known reports whether the image could be reached.
func (id Identity) Known() bool { return id != Identity{} }

// Digest returns a digest of the identity in lower-case hexadecimal; empty of one that is not known.
func (id Identity) Digest() string {
	if !id.Known() {
		return ""
	}
	return digest(id)
}

// digest returns a digest of what v is in JSON.
func digest(v any) string {
	b, err := json.Marshal(v)
	if err != nil { // only types that can be written come here
		panic(err)
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// identify returns what the image of an item is known by.
func identify(ctx context.Context, it Item) (Identity, error) {
	name := it.Path()
	switch {
	case image.IsURL(name):
		return identifyURL(ctx, name)
	case kcore.IsLive(name):
		return Identity{Live: true, Modified: time.Now().UTC()}, nil
	}
	return identifyFile(name)
}

func identifyURL(ctx context.Context, rawURL string) (Identity, error) {
	r, err := httprange.Open(ctx, rawURL, &httprange.Options{BlockSize: sampleBlock, ReadAhead: 1})
	if err != nil {
		return Identity{}, err
	}
	defer r.Close()
	id := Identity{Size: r.Size(), ETag: r.ETag()}
	if id.ETag == "" {
		id.Sample, err = sample(r, id.Size)
	}
	return id, err
}

func identifyFile(name string) (Identity, error) {
	f, err := os.Open(name)
	if err != nil {
		return Identity{}, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return Identity{}, err
	}
	id := Identity{Size: st.Size(), Modified: st.ModTime().UTC()}
	switch {
	case st.Mode()&os.ModeDevice != 0: // its size is where it ends
		if id.Size, err = f.Seek(0, io.SeekEnd); err != nil {
			return Identity{}, err
		}
	case !st.Mode().IsRegular():
		return id, nil // opening it says what it is
	}
	if id.Sample, err = sample(f, id.Size); err != nil {
		return Identity{}, err
	}
	return id, nil
}

// What a sample is made of, in bytes.
const (
	sampleEnd    = 1 << 20
	sampleBlock  = 64 << 10
	sampleBlocks = 62
)

// sample returns the digest of a sample of r; of all of it where it is small.
func sample(r io.ReaderAt, size int64) (string, error) {
	h := sha256.New()
	add := func(off, n int64) error {
		fmt.Fprintf(h, "%d %d\n", off, n)
		_, err := io.Copy(h, io.NewSectionReader(r, off, n))
		return err
	}
	if size <= 2*sampleEnd+sampleBlocks*sampleBlock {
		err := add(0, size)
		return hex.EncodeToString(h.Sum(nil)), err
	}
	if err := add(0, sampleEnd); err != nil {
		return "", err
	}
	gap := (size - 2*sampleEnd) / sampleBlocks // at least sampleBlock
	for i := range int64(sampleBlocks) {
		if err := add(sampleEnd+i*gap, sampleBlock); err != nil {
			return "", err
		}
	}
	err := add(size-sampleEnd, sampleEnd)
	return hex.EncodeToString(h.Sum(nil)), err
}
