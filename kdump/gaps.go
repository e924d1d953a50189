package kdump

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"sync"

	"github.com/nodelens/nodelens/internal/extent"
	"github.com/nodelens/nodelens/vmem"
)

// Gaps returns what the image says it has and does not: pages that were lost when it was
// written or cut off, by address, and after them without a Range what concerns the image
// as a whole: how many pages were excluded or are in other files of a split dump, and
// that memory was erased. Pages without a gap of their own can say why they are not
// there by the error of ReadAt. What reading found damaged comes last, and may grow.
func (f *File) Gaps() []vmem.Gap {
	return slices.Concat(f.gaps, f.late.gaps(), f.source.Gaps(new(extent.Table)))
}

// lose lists memory that is lost, and where in the image that shows.
func (f *File) lose(r vmem.Range[vmem.PhysAddr], off int64, err error) {
	f.gaps = append(f.gaps, vmem.Gap{Object: "image", Place: vmem.PhysicalPlace(r, off), Err: err})
}

// summarize lists what is missing from the image by intent.
func (f *File) summarize() {
	x := f.index
	size := func(pages uint64) string { return fmt.Sprintf("%d pages (%d MiB)", pages, pages>>8) }
	if x.excluded > 0 {
		f.lose(vmem.Range[vmem.PhysAddr]{}, x.first, fmt.Errorf("%w: %s at dump level %v", ErrExcluded, size(x.excluded), f.header.Level))
	}
	if x.other > 0 {
		f.lose(vmem.Range[vmem.PhysAddr]{}, x.second, fmt.Errorf("%w: %s; this file has the frames from %#x up to but not including %#x", ErrSplit, size(x.other), x.start, x.end))
	}
	if p := f.header.erase; p.size > 0 {
		f.lose(vmem.Range[vmem.PhysAddr]{}, int64(min(p.off, flatLimit)), fmt.Errorf("%w: EraseInfo says what", ErrErased))
	}
}

// counted is how many descriptors are looked at to find where data begin.
const counted = 4096

// count compares how many pages the bitmaps have with how many descriptors there are. All writers
// put the data behind the descriptors, first those of the first page, or a page of zeros for all that are
// so. A bit of a bitmap that is wrong gives each page behind it the descriptor of another, and
// nothing else tells.
func (f *File) count() {
	x := f.index
	if f.header.Split {
		return // of which this package has seen none but its own tests'
	}
	b := make([]byte, min(counted, x.count)*descriptorSize)
	n, _ := x.r.ReadAt(b, x.descriptors)
	x.order = learnOrder(b[:n])
	first := int64(math.MaxInt64)
	for b = b[:n/descriptorSize*descriptorSize]; len(b) > 0; b = b[descriptorSize:] {
		if d, err := parseDescriptor(b); err == nil && d.off >= x.descriptors {
			first = min(first, d.off)
		}
	}
	have := first - x.descriptors
	if first == math.MaxInt64 || have/descriptorSize == int64(x.count) || have%descriptorSize != 0 && have > int64(x.count)*descriptorSize {
		return
	}
	f.lose(vmem.Range[vmem.PhysAddr]{}, x.second, fmt.Errorf("%w: the bitmap has %d pages, and %d have descriptors: from the first that is wrong in it, pages may be in the places of others",
		ErrDamaged, x.count, have/descriptorSize))
}

// verify goes over all descriptors if the last ones, or the header, show that pages are
// missing, and takes those pages out of the ranges. In a whole image it reads but a few
// descriptors.
func (f *File) verify() {
	if len(f.gaps) == 0 && !f.header.Incomplete && f.whole() {
		return
	}
	v := verifier{File: f}
	pages := f.ranges
	f.ranges = nil
	for _, r := range pages {
		v.run(uint64(r.Start)/blockSize, r.Size/blockSize)
	}
	f.ranges = slices.Clip(f.ranges)
	if v.more > 0 {
		f.lose(vmem.Range[vmem.PhysAddr]{}, f.index.descriptors, lost(fmt.Errorf("%w: %d pages more are lost", ErrTooMany, v.more)))
	}
}

// whole reports whether the last pages are there. Writers put the data of pages in their
// order into the file, but for zeros, which they write once: so it is enough to look at
// the last pages up to one that has data of its own.
func (f *File) whole() bool {
	x := f.index
	at := x.descriptors + int64(x.count)*descriptorSize
	buf := make([]byte, descriptorBatch*descriptorSize)
	var seen descriptor
	for at > x.descriptors {
		b := buf[:min(int64(len(buf)), at-x.descriptors)]
		at -= int64(len(b))
		if n, _ := x.r.ReadAt(b, at); n < len(b) {
			return false
		}
		for ; len(b) > 0; b = b[:len(b)-descriptorSize] {
			d, err := parseDescriptor(b[len(b)-descriptorSize:])
			if err != nil || x.check(d) != nil {
				return false
			}
			if seen.off != 0 && seen.off != d.off {
				return true
			}
			seen = d
		}
	}
	return true
}

