package memory

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"regexp"
	"slices"

	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/vmem"
)

// A Pattern is what to search for: bytes, or an expression over them.
type Pattern struct {
	Name  string
	Bytes []byte         // looked for as they are, if there are any
	Expr  *regexp.Regexp // otherwise; what it matches is MaxExpr bytes long at most, where it lies across pieces that are read
}

// MaxExpr is how long a match of an expression is found to be wherever it lies.
const MaxExpr = 4096

// A Hit is a place in the memory of a process that a pattern matches.
type Hit struct {
	Task    *linux.Task // that owns the memory; of several that share it, the first
	Mapping linux.VMA
	Address vmem.VirtAddr
	Pattern *Pattern
	Data    []byte // what matches
}

// ErrPattern says that a pattern has neither bytes nor an expression.
var ErrPattern = errors.New("memory: a pattern without bytes and without an expression")

// searchBytes is how much is searched at a time.
const searchBytes = 1 << 20

// Search yields all places in the memory of the tasks' processes that match a pattern, process by process, by ascending piece of memory; matches of
// one pattern in bytes may overlap each other. Memory that tasks share as a whole, as threads do, is searched once. Volatility's linux.vmaregexscan
// does the like. Errors are [vmem.Gap], for what could not be searched, and do not end the search, but for the context's own and ErrPattern.
func (r *Reader) Search(ctx context.Context, tasks []*linux.Task, patterns []Pattern) iter.Seq2[Hit, error] {
	return func(yield func(Hit, error) bool) {
		s := searcher{Reader: r, ctx: ctx, patterns: patterns, yield: yield, buf: make([]byte, searchBytes)}
		for i := range patterns {
			if len(patterns[i].Bytes) == 0 && patterns[i].Expr == nil {
				yield(Hit{}, fmt.Errorf("%w: %q", ErrPattern, patterns[i].Name))
				return
			}
			s.overlap = max(s.overlap, len(patterns[i].Bytes)-1)
			if len(patterns[i].Bytes) == 0 {
				s.overlap = max(s.overlap, MaxExpr-1)
				s.context = 1
			}
		}
		if s.overlap >= searchBytes/2 {
			s.buf = make([]byte, 4*s.overlap)
		}
		seen := map[vmem.VirtAddr]bool{}
		for _, t := range tasks {
			mm, err := t.MM()
			switch {
			case errors.Is(err, linux.ErrNone):
			case err != nil:
				s.tell(err)
			case !seen[mm.Addr]:
				seen[mm.Addr] = true
				s.process(t, mm)
			}
			if s.over {
				return
			}
		}
	}
}

// A searcher is one search.
type searcher struct {
	*Reader
	ctx      context.Context //nolint:containedctx // it lives as long as one call
	patterns []Pattern
	overlap  int // bytes of which a match can begin in one piece and end in the next
	context  int // bytes before these that tell an expression what is before them
	yield    func(Hit, error) bool
	over     bool
	buf      []byte
	ends     []vmem.VirtAddr // of each expression's last match in this run
}

func (s *searcher) tell(err error) { s.over = s.over || !s.yield(Hit{}, err) }

func (s *searcher) process(t *linux.Task, mm *linux.MM) {
	segments, gaps, err := s.Segments(s.ctx, t)
	if err != nil {
		s.tell(err)
		s.over = s.over || s.ctx.Err() != nil
		return
	}
	for _, g := range gaps {
		s.tell(g)
	}
	for i := range segments {
		for _, run := range merged(segments[i].Runs) {
			switch {
			case s.over:
				return
			case run.Err != nil:
				s.tell(vmem.NewGap("search of "+t.String(), vmem.UserPlace(run.Range.Start, t.PID), run.Err))
			default:
				s.run(t, mm, &segments[i].VMA, run.Range)
			}
		}
	}
}

// merged joins runs that differ by nothing that matters to who reads them.
func merged(runs []Run) (all []Run) {
	for _, run := range runs {
		run.Dirty, run.Swapped = false, false
		if n := len(all); n > 0 && all[n-1].joins(&run) {
			all[n-1].Range.Size += run.Range.Size
		} else {
			all = append(all, run)
		}
	}
	return all
}

