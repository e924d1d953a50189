package swap

import (
	"bytes"
	"compress/flate"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// pageOf is a page that can be compressed, and one that is longer or shorter by some bytes.
func pageOf(length int) []byte {
	var b bytes.Buffer
	for i := 0; b.Len() < length; i++ {
		fmt.Fprintf(&b, "%d: line %d of a page\n", i, 37*i)
	}
	return b.Bytes()[:length]
}

// compressors are what wrote the compressed data; none of them is what reads it but for LZ4.
var compressors = map[string]func(t testing.TB, data []byte) []byte{
	"lz4": func(t testing.TB, data []byte) []byte {
		out := make([]byte, lz4.CompressBlockBound(len(data)))
		n, err := lz4.CompressBlock(data, out, nil)
		if err != nil {
			t.Fatal(err)
		}
		return out[:n]
	},
	"zstd": func(t testing.TB, data []byte) []byte {
		w, err := zstd.NewWriter(nil)
		if err != nil {
			t.Fatal(err)
		}
		return w.EncodeAll(data, nil)
	},
	"deflate": func(t testing.TB, data []byte) []byte {
		var b bytes.Buffer
		w, err := flate.NewWriter(&b, 6)
		return written(t, &b, w, data, err)
	},
	"zlib": func(t testing.TB, data []byte) []byte {
		var b bytes.Buffer
		return written(t, &b, zlib.NewWriter(&b), data, nil)
	},
}

func written(t testing.TB, b *bytes.Buffer, w io.WriteCloser, data []byte, err error) []byte {
	t.Helper()
	if err == nil {
		_, err = w.Write(data)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// newCodec is the codec that reads what a compressor wrote.
func newCodec(name string) *codec {
	c := &codec{name: name}
	if name == "zlib" {
		c.name, c.wrapped = "deflate", true
	}
	c.prepare()
	return c
}

// TestCodecs: a page is read if its length is right, and whatever is damaged or of another length is an error.
func TestCodecs(t *testing.T) {
	for name, compress := range compressors {
		c, page := newCodec(name), make([]byte, vmem.PageSize)
		packed := compress(t, pageOf(vmem.PageSize))
		if err := c.decode(page, packed); err != nil || !bytes.Equal(page, pageOf(vmem.PageSize)) {
			t.Errorf("%s: %v", name, err)
		}
		for _, length := range []int{100, vmem.PageSize - 1, vmem.PageSize + 1, 3 * vmem.PageSize} {
			if err := c.decode(page, compress(t, pageOf(length))); !errors.Is(err, kstruct.ErrCorrupt) {
				t.Errorf("%s: %d bytes: %v", name, length, err)
			}
		}
		for _, cut := range []int{0, 1, len(packed) / 2, len(packed) - 5} {
			if err := c.decode(page, packed[:cut]); !errors.Is(err, kstruct.ErrCorrupt) {
				t.Errorf("%s: cut at %d: %v", name, cut, err)
			}
		}
	}
	if err := newCodec("842").decode(make([]byte, vmem.PageSize), []byte{1, 2, 3}); !errors.Is(err, kstruct.ErrUnsupported) {
		t.Errorf("842: %v", err)
	}
}

// FuzzCodecs decodes anything: it is a page or an error.
func FuzzCodecs(f *testing.F) {
	names := []string{"lzo", "lzo-rle", "lz4", "zstd", "deflate", "zlib"}
	var codecs []*codec
	for i, name := range names {
		codecs = append(codecs, newCodec(name))
		if compress := compressors[name]; compress != nil {
			f.Add(uint8(i), compress(f, pageOf(vmem.PageSize)))
		}
	}
	f.Add(uint8(1), []byte("\x11\x01\x12a\x11\x00\x00"))
	f.Fuzz(func(t *testing.T, which uint8, src []byte) {
		_ = codecs[int(which)%len(codecs)].decode(make([]byte, vmem.PageSize), src)
	})
}
