package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sort"
	"sync"
	"sync/atomic"

	"github.com/nodelens/nodelens/internal/extent"
	"github.com/nodelens/nodelens/internal/gaplist"
	"github.com/nodelens/nodelens/vmem"
)

// ErrShrunk says that the file ends before the end that it had when it was opened.
var ErrShrunk = vmem.NewReason("truncated", "the file has shrunk since it was opened")

// A Loss is an error of reading a file. It wraps [vmem.ErrNotCaptured] and the reason:
// what can't be read is not in the image.
type Loss struct {
	Offset int64 // in the file, of the first byte that can't be read
	Err    error // the reason
}

func (l *Loss) Error() string { return fmt.Sprintf("file offset %#x: %v", l.Offset, l.Err) }

// Unwrap returns vmem.ErrNotCaptured and the reason.
func (l *Loss) Unwrap() []error { return []error{vmem.ErrNotCaptured, l.Err} }

// A file is what a Source reads. It ends with a context while it is opened, and remembers
// what could not be read.
type file struct {
	r    io.ReaderAt
	size int64
	ctx  atomic.Pointer[context.Context] // nil once the file is open

	mu     sync.Mutex // guards all below
	losses []loss     // by start, disjoint
	more   bool       // losses that were not kept
}

// A loss is a part of the file that can't be read.
type loss struct {
	start, end int64
	err        error
}

const (
	// lossUnit is the size of what disks lose at once, and file systems.
	lossUnit = 4096
	// maxLosses bounds the losses that are kept.
	maxLosses = 4096
)

func newFile(ctx context.Context, r io.ReaderAt, size int64) *file {
	f := &file{r: r, size: size}
	if ctx.Done() != nil {
		f.ctx.Store(&ctx)
	}
	return f
}

// interrupted returns the error of the context, while there is one.
func (f *file) interrupted() error {
	if ctx := f.ctx.Load(); ctx != nil {
		return (*ctx).Err()
	}
	return nil
}

// release lets go of the context.
func (f *file) release() { f.ctx.Store(nil) }

// ReadAt implements [io.ReaderAt]. Errors other than [io.EOF] at the end of the file are
// *Loss, or that of the context.
func (f *file) ReadAt(p []byte, off int64) (int, error) {
	if err := f.interrupted(); err != nil {
		return 0, err
	}
	n, err := f.r.ReadAt(p, off)
	if n == len(p) || err == nil {
		return n, err
	}
	at := off + int64(n)
	end := at + 1 // nobody knows how much more
	if errors.Is(err, io.EOF) {
		if off < 0 || at >= f.size {
			return n, err
		}
		end, err = f.size, fmt.Errorf("%w: %w", ErrShrunk, io.ErrUnexpectedEOF)
	}
	if cancelled := f.interrupted(); cancelled != nil {
		return n, cancelled
	}
	f.lose(at, end, err)
	return n, &Loss{Offset: at, Err: err}
}

// lose remembers that what is between start and end can't be read, and takes for lost what
// lies between losses that are not a unit apart.
func (f *file) lose(start, end int64, err error) {
	l := loss{start: start, end: end, err: err}
	f.mu.Lock()
	defer f.mu.Unlock()
	i := sort.Search(len(f.losses), func(i int) bool { return f.losses[i].end+lossUnit > l.start })
	j := i
	for ; j < len(f.losses) && f.losses[j].start < l.end+lossUnit; j++ {
		if l.start > f.losses[j].start {
			l.start, l.err = f.losses[j].start, f.losses[j].err
		}
		l.end = max(l.end, f.losses[j].end)
	}
	if j > i {
		f.losses = slices.Replace(f.losses, i, j, l)
		return
	}
	if len(f.losses) == maxLosses {
		f.more = true
		return
	}
	f.losses = slices.Insert(f.losses, i, l)
}

// errMore is the reason of the gap that stands for losses that were not kept.
var errMore = vmem.NewReason("too-many", "more of the file can't be read than is kept track of")

// gaps returns what could not be read, with the physical memory that t finds there.
func (f *file) gaps(t *extent.Table) []vmem.Gap {
	f.mu.Lock()
	defer f.mu.Unlock()
	var gaps gaplist.List
	for _, l := range f.losses {
		addGaps(&gaps, t, l.start, l.end-l.start, l.start, &Loss{Offset: l.start, Err: l.err})
	}
	if f.more {
		gaps.Add(vmem.Place{}, errMore)
	}
	return gaps.Gaps()
}
