package linux

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"

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
// begins a string of its own. No string comes with an error.
func (m *MM) Args(ctx context.Context) iter.Seq2[string, error] {
	return m.area(ctx, "args", (*areaWalk).args)
}

// Env yields the environment that the process started with, as /proc/PID/environ
// shows it now. Errors are as with Args.
func (m *MM) Env(ctx context.Context) iter.Seq2[string, error] {
	return m.area(ctx, "env", func(w *areaWalk) { w.strings(m.EnvStart, m.EnvEnd) })
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
		piece, next, err := w.run(start, end)
		w.give(start, piece)
		w.lose(start+vmem.VirtAddr(len(piece)), err)
		start = next
	}
}

// run reads what can be read from start on and returns the address at which to try
// next: end, or the first readable page behind the fault. One run of unreadable pages
// makes one error.
func (w *areaWalk) run(start, end vmem.VirtAddr) ([]byte, vmem.VirtAddr, error) {
	var b []byte
	for at := start; at < end; at += areaChunk {
		if err := w.ctx.Err(); err != nil {
			return b, end, err
		}
		have := len(b)
		b = append(b, make([]byte, min(areaChunk, uint64(end-at)))...)
		n, err := w.space.ReadVirt(b[have:], at)
		if err != nil {
			return b[:have+n], w.nextReadable(at+vmem.VirtAddr(n), end), err
		}
	}
	return b, end, nil
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

// give yields the strings of b, which is at start; the NUL at the end of it ends the last
// one.
func (w *areaWalk) give(start vmem.VirtAddr, b []byte) {
	if len(b) == 0 {
		return
	}
	for s := range bytes.SplitSeq(bytes.TrimSuffix(b, []byte{0}), []byte{0}) {
		if w.over {
			return
		}
		if w.told == w.k.limits.AreaStrings {
			w.tell(start, fmt.Errorf("%w: more than %d strings", kstruct.ErrTooMany, w.told))
			w.over = true
			return
		}
		w.told++
		w.over = !w.yield(string(s), nil)
	}
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