// maxGaps bounds the gaps that are listed one by one.
const maxGaps = 1 << 16

// descriptorBatch is how many descriptors are read at a time.
const descriptorBatch = 2048

// A verifier looks at all descriptors.
type verifier struct {
	*File
	rank uint64 // of the next page
	more uint64 // lost pages that are not among the gaps
	buf  [descriptorBatch * descriptorSize]byte
}

// run looks at n pages that follow one another.
func (v *verifier) run(pfn, n uint64) {
	for n > 0 && v.source.Err() == nil {
		m := min(n, descriptorBatch)
		at := v.index.descriptors + int64(v.rank)*descriptorSize
		b := v.buf[:m*descriptorSize]
		got, err := v.image.ReadAt(b, at)
		for i := range m {
			reason := readError(err)
			if int(i+1)*descriptorSize <= got {
				var d descriptor
				if d, reason = parseDescriptor(b[i*descriptorSize:]); reason == nil {
					reason = v.index.check(d)
				}
			}
			v.page(pfn+i, at+int64(i)*descriptorSize, reason)
		}
		pfn, n, v.rank = pfn+m, n-m, v.rank+m
	}
}

// page takes in one page, whose descriptor is at offset at, and the reason for which it
// is lost, if it is.
func (v *verifier) page(pfn uint64, at int64, reason error) {
	r := frames(pfn, pfn+1)
	if reason == nil {
		if i := len(v.ranges) - 1; i >= 0 && v.ranges[i].Last()+1 == r.Start {
			v.ranges[i].Size += r.Size
		} else {
			v.ranges = append(v.ranges, r)
		}
		return
	}
	if i := len(v.gaps) - 1; i >= 0 && sameReason(v.gaps[i].Err, reason) {
		if last := &v.gaps[i].Place; last.Size > 0 && last.Physical().Last()+1 == r.Start {
			last.Size += r.Size
			return
		}
	}
	if len(v.gaps) >= maxGaps {
		v.more++
		return
	}
	if !errors.Is(reason, vmem.ErrNotCaptured) {
		reason = lost(reason)
	}
	v.lose(r, at, reason)
}

// sameReason reports whether two errors wrap the same of the reasons for a lost page.
func sameReason(a, b error) bool {
	for _, reason := range []error{ErrTruncated, ErrNotWritten, ErrDamaged} {
		if errors.Is(a, reason) {
			return errors.Is(b, reason)
		}
	}
	return false
}

// maxLate bounds the pages whose damage is remembered one by one.
const maxLate = 1 << 16

// damage is what reading found damaged.
type damage struct {
	mu    sync.Mutex // guards all below
	pages map[uint64]error
	more  uint64 // findings that were not kept
}

// note remembers why a page can't be read, if the ranges of f have it.
func (l *damage) note(f *File, pfn uint64, err error) {
	if !errors.Is(err, vmem.ErrNotCaptured) || !f.has(pfn) {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.pages == nil {
		l.pages = map[uint64]error{}
	}
	if _, known := l.pages[pfn]; !known && len(l.pages) == maxLate {
		l.more++
		return
	}
	l.pages[pfn] = err
}

// gaps returns the damage by address.
func (l *damage) gaps() []vmem.Gap {
	l.mu.Lock()
	defer l.mu.Unlock()
	var gaps []vmem.Gap
	for _, pfn := range slices.Sorted(maps.Keys(l.pages)) {
		gaps = append(gaps, vmem.Gap{Object: "image", Place: vmem.PhysicalPlace(frames(pfn, pfn+1), 0), Err: l.pages[pfn]})
	}
	if l.more > 0 {
		gaps = append(gaps, vmem.Gap{Object: "image", Err: fmt.Errorf("%w: damaged pages were met %d times more", ErrTooMany, l.more)})
	}
	return gaps
}

// has reports whether the ranges have a page.
func (f *File) has(pfn uint64) bool {
	_, ok := slices.BinarySearchFunc(f.ranges, vmem.PhysAddr(pfn*blockSize), func(r vmem.Range[vmem.PhysAddr], a vmem.PhysAddr) int {
		switch {
		case r.Contains(a):
			return 0
		case r.Start > a:
			return 1
		}
		return -1
	})
	return ok
}
