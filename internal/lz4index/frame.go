package lz4index

import (
	"encoding/binary"
	"fmt"
	"io"
)

// Magic numbers, of the LZ4 Frame Format.
const (
	magicFrame     = 0x184D2204
	magicLegacy    = 0x184C2102
	magicSkippable = 0x184D2A50 // and the 15 numbers after it
)

// Legacy frames have blocks of 8 MiB before compression.
const (
	legacyBlock = 8 << 20
	legacyBound = legacyBlock + legacyBlock/255 + 16
)

// A frame is a run of blocks with common properties.
type frame struct {
	start       int64 // file offset of the magic number
	contentSize int64 // -1 where the frame does not say
	fullBlock   int   // decoded size of a full block
	first, end  int   // its blocks, as indices into the index; end is exclusive
	sum         uint32
	linked      bool // blocks refer to the 64 KiB before them
	blockSums   bool // each block is followed by its checksum
	contentSum  bool // sum is the checksum of the content, if whole is true
	whole       bool // the end mark was seen
	cut         bool // the last block is only the beginning of one
}

// A block is a part of a file that is decoded at once.
type block struct {
	src     int64 // file offset of the data
	dst     int64 // offset of the content
	srcSize uint32
	size    uint32 // of the content
	frame   uint32 // index of its frame
	flags   flags
}

type flags uint8

const (
	stored  flags = 1 << iota // not compressed
	alone                     // decodes without what comes before it, and what comes after it needs nothing before it
	damaged                   // can't be decoded
	orphan                    // because what it needs from before it can't
	cut                       // the file ends inside it or its checksum
	endless                   // cut before the literals that end every block
)

func (b *block) is(f flags) bool { return b.flags&f != 0 }

func (b *block) end() int64 { return b.dst + int64(b.size) }

// Limits on what a hostile file can make New allocate. Blocks of the full size
// reach 256 GiB of content with the smallest, and 16 TiB with the largest size.
const (
	maxBlocks = 1 << 22
	maxFrames = 1 << 20
)

// A walker goes over a file from header to header and lists its frames and blocks.
type walker struct {
	r      io.ReaderAt
	size   int64
	off    int64
	frames []frame
	blocks []block
	damage []Damage // Start is not known yet; all of it is at the end
	buf    [15]byte
}

// walk lists the frames of the file. Only a fault of the first frame's header is
// an error; any other ends the walk and is listed as damage.
func (w *walker) walk() error {
	for w.off < w.size {
		start := w.off
		more, err := w.next()
		switch {
		case err != nil && len(w.frames) == 0:
			return &FormatError{start, err}
		case err != nil:
			w.lose(start, err)
			more = false
		}
		if !more {
			break
		}
	}
	return nil
}

// lose notes that the file makes no sense from offset on.
func (w *walker) lose(offset int64, err error) {
	w.damage = append(w.damage, Damage{Offset: offset, Err: err})
}

// next reads one frame, and reports whether another may follow.
func (w *walker) next() (more bool, err error) {
	magic, err := w.uint32()
	switch {
	case err != nil:
		return false, err
	case len(w.frames) == maxFrames:
		return false, fmt.Errorf("more than %d frames", maxFrames)
	case magic == magicFrame:
		return w.modern()
	case magic == magicLegacy:
		return w.legacy()
	case magic&^15 == magicSkippable:
		return w.skip()
	}
	return false, fmt.Errorf("magic number %#08x is not that of an LZ4 frame", magic)
}

func (w *walker) skip() (more bool, err error) {
	n, err := w.uint32()
	if err != nil {
		return false, err
	}
	if w.off += int64(n); w.off > w.size {
		return false, fmt.Errorf("skippable frame of %d bytes: %w", n, io.ErrUnexpectedEOF)
	}
	return true, nil
}

// uint32 reads a little-endian word and moves on.
func (w *walker) uint32() (uint32, error) {
	if err := w.bytes(w.buf[:4]); err != nil {
		return 0, err
	}
	return binary.LittleEndian.Uint32(w.buf[:4]), nil
}

// bytes fills p from the file and moves on.
func (w *walker) bytes(p []byte) error {
	if w.size-w.off < int64(len(p)) {
		return io.ErrUnexpectedEOF
	}
	if n, err := w.r.ReadAt(p, w.off); n < len(p) {
		return err
	}
	w.off += int64(len(p))
	return nil
}

// The bits of the FLG byte of a frame descriptor.
const (
	flgVersionMask = 0xC0
	flgVersion     = 0x40
	flgIndependent = 0x20
	flgBlockSums   = 0x10
	flgContentSize = 0x08
	flgContentSum  = 0x04
	flgReserved    = 0x02
	flgDictionary  = 0x01
)

