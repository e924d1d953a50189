package cos

import (
	"fmt"
	"math"
	"slices"
	"sync"
	"unicode/utf8"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/vmem"
)

// A share is a list, such as one of a process, that takes its share of the report.
type share struct {
	lose func(error)    // tells that it was cut
	of   string         // what has all the lists together, for the error
	size int            // of the whole list
	n    int            // elements of the whole list
	cut  func(most int) // leaves elements whose sizes sum up to no more
	left func() int     // elements that are left
}

// A budget shares a sum among lists: no list is longer than most, which is as much as lets
// all of them fit. So it is the longest that are cut, whatever the order in which they
// come, and others are not.
type budget struct {
	limit  int
	unit   string // of the limit, for the gap
	most   int    // of one list
	sum    int    // of what all lists are by now
	shares []share
}

func newBudget(limit int, unit string) *budget {
	return &budget{limit: limit, unit: unit, most: math.MaxInt}
}

// add adds lists, and cuts what is too long. So that it does not do so for each, the lists
// may go over the limit a little until finish is called.
func (b *budget) add(shares ...share) {
	for _, s := range shares {
		if s.n == 0 {
			continue
		}
		b.shares = append(b.shares, s)
		b.sum += min(s.size, b.most)
		if s.size > b.most {
			s.cut(b.most)
		}
	}
	if b.sum/5 > b.limit/4 {
		b.level(b.limit)
	}
}

// level finds out how long a list may be, and cuts those that are longer.
func (b *budget) level(limit int) {
	sizes := make([]int, 0, len(b.shares))
	for _, s := range b.shares {
		sizes = append(sizes, min(s.size, b.most))
	}
	slices.Sort(sizes)
	rest := limit
	for i, size := range sizes {
		if n := len(sizes) - i; size > rest/n {
			b.most = rest / n
			break
		}
		rest -= size
	}
	b.sum = 0
	for _, s := range b.shares {
		if s.size > b.most {
			s.cut(b.most)
		}
		b.sum += min(s.size, b.most)
	}
}

// finish cuts the lists so that they fit into a limit, and tells of each that is cut.
func (b *budget) finish(limit int) {
	if b.sum > limit {
		b.level(limit)
	}
	for _, s := range b.shares {
		if s.size > b.most {
			s.lose(fmt.Errorf("%w: %d of %d are told, for %s would have more than %d %s", kstruct.ErrTooMany, s.left(), s.n, s.of, b.limit, b.unit))
		}
	}
}

// shareOf returns the share of a list of a process whose elements have sizes.
func shareOf[T any](f *facts, what string, list *[]T, size func(*T) int) share {
	return newShare(ofProcesses, list, size, f.loser(what))
}

// textOf returns the share of a list of strings of which each means something only behind those before it.
func textOf(f *facts, what string, list *[]string) share {
	return makeShare(ofProcesses, list, func(s *string) int { return jsonSize(*s) }, f.loser(what), func(int, int) bool { return false })
}

const ofProcesses = "all processes together"

// loser returns what tells that a list was cut.
func (f *facts) loser(what string) func(error) {
	return func(err error) {
		f.gaps = append(f.gaps, vmem.Gap{Object: what + " of " + f.task.String(), Place: vmem.KernelPlace(f.Address), Err: err})
	}
}

// newShare returns the share of a list whose elements have sizes. lose tells that it was cut: after the first
// elements that fit, where those that alone take half of it and more are passed over, for one must
// not hide all that come behind it.
func newShare[T any](of string, list *[]T, size func(*T) int, lose func(error)) share {
	return makeShare(of, list, size, lose, func(n, most int) bool { return n > most/2 })
}

// makeShare is newShare with another rule of what is passed over: of an element's size, and the list's.
func makeShare[T any](of string, list *[]T, size func(*T) int, lose func(error), fat func(n, most int) bool) share {
	s := share{of: of, lose: lose, n: len(*list), left: func() int { return len(*list) }}
	for i := range *list {
		s.size += size(&(*list)[i])
	}
	s.cut = func(most int) {
		var kept []T
		left := most
		for i := range *list {
			if n := size(&(*list)[i]); n <= left {
				left -= n
				kept = append(kept, (*list)[i])
			} else if !fat(n, most) {
				break
			}
		}
		if len(kept) < len(*list) {
			*list = slices.Clip(kept)
		}
	}
	return s
}

