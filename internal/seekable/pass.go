package seekable

import (
	"errors"
	"fmt"
	"io"

	"github.com/nodelens/nodelens/internal/blockcache"
	"github.com/nodelens/nodelens/internal/checkpoint"
)

// progressStep is how much content is decoded between two calls of Options.Progress.
const progressStep = 16 * blockSize

// reach makes sure that the first pass has gone over the byte at offset pos of the
// content, and reports whether there is one.
func (r *Reader) reach(pos int64) bool {
	if pos < r.reached.Load() {
		return true
	}
	if r.whole.Load() {
		return false
	}
	r.passing.Lock()
	defer r.passing.Unlock()
	for pos >= r.reached.Load() && !r.whole.Load() {
		r.pass()
	}
	return pos < r.reached.Load()
}

// pass decodes one more block in the first pass and puts it in the cache. r.passing is
// held. Nobody else asks the cache for a block that was not reached.
func (r *Reader) pass() {
	start := r.reached.Load()
	if r.stop != nil {
		if err := r.stop(); err != nil {
			r.ended(start, err)
			return
		}
	}
	if start >= r.limit {
		r.ended(start, fmt.Errorf("%w: %d bytes of it make %d", ErrTooLong, r.file.furthest.Load(), start))
		return
	}
	e, _ := r.cache.Acquire(int(start / blockSize))
	defer r.packs.take(e, r.cache.Release)
	buf := r.cache.Buffer(blockSize)
	n, err := r.first.read(buf)
	e.Buf = buf[:n]
	r.cache.Filled(e)
	r.reached.Store(start + int64(n))
	if err != nil {
		r.ended(start+int64(n), err)
	}
	if r.progress != nil && start%progressStep == 0 {
		r.progress(min(r.file.furthest.Load(), r.file.size), r.file.size)
	}
}

// ended ends the first pass, for the reason that the content does, too.
func (r *Reader) ended(size int64, err error) {
	if !errors.Is(err, io.EOF) {
		r.note(lossFrom(size, err))
	}
	r.first = nil
	r.whole.Store(true)
}

// lossFrom returns the damage that err is, of content from start on.
func lossFrom(start int64, err error) Damage {
	d := Damage{Start: start, Err: err}
	if fe, ok := errors.AsType[*checkpoint.FormatError](err); ok {
		d.Offset, d.Err = fe.Offset, fe.Err
	}
	return d
}

// fill decodes the block of e, which the first pass has gone over or an index tells of,
// and those before it from the nearest place on where decoding can begin.
func (r *Reader) fill(e *blockcache.Entry) {
	defer r.cache.Filled(e)
	if b := r.packs.get(e.Block()); b != nil {
		buf := r.cache.Buffer(b.size)
		if e.Err = b.unpack(buf); e.Err == nil {
			e.Buf = buf
		}
		return
	}
	c, err := r.cursorAt(int64(e.Block()) * blockSize)
	if err != nil {
		e.Err = err
		return
	}
	for i := int((c.pos + blockSize - 1) / blockSize); ; i++ {
		if err := c.skip(int64(i)*blockSize - c.pos); err != nil {
			e.Err = err
			return
		}
		if i == e.Block() {
			break
		}
		if e.Block()-i > r.room {
			i = e.Block() - r.room - 1
			continue
		}
		if err := r.fillPassing(c, i); err != nil {
			e.Err = err
			return
		}
	}
	if e.Buf, e.Err = r.block(c, e.Block()); e.Err == nil {
		r.park(c)
		r.missed.Add(1)
		p, _ := r.cache.Acquire(e.Block())
		r.packs.take(p, r.cache.Release)
	}
}

// fillPassing puts block i, which c is at, in the cache, unless it is there or somebody
// else is at it: then nothing is waited for.
func (r *Reader) fillPassing(c *cursor, i int) error {
	p, owner := r.cache.Acquire(i)
	if !owner {
		r.cache.Release(p)
		return nil
	}
	p.Buf, p.Err = r.block(c, i)
	err := p.Err
	r.cache.Filled(p)
	if err != nil {
		r.cache.Release(p)
		return err
	}
	r.packs.take(p, r.cache.Release)
	return nil
}

// block decodes block i, which c is at.
func (r *Reader) block(c *cursor, i int) ([]byte, error) {
	buf := r.cache.Buffer(blockSize)[:r.length(i)]
	n, err := c.read(buf)
	if n == len(buf) {
		return buf, nil
	}
	r.cache.Recycle(buf)
	if errors.Is(err, io.EOF) || err == nil {
		err = errChanged
	}
	return nil, err
}
