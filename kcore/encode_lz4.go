package kcore

import (
	"encoding/binary"
	"io"
	"sync"

	"github.com/pierrec/lz4/v4"

	"github.com/nodelens/nodelens/internal/lz4index"
	"github.com/nodelens/nodelens/vmem"
)

// Of the LZ4 Frame Format: the magic number, the flags (version 1, independent blocks,
// checksums of blocks and of all), the code of the blocks' size, that size, and the bit of
// a block's length that says that it is stored. A small block makes random access cheap;
// one with a checksum of its own tells where a file was damaged. Without the checksum of
// all, lz4 1.9.4 complains of what follows the frame.
const (
	magicLZ4   = 0x184D2204
	lz4Flags   = 1<<6 | 1<<5 | 1<<4 | 1<<2
	lz4MaxCode = 5 << 4
	lz4Block   = 256 << 10
	lz4Stored  = 1 << 31
)

// An lz4Encoder writes a LiME image as one LZ4 frame. Blocks are full but for the last:
// readers then know where each begins.
type lz4Encoder struct {
	w      io.Writer
	blocks *blockCoder
	all    lz4index.Digest
	part   []byte // of a block that is not full yet
}

func newLZ4Encoder(w io.Writer) (*lz4Encoder, error) {
	bound := 8 + max(lz4.CompressBlockBound(lz4Block), lz4Block)
	e := &lz4Encoder{w: w, all: lz4index.NewDigest(), part: make([]byte, 0, lz4Block)}
	e.blocks = newBlockCoder(lz4Block, bound, func() codeFunc {
		table := new(lz4.Compressor)
		return func(dst, block []byte) []byte { return lz4Frame(dst, block, table) }
	})
	descriptor := []byte{lz4Flags, lz4MaxCode}
	head := binary.LittleEndian.AppendUint32(nil, magicLZ4)
	head = append(append(head, descriptor...), byte(lz4index.XXH32(descriptor)>>8))
	_, err := w.Write(head)
	return e, err
}

func (e *lz4Encoder) record(r vmem.Range[vmem.PhysAddr], data []byte) error {
	head := recordHeader(magicLiME, 1, r)
	var digest sync.WaitGroup
	defer digest.Wait()
	digest.Go(func() {
		e.all.Add(head)
		e.all.Add(data)
	})
	if _, err := e.fill(head); err != nil {
		return err
	}
	rest, err := e.fill(data)
	if err != nil {
		return err
	}
	whole := len(rest) / lz4Block * lz4Block
	e.part = append(e.part, rest[whole:]...)
	return e.write(rest[:whole])
}

// fill puts data into the block that is not full, writes that if it gets full, and
// returns the rest: of less than a block, such as a header, nothing.
func (e *lz4Encoder) fill(data []byte) ([]byte, error) {
	for len(data) > 0 && (len(e.part) > 0 || len(data) < lz4Block) {
		n := min(len(data), lz4Block-len(e.part))
		e.part = append(e.part, data[:n]...)
		data = data[n:]
		if len(e.part) < lz4Block {
			break
		}
		if err := e.write(e.part); err != nil {
			return nil, err
		}
		e.part = e.part[:0]
	}
	return data, nil
}

// write writes the blocks of data.
func (e *lz4Encoder) write(data []byte) error {
	if len(data) == 0 {
		return nil
	}
	_, err := e.w.Write(e.blocks.encode(data))
	return err
}

// close writes the last block, the end mark and the checksum.
func (e *lz4Encoder) close() error {
	if err := e.write(e.part); err != nil {
		return err
	}
	_, err := e.w.Write(binary.LittleEndian.AppendUint32(make([]byte, 4, 8), e.all.Sum()))
	return err
}

// lz4Frame appends a block: its length, compressed or as it is, and its checksum.
func lz4Frame(dst, block []byte, table *lz4.Compressor) []byte {
	top := len(dst)
	dst = dst[:top+4]
	coded := dst[len(dst) : cap(dst)-4]
	length := uint32(len(block)) | lz4Stored
	if n, err := table.CompressBlock(block, coded); err == nil && n > 0 && n < len(block) {
		coded, length = coded[:n], uint32(n)
	} else {
		coded = block
	}
	dst = append(dst, coded...) // in its place already, if compressed
	binary.LittleEndian.PutUint32(dst[top:], length)
	return binary.LittleEndian.AppendUint32(dst, lz4index.XXH32(coded))
}
