package swap

import (
	"bytes"
	"compress/flate"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"

	"github.com/nodelens/nodelens/internal/lzo"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// A codec decompresses pages as one compression of zram does.
type codec struct {
	name       string
	dictionary []byte
	wrapped    bool // of deflate: with zlib's header

	zstd    *zstd.Decoder
	zstdErr error
}

// zstdDictionary begins a dictionary of zstd that is more than content.
const zstdDictionary = "\x37\xa4\x30\xec"

// prepare makes what decoding needs.
func (c *codec) prepare() {
	if c.name != "zstd" {
		return
	}
	opts := []zstd.DOption{zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(1 << 22)}
	switch {
	case bytes.HasPrefix(c.dictionary, []byte(zstdDictionary)):
		opts = append(opts, zstd.WithDecoderDicts(c.dictionary))
	case len(c.dictionary) > 0:
		opts = append(opts, zstd.WithDecoderDictRaw(0, c.dictionary))
	}
	c.zstd, c.zstdErr = zstd.NewReader(nil, opts...)
}

// decode decompresses src to the page p.
func (c *codec) decode(p, src []byte) error {
	n, err := c.decompress(p, src)
	switch {
	case errors.Is(err, kstruct.ErrUnsupported):
		return err
	case err != nil:
		return corrupt("a page compressed by %s: %v", c.name, err)
	case n != vmem.PageSize:
		return corrupt("a page of %d bytes, compressed by %s", n, c.name)
	}
	return nil
}

func (c *codec) decompress(p, src []byte) (int, error) {
	switch c.name {
	case "lzo":
		return lzo.Decode(p, src)
	case "lzo-rle":
		return lzo.DecodeRLE(p, src)
	case "lz4", "lz4hc":
		if len(c.dictionary) > 0 {
			return lz4.UncompressBlockWithDict(src, p, c.dictionary)
		}
		return lz4.UncompressBlock(src, p)
	case "zstd":
		if c.zstdErr != nil {
			return 0, c.zstdErr
		}
		out, err := c.zstd.DecodeAll(src, p[:0])
		if len(out) != len(p) || err != nil {
			return len(out), err
		}
		copy(p, out) // it is p, unless that was too short
		return len(out), nil
	case "deflate":
		return c.inflate(p, src)
	}
	return 0, fmt.Errorf("%w: compression %q", kstruct.ErrUnsupported, c.name)
}

// inflaters are decoders of deflate at rest.
var inflaters = sync.Pool{New: func() any { return flate.NewReader(nil) }}

func (c *codec) inflate(p, src []byte) (int, error) {
	if c.wrapped {
		r, err := zlib.NewReader(bytes.NewReader(src))
		if err != nil {
			return 0, err
		}
		return readWhole(p, r)
	}
	r := inflaters.Get().(io.Reader)
	defer inflaters.Put(r)
	if err := r.(flate.Resetter).Reset(bytes.NewReader(src), nil); err != nil {
		return 0, err
	}
	return readWhole(p, r)
}

// readWhole reads a page, and that there is no more.
func readWhole(p []byte, r io.Reader) (int, error) {
	n, err := io.ReadFull(r, p)
	if err != nil {
		return n, err
	}
	var more [1]byte
	m, err := r.Read(more[:])
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return n + m, err
}
