package pagecache

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/vmem"
)

// An Extent is a range of a file, in bytes.
type Extent struct {
	Offset int64 `json:"offset"`
	Size   int64 `json:"size"`
}

// A run is pages that follow each other in a file and in memory.
type run struct {
	first, pages uint64 // in the file
	phys         vmem.PhysAddr
}

func (r run) end() uint64 { return r.first + r.pages }

// A Content is what the page cache has of a file. It is an [io.ReaderAt], immutable and safe for concurrent use.
type Content struct {
	// Size is that of the file, in bytes.
	Size int64
	// Gaps are losses on the way to its pages. What is behind them counts as not cached.
	Gaps []vmem.Gap

	s       *Set
	lost    losses // while its pages are found
	runs    []run
	swapped []run // by first page
	holes   bool  // what is not there is a hole, which reads as zeros
}

// memoryTypes are file systems that have all their data in the page cache.
var memoryTypes = map[string]bool{"tmpfs": true, "devtmpfs": true, "ramfs": true, "rootfs": true, "hugetlbfs": true}

// Content finds the pages of a file. The error is that there can be none: of what is no regular file or link, or
// where the kernel's types or its array of pages are lost, or that of ctx, which ends it: a huge file has millions of pages.
func (s *Set) Content(ctx context.Context, n *Inode) (*Content, error) {
	if n.Super.FSType == "overlay" {
		if n.over == nil {
			return nil, fmt.Errorf("%w: the layer that has the data", ErrNotCached)
		}
		size := n.Size
		if n.IsLink() {
			size = n.over.Size
		}
		c, err := s.Content(ctx, n.over) // which may be of another overlay
		if err == nil {
			c.Size = size
		}
		return c, err
	}
	return s.content(ctx, n, maxRuns)
}

// content finds pages in an array of no more nodes than most.
func (s *Set) content(ctx context.Context, n *Inode, most int) (*Content, error) {
	if !n.IsRegular() && !n.IsLink() {
		return nil, fmt.Errorf("pagecache: a file of mode %#o has no contents", n.Mode)
	}
	if s.pages == nil {
		return nil, kstruct.ErrUnsupported
	}
	c := &Content{Size: n.Size, s: s, holes: memoryTypes[n.Super.FSType]}
	m, err := s.v.mapping.Load(s.mem, n.mapping)
	if err != nil {
		return nil, err
	}
	if n.mapping != s.v.data.Of(n.Addr) || m.Host != n.Addr {
		return nil, corrupt("inode %v with the mapping %v of %v", n.Addr, n.mapping, m.Host)
	}
	c.find(ctx, n, most)
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("pagecache: pages of inode %d: %w", n.Number, err)
	}
	return c, nil
}

// maxIndex is above the number of every page: the largest file has 2^63-1 bytes.
const maxIndex = 1 << 51

// maxRuns bounds the pieces of one file.
const maxRuns = 4 << 20

// find walks the array of the file's folios.
func (c *Content) find(ctx context.Context, n *Inode, most int) {
	object := fmt.Sprintf("pages of inode %d", n.Number)
	w := c.s.k.Objects().Walk(ctx, &kstruct.WalkOptions{Object: object, Nodes: most, Gaps: maxGaps})
	huge := n.Super.FSType == "hugetlbfs"
	for e, err := range w.XArray(c.s.v.pages.Of(n.mapping)) {
		switch {
		case err != nil:
			c.lost.add(object, n.mapping, err)
		case e.Last >= maxIndex:
			c.lost.add(object, n.mapping, corrupt("page %d", e.Last))
		case e.Kind == kstruct.ValueEntry && c.holes:
			// The swap entry of tmpfs; elsewhere it is the shadow of what was evicted.
			c.swapped = append(c.swapped, run{first: e.First, pages: e.Last - e.First + 1})
		case e.Kind != kstruct.PointerEntry:
		default:
			f, err := c.s.pages.Folio(e.Ptr)
			if err == nil {
				err = c.add(e, &f, n.mapping, huge)
			}
			if err != nil {
				c.lost.add(object, e.Ptr, err)
			}
		}
	}
	if c.Gaps = c.lost.gaps(); len(c.Gaps) > 0 {
		c.holes = false
	}
	c.lost = losses{}
	slices.SortFunc(c.runs, func(a, b run) int { return cmp.Compare(a.first, b.first) })
}