// descriptor reads a frame descriptor; its magic number has been read.
func (w *walker) descriptor() (frame, error) {
	f := frame{start: w.off - 4, contentSize: -1, first: len(w.blocks)}
	d := w.buf[:2]
	if err := w.bytes(d); err != nil {
		return f, err
	}
	flg, bd := d[0], d[1]
	if flg&flgContentSize != 0 {
		d = w.buf[:len(d)+8]
	}
	if flg&flgDictionary != 0 {
		d = w.buf[:len(d)+4]
	}
	if err := w.bytes(w.buf[2 : len(d)+1]); err != nil {
		return f, err
	}
	if got, want := byte(xxh32(d)>>8), w.buf[len(d)]; got != want {
		return f, fmt.Errorf("frame descriptor: %w", errChecksum)
	}
	if flg&flgVersionMask != flgVersion || flg&flgReserved != 0 || bd&0x8F != 0 || bd>>4 < 4 {
		return f, fmt.Errorf("frame descriptor % x is of no known version", d[:2])
	}
	if flg&flgDictionary != 0 {
		id := binary.LittleEndian.Uint32(d[len(d)-4:])
		return f, fmt.Errorf("frame needs dictionary %#x, which is not supported", id)
	}
	if flg&flgContentSize != 0 {
		f.contentSize = int64(binary.LittleEndian.Uint64(d[2:]))
	}
	f.fullBlock = 1 << (8 + 2*(bd>>4))
	f.linked = flg&flgIndependent == 0
	f.blockSums = flg&flgBlockSums != 0
	f.contentSum = flg&flgContentSum != 0
	return f, nil
}

// modern reads a frame of the LZ4 Frame Format whose magic number has been read.
func (w *walker) modern() (more bool, err error) {
	f, err := w.descriptor()
	if err != nil {
		return false, err
	}
	at := w.off
	for err == nil && !f.whole {
		at = w.off
		err = w.modernBlock(&f)
	}
	w.add(f)
	if err != nil {
		w.lose(at, err)
	}
	return err == nil, nil
}

// modernBlock reads the header of one block, or the end mark.
func (w *walker) modernBlock(f *frame) error {
	head, err := w.uint32()
	if err != nil {
		return fmt.Errorf("frame without an end mark: %w", err)
	}
	if head == 0 {
		f.whole = true
		if f.contentSum {
			f.sum, err = w.uint32()
		}
		return err
	}
	b := block{srcSize: head &^ (1 << 31)}
	if head != b.srcSize {
		b.flags |= stored
	}
	if int64(b.srcSize) > int64(f.fullBlock) {
		return fmt.Errorf("block of %d bytes in a frame of blocks of up to %d", b.srcSize, f.fullBlock)
	}
	trailer := int64(0)
	if f.blockSums {
		trailer = 4
	}
	return w.block(f, b, trailer)
}

// legacy reads a legacy frame whose magic number has been read. It has no end
// mark: it ends with the file or at the magic number of another frame, which is
// no possible size of a block.
func (w *walker) legacy() (more bool, err error) {
	f := frame{start: w.off - 4, contentSize: -1, first: len(w.blocks), fullBlock: legacyBlock}
	at := w.off
	for err == nil && !f.whole {
		at = w.off
		err = w.legacyBlock(&f)
	}
	w.add(f)
	if err != nil {
		w.lose(at, err)
	}
	return err == nil, nil
}

func (w *walker) legacyBlock(f *frame) error {
	if w.off == w.size {
		f.whole = true
		return nil
	}
	n, err := w.uint32()
	if err != nil {
		return err
	}
	if n == 0 || n > legacyBound {
		w.off -= 4
		f.whole = true
		return nil
	}
	return w.block(f, block{srcSize: n}, 0)
}

// block adds b, whose data begin here and are followed by a trailer.
func (w *walker) block(f *frame, b block, trailer int64) error {
	if len(w.blocks) == maxBlocks {
		return fmt.Errorf("more than %d blocks", maxBlocks)
	}
	b.src, b.frame = w.off, uint32(len(w.frames))
	w.off += int64(b.srcSize) + trailer
	if w.off <= w.size {
		w.blocks = append(w.blocks, b)
		return nil
	}
	// What precedes the cut can still be decoded.
	w.off = w.size
	f.cut = true
	b.srcSize = uint32(min(int64(b.srcSize), w.size-b.src))
	b.flags |= cut
	w.blocks = append(w.blocks, b)
	return fmt.Errorf("block is cut off: %w", io.ErrUnexpectedEOF)
}

func (w *walker) add(f frame) {
	f.end = len(w.blocks)
	w.frames = append(w.frames, f)
}
