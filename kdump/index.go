package kdump

import (
	"encoding/binary"
	"fmt"
	"io"
	"math/bits"
	"slices"

	"github.com/nodelens/nodelens/internal/extent"
	"github.com/nodelens/nodelens/vmem"
)

// An image is what the headers' offsets are offsets in: a file, or what the pieces of a
// flattened one make up.
type image interface {
	io.ReaderAt
	Size() int64
	covers(off, size int64) bool
}

// plain is a file that is not flattened.
type plain struct {
	io.ReaderAt
	size int64
}

func (p plain) Size() int64 { return p.size }

func (p plain) covers(off, size int64) bool { return off >= 0 && size <= p.size-off }

const (
	// rankBytes is the part of the bitmap for which the index knows how many pages come
	// before: a word for each 16 MiB of memory.
	rankBytes = 512
	rankPages = 8 * rankBytes
	// passBytes is how much of the bitmaps the pass over them reads at a time.
	passBytes = 64 << 10
	// maxRanges bounds the ranges of memory, which a hostile file can make from two bits
	// of a bitmap each. That of a machine with 1 TiB may have some millions of them.
	maxRanges = 1 << 23
)

// An index finds the descriptors of pages: one for each bit of the second bitmap, in
// ascending order, behind the bitmaps. It keeps the number of bits before each of its
// parts, and the bitmaps stay in the file. It is immutable.
type index struct {
	r           image
	pages       uint64 // bits of a bitmap
	first       int64  // offset of the bitmap of pages that the machine has
	second      int64  // offset of the bitmap of pages that the dump has; the same where there is but one
	descriptors int64  // offset of the descriptors
	start, end  uint64 // frames whose descriptors the file has

	order order

	ranks    []uint64 // pages of the second bitmap before each rankPages of it
	base     uint64   // of which have no descriptor, since they are before start
	count    uint64   // pages from start to end
	excluded uint64   // pages that are in the first bitmap alone
	other    uint64   // pages of the second bitmap that other files of a split dump have
}

// newIndex goes over the bitmaps, and returns the ranges of memory too. What is wrong with
// the bitmaps is the error; the index is good for what comes before.
func newIndex(r image, h *Header) (*index, []vmem.Range[vmem.PhysAddr], error) {
	x := &index{r: r, pages: h.Pages, start: min(h.Start, h.Pages), end: min(h.End, h.Pages)}
	one := (h.Pages + 8*blockSize - 1) / (8 * blockSize) * blockSize
	switch {
	case h.Pages > extent.Limit/blockSize || one > h.mapSize:
		return nil, nil, fmt.Errorf("%w: bitmaps of %#x bytes for %#x pages", ErrFormat, h.mapSize, h.Pages)
	case h.mapSize >= 2*one:
		x.first, x.second = int64(h.mapAt), int64(h.mapAt+h.mapSize/2)
	default: // a dump of all pages has one bitmap (diskdump.c of crash, dump_is_partial)
		x.first, x.second = int64(h.mapAt), int64(h.mapAt)
	}
	x.descriptors = int64(h.mapAt + h.mapSize)
	p := pass{index: x}
	err := p.run()
	if x.end > x.start {
		x.base = p.before
	}
	return x, slices.Clip(p.ranges), err
}

// A pass goes over the bitmaps once.
type pass struct {
	*index
	total  uint64 // pages so far
	before uint64 // of which before the first that has a descriptor
	ranges []vmem.Range[vmem.PhysAddr]
	from   uint64 // the first page of the run that goes on
	last   uint64 // 1 if the last page is in a run
}

func (p *pass) run() error {
	first, second := make([]byte, passBytes), make([]byte, passBytes)
	size := int64((p.pages + 7) / 8)
	for at := int64(0); at < size; at += passBytes {
		n := min(passBytes, size-at)
		m, _ := p.r.ReadAt(first[:n], p.first+at) // without it what was excluded is not told from holes
		clear(first[m:])
		got, err := p.r.ReadAt(second[:n], p.second+at)
		clear(second[got:])
		if int64(got) < n {
			p.pages = uint64(at+int64(got)) * 8
			err = fmt.Errorf("%w: the bitmap, after the first %#x pages: %w", ErrTruncated, p.pages, unexpected(err))
		} else {
			err = nil
		}
		for i := 0; i < got; i += rankBytes {
			p.ranks = append(p.ranks, p.total)
			p.block(uint64(at)*8+uint64(i)*8, first[i:i+rankBytes], second[i:i+rankBytes])
		}
		if err != nil {
			return p.close(err)
		}
		if len(p.ranges) > maxRanges {
			p.pages = uint64(at+n) * 8
			return p.close(fmt.Errorf("%w: after the first %#x pages", ErrTooMany, p.pages))
		}
	}
	return p.close(nil)
}

