package linux

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

const (
	// areaChunk is how much of an area is read at a time.
	areaChunk = 64 << 10
)

// Args yields the arguments as /proc/PID/cmdline shows them, up to [Limits]: the
// argument area, or what a process that overwrites it (setproctitle) left there
// and in the environment area behind it.
//
// An error is a [vmem.Gap], where pages can't be read, or the context's own, which ends
// it. A string that leads into a lost page is cut short, and what follows that page
// begins a string of its own. No string comes with an error. Where the strings are not what
// the stack says of them, a Gap tells so; they come all the same.
func (m *MM) Args(ctx context.Context) iter.Seq2[string, error] {
	return m.area(ctx, "args", (*areaWalk).args)
}

// Env yields the environment that the process started with, as /proc/PID/environ
// shows it now. Errors are as with Args.
func (m *MM) Env(ctx context.Context) iter.Seq2[string, error] {
	return m.area(ctx, "env", func(w *areaWalk) {
		w.strings(m.EnvStart, m.EnvEnd)
		_, envp := m.pointers()
		w.prove(m.EnvStart, m.EnvEnd, envp)
	})
}

// area returns what a walk over an area of strings yields.
func (m *MM) area(ctx context.Context, what string, walk func(*areaWalk)) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		m.k.refresh()
		walk(&areaWalk{MM: m, ctx: ctx, what: what, yield: yield})
	}
}

// An areaWalk reads the strings of an area.
type areaWalk struct {
	*MM
	ctx   context.Context //nolint:containedctx // it lives as long as one call
	what  string
	yield func(string, error) bool
	told  int // strings
	gaps  int
	over  bool
}

// args follows get_mm_cmdline of fs/proc/base.c: where the last byte is not NUL, the area
// is a title, which may go on into the environment if that follows at once.
func (w *areaWalk) args() {
	start, end := w.ArgStart, w.ArgEnd
	if start == 0 || end <= start {
		return
	}
	defer func() {
		argv, _ := w.pointers()
		w.prove(start, w.ArgEnd, argv)
	}()
	last, err := w.space.Uint8(end - 1)
	if err != nil || last == 0 {
		w.strings(start, end)
		return
	}
	if w.EnvStart == end && w.EnvEnd >= end {
		end = w.EnvEnd
	}
	w.title(start, end)
}

// title follows get_mm_proctitle of fs/proc/base.c: one page at the most, up to the
// first NUL. Where nothing of it can be read, there is no title.
func (w *areaWalk) title(start, end vmem.VirtAddr) {
	b := make([]byte, min(pageSize, uint64(end-start)))
	n, err := w.space.ReadVirt(b, start)
	if i := bytes.IndexByte(b[:n], 0); i >= 0 {
		w.yield(string(b[:i]), nil)
		return
	}
	if n == 0 || w.yield(string(b[:n]), nil) {
		w.lose(start+vmem.VirtAddr(n), err)
	}
}

// strings yields the NUL-separated strings from start up to end, exclusive.
func (w *areaWalk) strings(start, end vmem.VirtAddr) {
	if start == 0 || end <= start {
		return
	}
	if size, most := uint64(end-start), w.k.limits.AreaBytes; size > uint64(most) {
		end = start + vmem.VirtAddr(most)
		w.tell(end, fmt.Errorf("%w: area of %d bytes, of which %d are read", kstruct.ErrTooLong, size, most))
	}
	for start < end && !w.over {
		next, lost, err := w.run(start, end)
		w.lose(lost, err)
		start = next
	}
}

// run yields the strings from start on, up to what can't be read, and returns the address
// at which to try next: end, or the first readable page behind the fault. One run of
// unreadable pages makes one error; lost is where it begins.
func (w *areaWalk) run(start, end vmem.VirtAddr) (next, lost vmem.VirtAddr, err error) {
	var b []byte // a string that has not ended yet
	for at := start; at < end && !w.over; at += areaChunk {
		if err := w.ctx.Err(); err != nil {
			return end, at, err
		}
		have, size := len(b), int(min(areaChunk, uint64(end-at)))
		b = slices.Grow(b, size)[:have+size]
		n, err := w.space.ReadVirt(b[have:], at)
		b = w.give(at, b[:have+n], have)
		if err != nil {
			w.giveLast(at, b)
			return w.nextReadable(at+vmem.VirtAddr(n), end), at + vmem.VirtAddr(n), err
		}
	}
	w.giveLast(end, b)
	return end, end, nil
}

// nextReadable returns the first readable page above the one that at is in, or end.
func (m *MM) nextReadable(at, end vmem.VirtAddr) vmem.VirtAddr {
	for at = at&^(pageSize-1) + pageSize; at < end; at += pageSize {
		if _, err := m.space.Uint8(at); err == nil {
			return at
		}
	}
	return end
}

// give yields the strings of b that a NUL ends, and returns what is behind the last, in the
// same memory. There is none before from.
func (w *areaWalk) give(at vmem.VirtAddr, b []byte, from int) []byte {
	rest := b
	for !w.over {
		i := bytes.IndexByte(rest[from:], 0)
		if i < 0 {
			return append(b[:0], rest...)
		}
		w.giveOne(at, rest[:from+i])
		rest, from = rest[from+i+1:], 0
	}
	return nil
}

// giveLast yields what no NUL ends.
func (w *areaWalk) giveLast(at vmem.VirtAddr, b []byte) {
	if len(b) > 0 && !w.over {
		w.giveOne(at, b)
	}
}

// giveOne yields a string, unless there have been too many.
func (w *areaWalk) giveOne(at vmem.VirtAddr, b []byte) {
	if most := w.k.limits.AreaStrings; w.told == most {
		w.tell(at, fmt.Errorf("%w: more than %d strings", kstruct.ErrTooMany, most))
		w.over = true
		return
	}
	w.told++
	w.over = !w.yield(string(b), nil)
}

// lose yields a Gap for user memory at addr that could not be read, unless the process
// has no mapping there: then there is nothing to lose, and /proc shows nothing either.
func (w *areaWalk) lose(addr vmem.VirtAddr, err error) {
	switch {
	case err == nil || w.over:
	case w.ctx.Err() != nil:
		w.over = true
		w.yield("", w.ctx.Err())
	case errors.Is(err, vmem.ErrNotPresent) && !w.mapped(w.ctx, addr):
	default:
		w.tell(addr, err)
	}
}

// tell yields a Gap. The last one that may be yielded says that there are more.
func (w *areaWalk) tell(addr vmem.VirtAddr, err error) {
	most := w.k.limits.Gaps
	if w.gaps++; w.gaps > most {
		err = fmt.Errorf("%w: more than %d losses, and what follows is not read", kstruct.ErrTooMany, most)
	}
	if !w.yield("", vmem.NewGap(w.what+" of "+w.name, vmem.UserPlace(addr, w.pid), err)) || w.gaps > most {
		w.over = true
	}
}
