package linux

import (
	"context"
	"encoding/binary"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/nodelens/nodelens/vmem"
)

// A TaskScan says when all of memory is searched for tasks.
type TaskScan uint8

const (
	// ScanIfNeeded searches where views of the tasks disagree, where parts of them are lost,
	// or where the kernel's counts do not fit what was found. It does not on a running
	// machine, where that is a Gap.
	ScanIfNeeded TaskScan = iota
	// ScanAlways searches always.
	ScanAlways
	// ScanNever searches never. Where a search would have been due that is a Gap, with
	// ErrNotSearched.
	ScanNever
)

// ErrNotSearched says that memory was not searched for what is missing.
var ErrNotSearched = vmem.NewReason("not-searched", "memory was not searched")

// search takes what is found in memory where that is to be searched, given what the kernel's
// counts and what was found do not agree on. It returns what they do not agree on after that.
// Where a search would be due that was not made, that is a Gap of its own: tasks may be missing
// that are in memory.
func (c *census) search(counts []vmem.Gap) []vmem.Gap {
	needed := c.k.scanWhen == ScanAlways || c.missing(counts)
	switch {
	case c.ended() || !needed:
		return counts
	case c.k.scanWhen == ScanNever || c.k.scanWhen == ScanIfNeeded && c.k.phys.Live() || !c.scan():
		c.gaps = append(c.gaps, gapf("tasks", 0, ErrNotSearched,
			"the lists of tasks and the kernel's counts do not agree, and what they lack may be elsewhere in memory"))
		return counts
	}
	c.run()
	return c.countGaps()
}

// missing reports whether tasks may be missing: views of them do not agree, parts of these are
// lost, or the kernel counts others.
func (c *census) missing(counts []vmem.Gap) bool {
	if len(c.gaps)+len(c.lost)+len(counts) > 0 {
		return true
	}
	for _, t := range c.tasks {
		if t.sources&InPIDIDR == 0 || t.core.PID == t.core.TGID && t.sources&InTaskList == 0 {
			return true
		}
	}
	return false
}

// scan takes the tasks that are found in memory, and those of the struct pids. Not among
// them is
//
//   - a task that has ended and was reaped, before and after its memory was freed: it has no
//     struct pid any more, and no list leads to it;
//   - a copy, as a page that was moved leaves it, and a task that is just being made as a copy
//     of its parent: what points to the task, and what it points to itself with, is another
//     address.
//
// A struct pid that no task has any more has none in its lists. It reports false where memory
// was not searched, for it is not known how.
func (c *census) scan() bool {
	base, ok := c.directMap()
	s := c.k.newScanner(base)
	if !ok || s == nil {
		return false
	}
	hits, ok := c.k.scanned.get(func() (scanHits, bool) { return c.k.scan(c.ctx, s) })
	if !ok {
		return true
	}
	for _, addr := range hits.tasks {
		_, _ = c.take(addr, InScan)
	}
	for _, addr := range hits.pids {
		c.scannedPID(addr)
	}
	return true
}

// scannedPID takes the task of a struct pid that was found in memory, if the task has it, or
// is lost.
func (c *census) scannedPID(addr vmem.VirtAddr) {
	s, err := c.k.views.links.pid.Load(c.k.space, addr)
	if err != nil || c.pids[addr] != nil || s.Heads[0].First == 0 || !c.k.validPID(&s) {
		return
	}
	if t := c.tasks[c.k.views.core.links[0].Container(s.Heads[0].First)]; t == nil || t.core.ThreadPID == addr {
		c.pid(addr, InScan)
	}
}

// directMap returns where the kernel maps physical address 0 of all memory
// (page_offset_base): where tasks are says so, and is believed over what the variable does.
func (c *census) directMap() (vmem.VirtAddr, bool) {
	votes := map[vmem.VirtAddr]int{}
	var best vmem.VirtAddr
	for addr := range c.tasks {
		m, err := c.k.space.Translate(addr)
		if err != nil {
			continue
		}
		base := addr - vmem.VirtAddr(m.At(addr))
		if votes[base]++; votes[base] > votes[best] || votes[base] == votes[best] && base < best {
			best = base
		}
	}
	if best != 0 {
		return best, true
	}
	at, err := c.k.Symbol("page_offset_base")
	if err != nil {
		return 0, false
	}
	base, err := c.k.space.Uint64(at)
	return vmem.VirtAddr(base), err == nil && plausible(vmem.VirtAddr(base))
}

// scanHits are what in memory looks like tasks and like struct pids, ascending.
type scanHits struct{ tasks, pids []vmem.VirtAddr }

// A scanCache keeps what was found in memory that does not change.
type scanCache struct {
	mu   sync.Mutex // guards what follows
	hits scanHits
	done bool
}

func (s *scanCache) get(scan func() (scanHits, bool)) (scanHits, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.done {
		return s.hits, true
	}
	hits, ok := scan()
	s.hits, s.done = hits, ok
	return hits, ok
}

// searchChunk is how much of memory is read at a time.
const searchChunk = 1 << 20