// add takes the pages of an entry. Until 5.17 each page of a larger one has an entry of its own, with the first of them.
func (c *Content) add(e kstruct.Entry, f *linux.Folio, mapping vmem.VirtAddr, huge bool) error {
	if f.Mapping != mapping {
		return corrupt("folio %v of the mapping %v, not of %v", f.Addr, f.Mapping, mapping)
	}
	first, last, index := f.Span(e.First, e.Last, huge)
	if first < index || last-index >= f.Pages {
		return corrupt("folio %v of the pages from %d on, for %d to %d", f.Addr, index, first, last)
	}
	if !f.UpToDate {
		return nil // allocated only: on tmpfs that is a hole, elsewhere it is not read yet
	}
	r := run{first: first, pages: last - first + 1, phys: f.Phys + vmem.PhysAddr((first-index)*vmem.PageSize)}
	if k := len(c.runs); k > 0 {
		if p := &c.runs[k-1]; p.end() == r.first && p.phys+vmem.PhysAddr(p.pages*vmem.PageSize) == r.phys {
			p.pages += r.pages
			return nil
		}
	}
	c.runs = append(c.runs, r)
	return nil
}

// bytesOf returns what pages are of a file of that size.
func bytesOf(first, end uint64, size int64) Extent {
	all := (uint64(size) + vmem.PageSize - 1) / vmem.PageSize
	first, end = min(first, all), min(end, all)
	from := int64(first * vmem.PageSize)
	return Extent{from, min(int64(end*vmem.PageSize), size) - from}
}

// extents joins runs to extents.
func extents(runs []run, size int64) (all []Extent) {
	for _, r := range runs {
		e := bytesOf(r.first, r.end(), size)
		switch n := len(all); {
		case e.Size <= 0:
		case n > 0 && all[n-1].Offset+all[n-1].Size == e.Offset:
			all[n-1].Size += e.Size
		default:
			all = append(all, e)
		}
	}
	return all
}

// Cached returns the parts of the file that are in memory. Holes of file systems in memory are none of them.
func (c *Content) Cached() []Extent { return extents(c.runs, c.Size) }

// Swapped returns the parts that are in the swap area.
func (c *Content) Swapped() []Extent { return extents(c.swapped, c.Size) }

// Missing returns the parts that can't be read: they are on the disk or in the swap area; of tmpfs, also where the swap cache has them. A page that the image has not captured
// is not among them; reading it is an error.
func (c *Content) Missing() []Extent {
	if c.holes {
		return c.Swapped()
	}
	var all []Extent
	at := int64(0)
	for _, e := range c.Cached() {
		if e.Offset > at {
			all = append(all, Extent{at, e.Offset - at})
		}
		at = max(at, e.Offset+e.Size)
	}
	if at < c.Size {
		all = append(all, Extent{at, c.Size - at})
	}
	return all
}

// Whole reports whether all of the file can be read.
func (c *Content) Whole() bool { return len(c.Missing()) == 0 && len(c.Gaps) == 0 }

// ReadAt implements [io.ReaderAt]. It reads up to the first byte that is missing; the error then wraps [ErrNotCached], or
// is that of the image.
func (c *Content) ReadAt(p []byte, off int64) (n int, err error) {
	if off < 0 {
		return 0, fmt.Errorf("pagecache: offset %d", off)
	}
	if off >= c.Size {
		return 0, io.EOF
	}
	if int64(len(p)) > c.Size-off {
		p, err = p[:c.Size-off], io.EOF
	}
	for n < len(p) {
		k, lost := c.readSome(p[n:], off+int64(n))
		n += k
		if lost != nil {
			return n, lost
		}
	}
	return n, err
}

// runAt returns the index of the run that has a page, or else of the next.
func runAt(runs []run, page uint64) int {
	i, _ := slices.BinarySearchFunc(runs, page, func(r run, page uint64) int {
		if r.end() <= page {
			return -1
		}
		return 1
	})
	return i
}

// readSome reads what is of one run or hole.
func (c *Content) readSome(p []byte, off int64) (int, error) {
	page := uint64(off) / vmem.PageSize
	i := runAt(c.runs, page)
	if i < len(c.runs) && c.runs[i].first <= page {
		r := c.runs[i]
		skip := uint64(off) - r.first*vmem.PageSize
		p = p[:min(uint64(len(p)), r.pages*vmem.PageSize-skip)]
		n, err := c.s.k.Physical().ReadAt(p, int64(uint64(r.phys)+skip))
		if n == len(p) {
			err = nil
		}
		return n, err
	}
	if i < len(c.runs) {
		p = p[:min(int64(len(p)), int64(c.runs[i].first*vmem.PageSize)-off)]
	}
	if !c.holes {
		return 0, fmt.Errorf("%w: %d bytes at offset %d", ErrNotCached, len(p), off)
	}
	if i := runAt(c.swapped, page); i < len(c.swapped) {
		r := c.swapped[i]
		if r.first <= page {
			return 0, fmt.Errorf("%w: page %d is in the swap area", ErrNotCached, page)
		}
		p = p[:min(int64(len(p)), int64(r.first*vmem.PageSize)-off)]
	}
	clear(p)
	return len(p), nil
}
