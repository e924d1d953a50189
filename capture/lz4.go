package capture

import (
	"encoding/binary"
	"io"
	"sync"

	"github.com/pierrec/lz4/v4"

	"github.com/nodelens/nodelens/internal/blockcoder"
	"github.com/nodelens/nodelens/internal/lz4index"
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

// An lz4Writer writes one LZ4 frame. Blocks are full but for the last:
// readers then know where each begins.
type lz4Writer struct {
	w      io.Writer
	blocks *blockcoder.Coder
	all    lz4index.Digest
	part   []byte // of a block that is not full yet
}

func newLZ4Writer(w io.Writer) (*lz4Writer, error) {
	bound := 8 + max(lz4.CompressBlockBound(lz4Block), lz4Block)
	l := &lz4Writer{w: w, all: lz4index.NewDigest(), part: make([]byte, 0, lz4Block)}
	l.blocks = blockcoder.New(lz4Block, bound, func() blockcoder.Func {
		table := new(lz4.Compressor)
		return func(dst, block []byte) []byte { return lz4Frame(dst, block, table) }
	})
	descriptor := []byte{lz4Flags, lz4MaxCode}
	head := binary.LittleEndian.AppendUint32(nil, magicLZ4)
	head = append(append(head, descriptor...), byte(lz4index.XXH32(descriptor)>>8))
	_, err := w.Write(head)
	return l, err
}

// Write implements [io.Writer]. The checksum is computed while blocks are.
func (l *lz4Writer) Write(data []byte) (int, error) {
	var digest sync.WaitGroup
	defer digest.Wait()
	digest.Go(func() { l.all.Add(data) })
	rest, err := l.fill(data)
	if err != nil {
		return 0, err
	}
	whole := len(rest) / lz4Block * lz4Block
	l.part = append(l.part, rest[whole:]...)
	if err := l.write(rest[:whole]); err != nil {
		return 0, err
	}
	return len(data), nil
}

// fill puts data into the block that is not full, writes that if it gets full, and
// returns the rest: of less than a block, such as a header, nothing.
func (l *lz4Writer) fill(data []byte) ([]byte, error) {
	for len(data) > 0 && (len(l.part) > 0 || len(data) < lz4Block) {
		n := min(len(data), lz4Block-len(l.part))
		l.part = append(l.part, data[:n]...)
		data = data[n:]
		if len(l.part) < lz4Block {
			break
		}
		if err := l.write(l.part); err != nil {
			return nil, err
		}
		l.part = l.part[:0]
	}
	return data, nil
}

// write writes the blocks of data.
func (l *lz4Writer) write(data []byte) error {
	if len(data) == 0 {
		return nil
	}
	_, err := l.w.Write(l.blocks.Encode(data))
	return err
}

// Close writes the last block, the end mark and the checksum.
func (l *lz4Writer) Close() error {
	if err := l.write(l.part); err != nil {
		return err
	}
	_, err := l.w.Write(binary.LittleEndian.AppendUint32(make([]byte, 4, 8), l.all.Sum()))
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