// limitSection bounds the list that a section is.
func limitSection[T any](a *analysis, gaps *[]vmem.Gap, what string, list *[]T, size func(*T) int) {
	most := a.kernel.Limits().ReportBytes
	b := newBudget(most, "bytes of JSON")
	b.add(newShare("the "+what, list, size, func(err error) { *gaps = append(*gaps, vmem.NewGap(what, vmem.Place{}, err)) }))
	b.finish(most)
}

// budgets are what a report shares among processes.
type budgets struct {
	mu         sync.Mutex // guards the lists of all processes that were added, too
	fds, bytes *budget
}

func newBudgets(l linux.Limits) *budgets {
	return &budgets{fds: newBudget(l.ReportFDs, "open files"), bytes: newBudget(l.ReportBytes, "bytes of JSON")}
}

// add adds the lists of a process, which must stay where it is: from then on they may be cut
// whenever another is added. It may be called by many at a time.
func (b *budgets) add(f *facts) {
	fds, shares := shareOf(f, "open files", &f.FDs, func(*linux.FD) int { return 1 }), f.shares()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fds.add(fds)
	b.bytes.add(shares...)
}

// shares are the lists of a process, with their sizes as JSON.
func (f *facts) shares() []share {
	return []share{
		textOf(f, "args", &f.Args),
		shareOf(f, "env", &f.Env, (*Secret).size),
		shareOf(f, "secrets in args", &f.ArgSecrets, func(s *ArgSecret) int { return 20 + s.size() }),
		shareOf(f, "open files", &f.FDs, func(fd *linux.FD) int { return 50 + jsonSize(fd.Path) }),
		shareOf(f, "threads", &f.Threads, func(t *Thread) int { return 80 + jsonSize(t.Comm) }),
		shareOf(f, "cgroups", &f.Cgroups, func(c *linux.CgroupPath) int { return 90 + jsonSize(c.Path) + jsonSize(c.Controllers) }),
	}
}

// finish cuts what processes have so that the report keeps to its size, with the processes
// themselves, of which there are no more than take half of it.
func (b *budgets) finish(all []facts) ([]facts, []vmem.Gap) {
	most := b.bytes.limit
	own, n := 0, 0
	for ; n < len(all); n++ {
		if size := all[n].size(); own+size <= most/2 {
			own += size
			continue
		}
		break
	}
	b.fds.finish(b.fds.limit)
	b.bytes.finish(most - own)
	if n == len(all) {
		return all, nil
	}
	return all[:n], []vmem.Gap{{Object: "tasks", Place: vmem.KernelPlace(all[n].Address), Err: fmt.Errorf(
		"%w: %d of %d processes are told, for all would have more than %d bytes of JSON", kstruct.ErrTooMany, n, len(all), most)}}
}

// size is about how long the process is as JSON, without its lists.
func (f *facts) size() int {
	return 900 + jsonSize(f.Comm) + jsonSize(f.Exe) + jsonSize(f.Cwd) + jsonSize(f.Cgroup)
}

// cutGaps bounds what is told of the losses of all processes together, those of the process
// with the most first.
func cutGaps(all []facts, limit int) {
	b := newBudget(limit, "bytes of JSON")
	for i := range all {
		b.add(shareOf(&all[i], "losses", &all[i].gaps, func(g *vmem.Gap) int { return 120 + jsonSize(g.Object) + jsonSize(g.Err.Error()) }))
	}
	b.finish(limit)
}

// jsonSize is about how long a string is as JSON, rather more than less: some characters are
// escaped, and of what is no text the bytes stand beside it.
func jsonSize(s string) int {
	n := len(s) + 3
	for i := range len(s) {
		n += int(escaped[s[i]])
	}
	return n
}

// escaped is by how much longer than a byte its JSON may be.
var escaped = func() (more [256]uint8) {
	for i := range more {
		switch c := byte(i); {
		case c < ' ' || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' || c == 0x7f:
			more[i] = 5
		case c >= utf8.RuneSelf:
			more[i] = 4
		}
	}
	return more
}()