// scan searches all of memory. It reports whether it came to the end.
func (k *Kernel) scan(ctx context.Context, s *scanner) (hits scanHits, ok bool) {
	chunks := s.chunks(k.phys.Ranges())
	var mu sync.Mutex // guards hits
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(chunks)) {
		wg.Go(func() {
			buf := make([]byte, searchChunk+s.span)
			for i := next.Add(1) - 1; i < int64(len(chunks)) && ctx.Err() == nil; i = next.Add(1) - 1 {
				tasks, pids := s.chunk(k.phys, chunks[i], buf)
				mu.Lock()
				hits.tasks, hits.pids = append(hits.tasks, tasks...), append(hits.pids, pids...)
				if k.progress != nil && i%64 == 0 {
					k.progress("looking for tasks in memory", i, int64(len(chunks)))
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	slices.Sort(hits.tasks)
	slices.Sort(hits.pids)
	return hits, ctx.Err() == nil
}

// A scanner tells what in memory may be a task_struct or a struct pid. It is quick and lets
// pass too much rather than too little: see [Kernel.prove].
type scanner struct {
	base  uint64 // of the direct map
	size  uint64 // of it, as far as there is memory
	pidNS uint64
	span  int // how much is read of a structure

	core                         uint64 // offset in a task_struct of what is read of it, a multiple of taskAlign
	leader, pid, tgid, threadPID int    // offsets from there
	ns, nr, first                int    // offsets in a struct pid
}

// newScanner returns nil where the types lack what is needed.
func (k *Kernel) newScanner(base vmem.VirtAddr) *scanner {
	ranges := k.phys.Ranges()
	task, pid := k.views.core.core, k.views.links.pid
	if !task.Ok() || !pid.Ok() || len(ranges) == 0 {
		return nil
	}
	s := &scanner{base: uint64(base), size: uint64(ranges[len(ranges)-1].Last()) + 1, pidNS: uint64(k.initPIDNS)}
	if k.pidNSErr != nil {
		s.pidNS = 1 // no pointer
	}
	at := func(offset uint64, _ bool) int { return int(offset) }
	s.leader, s.pid, s.tgid, s.threadPID = at(task.Offset("Leader")), at(task.Offset("PID")), at(task.Offset("TGID")), at(task.Offset("ThreadPID"))
	s.ns, s.nr, s.first = at(pid.Offset("NS")), at(pid.Offset("NR")), at(pid.Offset("Heads"))
	core := min(s.leader, s.pid, s.tgid, s.threadPID) &^ (taskAlign - 1)
	s.core = uint64(core)
	for _, offset := range []*int{&s.leader, &s.pid, &s.tgid, &s.threadPID} {
		*offset -= core
	}
	s.span = max(s.leader, s.pid, s.tgid, s.threadPID, s.ns, s.nr, s.first) + 8
	return s
}

// chunks cuts ranges of memory into parts that are read at a time.
func (s *scanner) chunks(ranges []vmem.Range[vmem.PhysAddr]) (all []vmem.Range[vmem.PhysAddr]) {
	for _, r := range ranges {
		start := (r.Start + taskAlign - 1) &^ (taskAlign - 1)
		for at := start; r.Contains(at); at += searchChunk {
			all = append(all, vmem.Range[vmem.PhysAddr]{Start: at, Size: min(searchChunk, uint64(r.Last()-at)+1)})
			if r.Last()-at < searchChunk {
				break
			}
		}
	}
	return all
}

// chunk searches a part of memory for structures that begin in it. buf has room for what
// follows, too.
func (s *scanner) chunk(mem *vmem.Physical, part vmem.Range[vmem.PhysAddr], buf []byte) (tasks, pids []vmem.VirtAddr) {
	for part.Size > 0 {
		n, err := mem.ReadAt(buf[:min(len(buf), int(part.Size)+s.span)], int64(part.Start))
		limit := min(n, int(part.Size))
		tasks, pids = s.find(buf[:n], limit, s.base+uint64(part.Start), tasks, pids)
		if err == nil || limit == int(part.Size) {
			break
		}
		// What can't be read is passed over, a page at a time.
		in := uint64(part.Start) % vmem.PageSize
		skip := ((in+uint64(n))/vmem.PageSize+1)*vmem.PageSize - in
		if skip >= part.Size {
			break
		}
		part.Start, part.Size = part.Start+vmem.PhysAddr(skip), part.Size-skip
	}
	return tasks, pids
}

// find looks at each place that the core of a task_struct can be at, in b up to limit, which
// is at the virtual address va.
func (s *scanner) find(b []byte, limit int, va uint64, tasks, pids []vmem.VirtAddr) (_, _ []vmem.VirtAddr) {
	le := binary.LittleEndian
	for i := 0; i < limit && i+s.span <= len(b); i += taskAlign {
		o := b[i : i+s.span]
		if leader := le.Uint64(o[s.leader:]); leader-s.base < s.size && leader%taskAlign == 0 && s.task(o, leader, va+uint64(i)-s.core) {
			tasks = append(tasks, vmem.VirtAddr(va+uint64(i)-s.core))
		}
		if le.Uint64(o[s.ns:]) == s.pidNS && le.Uint64(o[s.first:]) != 0 && le.Uint32(o[s.nr:])-1 < pidMax-1 {
			pids = append(pids, vmem.VirtAddr(va+uint64(i)))
		}
	}
	return tasks, pids
}

// task reports whether o may be a task_struct that has a struct pid, at its own address if
// it leads its group.
func (s *scanner) task(o []byte, leader, va uint64) bool {
	le := binary.LittleEndian
	pid, tgid := le.Uint32(o[s.pid:]), le.Uint32(o[s.tgid:])
	return pid-1 < pidMax-1 && tgid-1 < pidMax-1 && (pid == tgid) == (leader == va) && le.Uint64(o[s.threadPID:])-s.base < s.size
}
