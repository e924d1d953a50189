package xzdec

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/nodelens/nodelens/internal/checkpoint"
)

// Block flags: section 3.1.2.
const (
	flagFilters  = 0x03 // their number, less one
	flagReserved = 0x3c
	flagPacked   = 0x40
	flagContent  = 0x80
)

// Filters: section 5.3 and 5.4.
const (
	filterDelta = 0x03
	filterX86   = 0x04
	filterLZMA2 = 0x21
)

// filterNames are those of filters that are not supported.
var filterNames = map[int64]string{
	0x05: "BCJ for PowerPC", 0x06: "BCJ for IA-64", 0x07: "BCJ for ARM", 0x08: "BCJ for ARM Thumb",
	0x09: "BCJ for SPARC", 0x0a: "BCJ for ARM64", 0x0b: "BCJ for RISC-V",
}

// maxHeld is more than all filters of a block hold back together.
const maxHeld = 64

var (
	errBlockCRC     = errors.New("block header does not fit its CRC-32")
	errBlockHeader  = errors.New("malformed block header")
	errBlockFlags   = errors.New("block flags that the format does not define")
	errBlockSize    = errors.New("a block is not as long as its header or the index says")
	errBlockPadding = errors.New("block padding is not zero")
	errFilters      = errors.New("LZMA2 is not the last filter, or not the only one of its kind")
	errOptions      = errors.New("malformed filter properties")
)

// A block is what is known of the current block.
type block struct {
	said        record // by the index, if it was read
	header      int64  // its size
	start       int64  // file offset of the packed content
	packed      int64  // its size, once it is known
	content     int64  // what was returned of it so far
	wantPacked  int64  // -1 if not known
	wantContent int64
	ready       bool // the dictionary was reset
	properties  bool // LZMA's are known
}

// blockHeader reads the header of a block, or finds that it is the index.
func (d *decoder) blockHeader() error {
	start := d.in.offset()
	b, err := d.in.peek(1)
	if err != nil {
		return d.cut(err)
	}
	if b[0] == 0 {
		d.phase = atIndex
		return nil
	}
	size := (int(b[0]) + 1) * 4
	if b, err = d.in.peek(size); err != nil {
		return d.cut(err)
	}
	if crc32.ChecksumIEEE(b[:size-4]) != binary.LittleEndian.Uint32(b[size-4:]) {
		return d.fault(start, errBlockCRC)
	}
	d.block = block{said: d.block.said, header: int64(size), start: start + int64(size), wantPacked: -1, wantContent: -1}
	d.stages, d.lzma = nil, &lzma{}
	if err := d.parseBlockHeader(b[1 : size-4]); err != nil {
		return d.fault(start, err)
	}
	if !d.heed(d.block.said) {
		return d.fault(start, errBlockSize)
	}
	d.block.said = record{}
	d.in.skip(size)
	d.check = newCheck(d.stream.check)
	d.win.reset()
	d.phase = inChunks
	return nil
}

// heed expects what the index says of the block, and reports whether the header says
// the same.
func (d *decoder) heed(said record) bool {
	if said.unpadded == 0 {
		return true
	}
	b := &d.block
	packed := said.unpadded - b.header - int64(d.stream.check.size())
	if b.wantPacked >= 0 && b.wantPacked != packed || b.wantContent >= 0 && b.wantContent != said.content || packed <= 0 {
		return false
	}
	b.wantPacked, b.wantContent = packed, said.content
	return true
}

// parseBlockHeader parses a block header from its flags on.
func (d *decoder) parseBlockHeader(b []byte) error {
	flags := b[0]
	b = b[1:]
	if flags&flagReserved != 0 {
		return errBlockFlags
	}
	var ok bool
	if flags&flagPacked != 0 {
		if d.block.wantPacked, b, ok = cutNumber(b); !ok || d.block.wantPacked == 0 {
			return errBlockHeader
		}
	}
	if flags&flagContent != 0 {
		if d.block.wantContent, b, ok = cutNumber(b); !ok {
			return errBlockHeader
		}
	}
	count := int(flags&flagFilters) + 1
	for i := range count {
		id, rest, ok := cutNumber(b)
		if !ok {
			return errBlockHeader
		}
		size, rest, ok := cutNumber(rest)
		if !ok || size > int64(len(rest)) {
			return errBlockHeader
		}
		if err := d.addFilter(id, rest[:size], i == count-1); err != nil {
			return err
		}
		b = rest[size:]
	}
	if !isZero(b) {
		return errBlockHeader
	}
	return nil
}

func cutNumber(b []byte) (v int64, rest []byte, ok bool) {
	v, n := number(b)
	return v, b[n:], n > 0
}

// addFilter adds a filter before those that are there: the header has them in the
// order of the encoder.
func (d *decoder) addFilter(id int64, options []byte, last bool) error {
	if last != (id == filterLZMA2) {
		if id != filterLZMA2 && id != filterDelta && id != filterX86 {
			return unsupported(id)
		}
		return errFilters
	}
	var f filter
	switch id {
	case filterLZMA2:
		if len(options) != 1 || options[0] > 40 {
			return errOptions
		}
		d.win.size = dictionarySize(options[0])
		return nil
	case filterDelta:
		if len(options) != 1 {
			return errOptions
		}
		f = &delta{last: make([]byte, int(options[0])+1)}
	case filterX86:
		if len(options) != 0 && len(options) != 4 {
			return errOptions
		}
		start := uint32(0)
		if len(options) == 4 {
			start = binary.LittleEndian.Uint32(options)
		}
		f = &x86{pos: start}
	default:
		return unsupported(id)
	}
	d.stages = append([]stage{{filter: f}}, d.stages...)
	return nil
}

func unsupported(id int64) error {
	if name := filterNames[id]; name != "" {
		return fmt.Errorf("the filter %s (%#x) is not supported", name, id)
	}
	return fmt.Errorf("the filter %#x is not supported", id)
}

// dictionarySize returns how much of the dictionary is kept: section 5.3.1.
func dictionarySize(b byte) int {
	if b == 40 {
		return maxDict
	}
	return int(min(int64(2|b&1)<<(b/2+11), maxDict))
}

// blockEnd compares sizes and check of a block with what was decoded.
func (d *decoder) blockEnd() error {
	b := &d.block
	if b.wantPacked >= 0 && b.packed != b.wantPacked || b.wantContent >= 0 && b.content != b.wantContent {
		return d.fault(d.in.offset(), errBlockSize)
	}
	pad, size := padding(b.packed), d.stream.check.size()
	tail, err := d.in.peek(pad + size)
	if err != nil {
		return d.cut(err)
	}
	if !isZero(tail[:pad]) {
		return d.fault(d.in.offset(), errBlockPadding)
	}
	fits := d.check.fits(tail[pad:])
	at := d.in.offset() + int64(pad)
	d.in.skip(len(tail))
	d.stream.add(record{unpadded: b.header + b.packed + int64(size), content: b.content})
	content := b.content
	d.block, d.check, d.stages, d.lzma = block{}, check{}, nil, nil
	d.phase = atBlock
	if !fits {
		return &checkpoint.Mismatch{Offset: at, What: d.stream.check.String(), Size: content}
	}
	return nil
}