// run searches memory that is there in one piece.
func (s *searcher) run(t *linux.Task, mm *linux.MM, v *linux.VMA, area vmem.Range[vmem.VirtAddr]) {
	s.ends = make([]vmem.VirtAddr, len(s.patterns))
	have := 0 // bytes at the start of buf that the piece before ended with
	for done := uint64(0); done < area.Size && !s.over; {
		if err := s.ctx.Err(); err != nil {
			s.tell(err)
			s.over = true
			return
		}
		want := int(min(uint64(len(s.buf)-have), area.Size-done))
		at := area.Start + vmem.VirtAddr(done)
		n, err := s.ReadVirt(mm, s.buf[have:have+want], at)
		if err != nil {
			s.tell(vmem.NewGap("search of "+t.String(), vmem.UserPlace(at+vmem.VirtAddr(n), t.PID), err))
		}
		data := s.buf[:have+n]
		last := err != nil || done+uint64(want) >= area.Size
		s.match(t, v, at-vmem.VirtAddr(have), data, have, last)
		if err != nil { // what is behind the page that can't be read is searched anew
			done = (done + uint64(n) + vmem.PageSize) &^ (vmem.PageSize - 1)
			have = 0
			continue
		}
		done += uint64(want)
		have = min(s.overlap+s.context, len(data))
		copy(s.buf, data[len(data)-have:])
	}
}

// match yields the matches in data, which is at an address. Its first old bytes were searched with the piece before, but for matches that end behind them.
func (s *searcher) match(t *linux.Task, v *linux.VMA, at vmem.VirtAddr, data []byte, old int, last bool) {
	for i := range s.patterns {
		p := &s.patterns[i]
		if len(p.Bytes) > 0 {
			s.matchBytes(t, v, at, data, old, p)
		} else {
			s.matchExpr(t, v, at, data, old > 0, last, i)
		}
		if s.over {
			return
		}
	}
}

func (s *searcher) matchBytes(t *linux.Task, v *linux.VMA, at vmem.VirtAddr, data []byte, old int, p *Pattern) {
	from := max(old-len(p.Bytes)+1, 0)
	for !s.over {
		n := bytes.Index(data[from:], p.Bytes)
		if n < 0 {
			return
		}
		from += n
		s.hit(t, v, at+vmem.VirtAddr(from), data[from:from+len(p.Bytes)], p)
		from++
	}
}

// matchExpr leaves matches that begin in the last bytes for the next piece, which has these, too, and the byte before them. With
// more, data goes on from a piece before, and its first byte is that one.
func (s *searcher) matchExpr(t *linux.Task, v *linux.VMA, at vmem.VirtAddr, data []byte, more, last bool, pattern int) {
	p, keep := &s.patterns[pattern], len(data)
	if !last {
		keep -= min(s.overlap, len(data))
	}
	start := 0
	if more {
		start = s.context
	}
	if end := s.ends[pattern]; end > at {
		start = max(start, int(end-at))
	}
	for start < len(data) && !s.over {
		from, to, ok := findFrom(p.Expr, data, start)
		if !ok || from >= keep {
			return
		}
		s.hit(t, v, at+vmem.VirtAddr(from), data[from:to], p)
		start = max(to, from+1)
		s.ends[pattern] = at + vmem.VirtAddr(start)
	}
}

// findFrom returns the first match that begins at an index or behind it. What is before that is none of it, but tells whether a line
// or a word begins there; so the search begins a byte before.
func findFrom(expr *regexp.Regexp, data []byte, start int) (from, to int, ok bool) {
	for ; start > 0 && start < len(data); start++ {
		m := expr.FindIndex(data[start-1:])
		switch {
		case m == nil:
			return 0, 0, false
		case m[0] > 0:
			return start - 1 + m[0], start - 1 + m[1], true
		}
		// It begins in the byte before. With another of its kind there a match at start shows.
		b := slices.Concat([]byte{another(data[start-1])}, data[start:min(len(data), start+MaxExpr)])
		if m = expr.FindIndex(b); m != nil && m[0] == 0 { // with any such byte
			m = expr.FindIndex(data[start:])
			if m == nil || m[0] > 0 {
				continue
			}
			return start, start + m[1], true
		}
		if m != nil && m[0] == 1 {
			return start, start - 1 + m[1], true
		}
	}
	m := expr.FindIndex(data[min(start, len(data)):])
	if m == nil || start > 0 {
		return 0, 0, false
	}
	return m[0], m[1], true
}

// another returns another byte that is of a word, the end of a line, or neither, as b is.
func another(b byte) byte {
	switch {
	case b == '\n':
		return b
	case b == '0':
		return 'Z'
	case b >= '0' && b <= '9', b >= 'A' && b <= 'Z', b >= 'a' && b <= 'z', b == '_':
		return '0'
	case b == 0:
		return 1
	}
	return 0
}

func (s *searcher) hit(t *linux.Task, v *linux.VMA, at vmem.VirtAddr, data []byte, p *Pattern) {
	if !s.over {
		s.over = !s.yield(Hit{Task: t, Mapping: *v, Address: at, Pattern: p, Data: slices.Clone(data)}, nil)
	}
}
