package capture

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"slices"
	"time"

	"github.com/nodelens/nodelens/memmap"
	"github.com/nodelens/nodelens/vmem"
)

// A chunk is memory that is dealt with at a time: whole pages, of recordSize bytes at most.
type chunk struct {
	start vmem.PhysAddr
	pages int
	done  []bool // pages that were read, or tried; nil means none
}

func (k *chunk) addr(page int) vmem.PhysAddr { return k.start + vmem.PhysAddr(page*pageSize) }

func (k *chunk) memory() vmem.Range[vmem.PhysAddr] {
	return vmem.Range[vmem.PhysAddr]{Start: k.start, Size: uint64(k.pages * pageSize)}
}

// A run is pages first to end, the latter not included.
type run struct{ first, end int }

// A record is memory with its content.
type record struct {
	memory vmem.Range[vmem.PhysAddr]
	data   []byte
}

// A batch is what was read of a chunk in a pass.
type batch struct {
	buf     []byte
	records []record
	settled int64 // bytes of RAM that were dealt with
}

// copy reads chunks in one goroutine and writes them in this one, so that reading goes on
// while the writer works.
func (c *capture) copy(ctx context.Context, image *writer) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	batches, free := make(chan batch), make(chan []byte, 2)
	for range cap(free) {
		free <- nil
	}
	var readErr error
	go func() {
		defer close(batches)
		readErr = c.readAll(ctx, free, batches)
	}()
	var writeErr error
	var memory uint64
	var done int64
	for b := range batches {
		if writeErr == nil {
			if writeErr = write(image, b.records, &memory); writeErr != nil {
				cancel()
			}
		}
		done += b.settled
		if c.opts.Progress != nil && writeErr == nil {
			c.opts.Progress(done, c.total)
		}
		free <- b.buf
	}
	c.manifest.Image.Memory = memory
	if writeErr != nil {
		return writeErr
	}
	return readErr
}

func write(image *writer, records []record, memory *uint64) error {
	for _, r := range records {
		if err := image.memory.WriteBytes(r.memory.Start, r.data); err != nil {
			return err
		}
		*memory += r.memory.Size
	}
	return nil
}

// readAll reads what the passes want into buffers from free.
func (c *capture) readAll(ctx context.Context, free <-chan []byte, batches chan<- batch) error {
	for i := range c.passes {
		p := &c.passes[i]
		for _, k := range c.chunks {
			if !p.reaches(k.memory()) {
				continue
			}
			if err := ctx.Err(); err != nil {
				return err
			}
			buf := <-free
			if buf == nil {
				buf = make([]byte, recordSize)
			}
			batches <- c.read(k, p, buf)
		}
	}
	return nil
}

// read reads the pages of a chunk that a pass wants.
func (c *capture) read(k *chunk, p *pass, buf []byte) batch {
	b := batch{buf: buf}
	piece := Piece{Extent: Extent{k.start, uint64(k.pages * pageSize)}, Pass: p.name, Began: time.Now()}
	c.classify(k, p)
	c.readChosen(k, p, &b)
	if p.last && p.classify {
		c.readLate(k, p, &b)
	}
	if p.last {
		b.settled += c.countLeftOut(k)
	}
	for _, r := range b.records {
		piece.Memory += r.memory.Size
	}
	piece.Ended = time.Now()
	if b.settled > 0 {
		c.manifest.Pieces = append(c.manifest.Pieces, piece)
	}
	return b
}

// readChosen reads the pages of a chunk that a pass wants by their classes.
func (c *capture) readChosen(k *chunk, p *pass, b *batch) {
	for _, r := range c.choose(k, p) {
		data := b.buf[r.first*pageSize : r.end*pageSize]
		b.records = append(b.records, c.readRun(data, k.addr(r.first))...)
		b.settled += int64(len(data))
		k.markDone(r)
		for _, class := range c.classes[r.first:r.end] {
			c.kept[class]++
		}
	}
}

// readLate reads what came into use since the pages of a chunk were classified: a machine
// goes on, and what is on a page that was free is as new as what points to it.
func (c *capture) readLate(k *chunk, p *pass, b *batch) {
	if k.done != nil && !slices.Contains(k.done, false) {
		return
	}
	before := b.settled
	c.classify(k, p)
	c.readChosen(k, p, b)
	if b.settled == before {
		return
	}
	c.manifest.Late += uint64(b.settled - before)
	slices.SortFunc(b.records, func(x, y record) int { return cmp.Compare(x.memory.Start, y.memory.Start) })
}

// classify finds out the classes of the pages of k, if that matters.
func (c *capture) classify(k *chunk, p *pass) {
	c.classes = append(c.classes[:0], make([]memmap.PageClass, k.pages)...)
	if !p.classify {
		return
	}
	if err := c.opts.Pages.ClassifyPages(c.classes, k.start); err != nil {
		if c.unknown++; c.unknown == 1 {
			c.note("the use of pages in memory %v is not known: %v", k.memory(), err)
		}
	}
}

// choose returns the runs of pages of k that a pass is to read.
func (c *capture) choose(k *chunk, p *pass) []run {
	var runs []run
	for i := range k.pages {
		switch {
		case k.done != nil && k.done[i], !p.wants(k.addr(i), c.classes[i], c.opts.LeaveOut):
		case len(runs) > 0 && runs[len(runs)-1].end == i:
			runs[len(runs)-1].end = i + 1
		default:
			runs = append(runs, run{i, i + 1})
		}
	}
	return runs
}

func (k *chunk) markDone(r run) {
	if k.done == nil {
		k.done = make([]bool, k.pages)
	}
	for i := r.first; i < r.end; i++ {
		k.done[i] = true
	}
}

// countLeftOut counts the pages of k that no pass read, after the last one. It returns
// how many bytes they are.
func (c *capture) countLeftOut(k *chunk) int64 {
	var left int64
	for i := range k.pages {
		if k.done == nil || !k.done[i] {
			c.leftOut[c.classes[i]]++
			left += pageSize
		}
	}
	return left
}

// readRun fills b with the memory at start, and returns the parts that could be read,
// having narrowed down by halves what can't. /proc/kcore gives no bytes at all with an
// error, even if there are good pages before the bad one.
func (c *capture) readRun(b []byte, start vmem.PhysAddr) []record {
	var parts []record
	begin, step := 0, len(b) // begin of what was read last and is no part yet
	part := func(end int) {
		if end > begin {
			r := vmem.Range[vmem.PhysAddr]{Start: start + vmem.PhysAddr(begin), Size: uint64(end - begin)}
			parts = append(parts, record{r, b[begin:end]})
		}
	}
	for off := 0; off < len(b); {
		size := min(step, len(b)-off)
		at := start + vmem.PhysAddr(off)
		_, err := c.core.ReadAt(b[off:off+size], int64(at))
		switch {
		case err == nil:
			off, step = off+size, min(2*step, len(b))
		case size > pageSize:
			step = max(pageSize, size/2&^(pageSize-1))
		default:
			c.manifest.miss(vmem.Range[vmem.PhysAddr]{Start: at, Size: uint64(size)}, reason(err))
			part(off)
			off += size
			begin = off
		}
	}
	part(len(b))
	return parts
}

// reason returns what is wrong without the place, which differs from page to page.
func reason(err error) string {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err.Error()
	}
	return err.Error()
}
