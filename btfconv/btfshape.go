package btfconv

import (
	"context"
	"fmt"

	"github.com/nodelens/nodelens/vmem"
)

// BTF whose header was overwritten is found by its shape: pages of records one behind the other,
// and after them the names that these have.

const (
	shapePages = 64      // pages of records that are few for a kernel
	shapeHoles = 32      // damaged pages behind one another that are too many
	maxStrings = 8 << 20 // larger than the names of a kernel are
	anyStrEnd  = maxStrings
	anyTypeEnd = 1 << 20 // more types than a kernel has
)

// findShape finds the kernel's BTF without its header.
func (s *search) findShape(ctx context.Context, within vmem.Range[vmem.PhysAddr]) (*btfTypes, vmem.PhysAddr, error) {
	first, pages, misses := vmem.PhysAddr(0), 0, 0
	work := int64(maxRecoverWork)
	for pa, b := range capturedPages(s.mem, within, 2) {
		if ctx.Err() != nil {
			break
		}
		if hasRecords(b, &work) {
			if pages == 0 {
				first = pa
			}
			pages, misses = pages+1, 0
		} else if misses++; misses > shapeHoles && pages > 0 {
			if pages >= shapePages {
				t, err := readHeadless(s.mem, first-vmem.PageSize, pa-vmem.PhysAddr(misses-1)*vmem.PageSize)
				return t, first - vmem.PageSize, err
			}
			pages = 0
		}
	}
	return nil, 0, fmt.Errorf("no BTF in %d MiB from %v on: %w", within.Size>>20, within.Start, ErrNotFound)
}

// hasRecords reports whether a chain of records begins on a page.
func hasRecords(b []byte, work *int64) bool {
	t := &btfTypes{first: 1, data: b, strBase: anyStrEnd, limit: anyTypeEnd, layouts: knownLayouts[:], work: *work}
	defer func() { *work = t.work }()
	for off := 0; off < len(b)/2; off += 4 {
		if _, ok := t.sound(off); ok && t.chain(off) && recordKind(b[off:]) != kindUnknown {
			return true
		}
	}
	return false
}

// readHeadless reads BTF whose records are from one address to another, or somewhat before it.
func readHeadless(mem vmem.Memory, from, to vmem.PhysAddr) (*btfTypes, error) {
	b, holes := readHoles(mem, from, int(to-from)+maxStrings)
	fillHoles(b, holes)
	t := &btfTypes{
		first: 1, data: b[:to-from], strBase: anyStrEnd, limit: anyTypeEnd, layouts: knownLayouts[:],
		work: maxRecoverWork, headless: true,
	}
	runs := t.findRuns()
	end := 0
	for i := range runs {
		if len(runs[i].offsets) > 0 {
			end = runs[i].end
		}
	}
	at, size, ok := t.findStrings(runs, b, end)
	if !ok {
		return nil, fmt.Errorf("types at %v, but no names of theirs behind them: %w", from, ErrDamaged)
	}
	out := &btfTypes{first: 1, data: b[:min(at, len(t.data))], strs: string(b[at : at+size]), layouts: knownLayouts[:], headless: true}
	out.setPlace(btfPlace{phase: int(from % vmem.PageSize), holes: holes}, 0, at)
	out.checkStrings()
	out.recoverTypes()
	if out.left() < minBTFTypes/2 {
		return nil, fmt.Errorf("types at %v: %d are left: %w", from, out.left(), ErrDamaged)
	}
	return out, nil
}

// findStrings returns where the string section begins, from an offset on, and its size: where
// most of the names of records are names.
func (t *btfTypes) findStrings(runs []run, b []byte, from int) (at, size int, ok bool) {
	const reach, sample = 4 * vmem.PageSize, 512
	var names []uint32
	last := uint32(0)
	for i := range runs {
		for k, off := range runs[i].offsets {
			if r := t.record(off &^ recordMarks); r.name > 0 && off&recordMarks == 0 {
				if last = max(last, r.name); k%64 == 0 {
					names = append(names, r.name)
				}
			}
		}
	}
	names = names[:min(len(names), sample)]
	for at = from; at < from+reach && at+int(last) < len(b); at++ {
		right := 0
		for _, n := range names {
			s := b[at+int(n)-1:]
			right += b2i(s[0] == 0 && s[1] > ' ' && s[1] < 0x7f)
		}
		if b[at] == 0 && right > len(names)*3/4 {
			end := at + int(last)
			for end < len(b)-1 && b[end] != 0 {
				end++
			}
			return at, end + 1 - at, len(names) >= minVotes
		}
	}
	return 0, 0, false
}
