package kdump

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/bits"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"

	"github.com/nodelens/nodelens/internal/lzo"
)

// descriptorSize is that of struct page_desc (makedumpfile's diskdump_mod.h): the offset
// of the data, 8 bytes, its size and flags, 4 bytes each, and the flags of the page, 8.
const descriptorSize = 24

// maxPacked bounds the data of a page: writers take the page itself where compressing
// does not make it smaller.
const maxPacked = blockSize

// A descriptor says where the data of a page is.
type descriptor struct {
	off  int64
	size int
	how  Compression
}

func parseDescriptor(b []byte) (descriptor, error) {
	le := binary.LittleEndian
	off, size, flags := le.Uint64(b), le.Uint32(b[8:]), le.Uint32(b[12:])
	d := descriptor{off: int64(off), size: int(size), how: Compression(flags)}
	switch {
	case off == 0:
		return d, ErrNotWritten
	case d.how&^compressions != 0 || bits.OnesCount32(flags) > 1:
		return d, fmt.Errorf("%w: descriptor with flags %#x", ErrDamaged, flags)
	case size == 0 || size > maxPacked || d.how == Uncompressed && size != blockSize:
		return d, fmt.Errorf("%w: descriptor of %d bytes, %v", ErrDamaged, size, d.how)
	case off > flatLimit:
		return d, fmt.Errorf("%w: descriptor with offset %#x", ErrDamaged, off)
	}
	return d, nil
}

// check returns the reason for which the data of d can't be there.
func (x *index) check(d descriptor) error {
	switch {
	case d.off < x.descriptors:
		return fmt.Errorf("%w: descriptor with offset %#x, which is in the headers", ErrDamaged, d.off)
	case !x.r.covers(d.off, int64(d.size)):
		return ErrTruncated
	}
	return nil
}

// A decoder reads and decodes pages, one at a time.
type decoder struct {
	bitmap     [rankBytes]byte
	descriptor [descriptorSize]byte
	near       []byte // descriptors, where they are looked at
	packed     [maxPacked]byte
	source     bytes.Reader
	zlib       io.ReadCloser
	zstd       *zstd.Decoder
}

// locate returns the descriptor of a page.
func (d *decoder) locate(x *index, pfn uint64) (descriptor, error) {
	at, err := x.find(pfn, d.bitmap[:])
	if err != nil {
		return descriptor{}, err
	}
	if n, err := x.r.ReadAt(d.descriptor[:], at); n < descriptorSize {
		return descriptor{}, readError(err)
	}
	p, err := parseDescriptor(d.descriptor[:])
	if err == nil {
		err = cmp.Or(x.check(p), d.inOrder(x, at, p))
	}
	if err != nil {
		return descriptor{}, lost(err)
	}
	return p, nil
}

// readError returns the error for a read of the file that gave too little.
func readError(err error) error {
	if err == nil || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return lost(ErrTruncated)
	}
	return err
}

// decode decodes the data of a compressed page into dst, which is as long as a page.
func (d *decoder) decode(r io.ReaderAt, p descriptor, dst []byte) error {
	packed := d.packed[:p.size]
	if n, err := r.ReadAt(packed, p.off); n < len(packed) {
		return readError(err)
	}
	n, err := 0, error(nil)
	switch p.how {
	case Zlib:
		n, err = d.inflate(dst, packed)
	case LZO:
		n, err = lzo.Decode(dst, packed)
	case Snappy:
		if n, err = s2.DecodedLen(packed); err == nil && n == len(dst) {
			_, err = s2.Decode(dst, packed)
		}
	case Zstd:
		n, err = d.unzstd(dst, packed)
	}
	if err == nil && n != len(dst) {
		err = fmt.Errorf("%d bytes", n)
	}
	if err != nil {
		return lost(fmt.Errorf("%w: %v: %w", ErrDamaged, p.how, err))
	}
	return nil
}

// inflate decodes a zlib stream, which must not be longer than dst.
func (d *decoder) inflate(dst, packed []byte) (int, error) {
	d.source.Reset(packed)
	var err error
	if d.zlib == nil {
		d.zlib, err = zlib.NewReader(&d.source)
	} else {
		err = d.zlib.(zlib.Resetter).Reset(&d.source, nil)
	}
	if err != nil {
		d.zlib = nil
		return 0, err
	}
	n, err := io.ReadFull(d.zlib, dst)
	if err != nil {
		return n, err
	}
	var more [1]byte
	if _, err = io.ReadFull(d.zlib, more[:]); err == nil {
		return n, errors.New("more than a page")
	} else if errors.Is(err, io.EOF) { // the checksum is right, too
		return n, nil
	}
	return n, err
}

// zstdMemory bounds what a frame can make the decoder allocate.
const zstdMemory = 1 << 20

// unzstd decodes a Zstandard frame, which must not be longer than dst.
func (d *decoder) unzstd(dst, packed []byte) (int, error) {
	if d.zstd == nil {
		z, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxMemory(zstdMemory), zstd.WithDecodeAllCapLimit(true))
		if err != nil {
			return 0, err
		}
		d.zstd = z
	}
	b, err := d.zstd.DecodeAll(packed, dst[:0:len(dst)])
	return len(b), err
}
