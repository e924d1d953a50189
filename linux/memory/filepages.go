package memory

import (
	"bytes"
	"context"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/vmem"
)

// filePages returns where the pages first to last of a mapping's file are in the page cache, by their numbers. What is not there, or was
// lost, is not among them.
func (r *Reader) filePages(ctx context.Context, v *linux.VMA, first, last uint64) map[uint64]vmem.PhysAddr {
	if v.File == 0 || !r.maps.pages.Ok() {
		return nil
	}
	mapping, err := r.maps.fileMapping.Load(r.mem, v.File)
	if err != nil {
		return nil
	}
	pages, err := r.k.Pages()
	if err != nil {
		return nil
	}
	found := map[uint64]vmem.PhysAddr{}
	w := r.k.Objects().Walk(ctx, &kstruct.WalkOptions{Object: "pages of " + v.Path, Nodes: maxSwapped})
	from := first
	if v.Flags&vmHugetlb != 0 {
		from = 0 // indices that count huge pages are less than those of pages
	}
	for e, err := range w.XArrayRange(r.maps.pages.Of(mapping), from, last) {
		if err != nil || e.Kind != kstruct.PointerEntry {
			continue
		}
		f, err := pages.Folio(e.Ptr)
		if err != nil || f.Mapping != mapping || !f.UpToDate {
			continue
		}
		from, to, start := f.Span(e.First, e.Last, v.Flags&vmHugetlb != 0)
		if from < start || to-start >= f.Pages {
			continue
		}
		for i := max(from, first); i <= min(to, last); i++ {
			found[i] = f.Phys + vmem.PhysAddr((i-start)*vmem.PageSize)
		}
	}
	return found
}

// A verdict is how a page that a process wrote compares with its file's.
type verdict int

const (
	differs verdict = iota
	unknown         // the file's is not in memory
	equal           // as where a debugger took its breakpoints away
)

// maxChunk is how many pages of a run are compared at once.
const maxChunk = 1 << 16

// compare calls each for the pieces of a run of written pages, by how they compare with the file. A piece ends with a chunk, too.
func (s *suspector) compare(g *Segment, run vmem.Range[vmem.VirtAddr], each func(vmem.Range[vmem.VirtAddr], verdict)) {
	first := (g.Offset + uint64(run.Start-g.Range.Start)) / vmem.PageSize
	count := (run.Size + vmem.PageSize - 1) / vmem.PageSize
	for from := uint64(0); from < count && s.pages <= maxPages && s.ctx.Err() == nil; from += maxChunk {
		to := min(from+maxChunk, count)
		s.pages += int(to - from)
		file := s.filePages(s.ctx, &g.VMA, first+from, first+to-1)
		s.compareChunk(run.Start, from, to, func(i uint64) (vmem.PhysAddr, bool) {
			phys, ok := file[first+i]
			return phys, ok
		}, each)
	}
}

// compareChunk compares the pages from one to before another with those of the file.
func (s *suspector) compareChunk(start vmem.VirtAddr, from, to uint64, file func(uint64) (vmem.PhysAddr, bool), each func(vmem.Range[vmem.VirtAddr], verdict)) {
	var ours, its [vmem.PageSize]byte
	was := unknown
	for i := from; i < to; i++ {
		now := unknown
		if phys, ok := file(i); ok {
			now = s.comparePage(start+vmem.VirtAddr(i*vmem.PageSize), phys, ours[:], its[:])
		}
		if i > from && now != was {
			each(pagesOf(start, from, i), was)
			from = i
		}
		was = now
	}
	each(pagesOf(start, from, to), was)
}

// comparePage compares a page of the process with one of its file, which is at a physical address.
func (s *suspector) comparePage(at vmem.VirtAddr, phys vmem.PhysAddr, ours, its []byte) verdict {
	if _, err := s.k.Physical().ReadAt(its, int64(phys)); err != nil {
		return unknown
	}
	if _, err := s.ReadVirt(s.mm, ours, at); err != nil {
		return unknown
	}
	if bytes.Equal(ours, its) {
		return equal
	}
	return differs
}

// pagesOf returns the pages from one to before another, counted from a place.
func pagesOf(start vmem.VirtAddr, from, to uint64) vmem.Range[vmem.VirtAddr] {
	return vmem.Range[vmem.VirtAddr]{Start: start + vmem.VirtAddr(from*vmem.PageSize), Size: (to - from) * vmem.PageSize}
}