// close ends the last run.
func (p *pass) close(err error) error {
	p.end = min(p.end, p.pages)
	if p.last != 0 {
		p.ranges = append(p.ranges, frames(p.from, p.end))
	}
	for _, r := range p.ranges {
		p.count += r.Size / blockSize
	}
	p.other = p.total - p.count
	return err
}

// block takes in a part of the bitmaps, of which pfn is the first page.
func (p *pass) block(pfn uint64, first, second []byte) {
	for i := 0; i < len(second); i, pfn = i+8, pfn+64 {
		had, has := binary.LittleEndian.Uint64(first[i:]), binary.LittleEndian.Uint64(second[i:])
		valid := mask(pfn, 0, p.pages)
		has &= valid
		p.excluded += uint64(bits.OnesCount64(had & valid &^ has))
		p.before += uint64(bits.OnesCount64(has & mask(pfn, 0, p.start)))
		p.total += uint64(bits.OnesCount64(has))
		p.runs(pfn, has&mask(pfn, p.start, p.end))
	}
}

// mask returns the bits of a word that stand for pages from start up to but not including
// end, where its first stands for pfn.
func mask(pfn, start, end uint64) uint64 {
	m := ^uint64(0)
	if start > pfn {
		m <<= min(64, start-pfn)
	}
	if end < pfn+64 {
		m &= 1<<(end-min(end, pfn)) - 1
	}
	return m
}

// runs lists the runs of pages that end in a word of the bitmap.
func (p *pass) runs(pfn, word uint64) {
	changes := word ^ (word<<1 | p.last)
	for ; changes != 0; changes &= changes - 1 {
		at := pfn + uint64(bits.TrailingZeros64(changes))
		if p.last ^= 1; p.last != 0 {
			p.from = at
		} else {
			p.ranges = append(p.ranges, frames(p.from, at))
		}
	}
}

// frames returns the memory of the pages from first up to but not including end.
func frames(first, end uint64) vmem.Range[vmem.PhysAddr] {
	return vmem.Range[vmem.PhysAddr]{Start: vmem.PhysAddr(first * blockSize), Size: (end - first) * blockSize}
}

// find returns the offset of the descriptor of a page. It uses buf, of rankBytes. The
// error says why there is none.
func (x *index) find(pfn uint64, buf []byte) (int64, error) {
	if pfn >= x.pages {
		return 0, vmem.ErrNotCaptured
	}
	block := pfn / rankPages
	n := pfn%rankPages/64*8 + 8 // up to the word with the page's bit
	b := buf[:n]
	if got, err := x.r.ReadAt(b[:min(n, (x.pages+7)/8-block*rankBytes)], x.second+int64(block*rankBytes)); err != nil && got < int(pfn%rankPages/8)+1 {
		return 0, unexpected(err)
	}
	last := binary.LittleEndian.Uint64(b[n-8:])
	if last>>(pfn%64)&1 == 0 {
		return 0, x.absent(pfn, buf)
	}
	if pfn < x.start || pfn >= x.end {
		return 0, lost(ErrSplit)
	}
	rank := x.ranks[block] + uint64(bits.OnesCount64(last&(1<<(pfn%64)-1)))
	for b = b[:n-8]; len(b) > 0; b = b[8:] {
		rank += uint64(bits.OnesCount64(binary.LittleEndian.Uint64(b)))
	}
	return x.descriptors + int64(rank-x.base)*descriptorSize, nil
}

// absent returns the reason for which a page is not in the second bitmap.
func (x *index) absent(pfn uint64, buf []byte) error {
	if n, _ := x.r.ReadAt(buf[:1], x.first+int64(pfn/8)); n == 1 && buf[0]>>(pfn%8)&1 != 0 {
		return lost(ErrExcluded)
	}
	return vmem.ErrNotCaptured
}
