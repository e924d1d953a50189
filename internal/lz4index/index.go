package lz4index

import (
	"io"
	"runtime"
	"sync"
	"sync/atomic"
)

// An index is the list of the blocks of a file, with their place in the content.
type index struct {
	r      io.ReaderAt
	frames []frame
	blocks []block
	damage []Damage
	size   int64 // of the content
}

// newIndex lists the frames and blocks of a file and finds the size and the place
// of each block.
func newIndex(r io.ReaderAt, size int64) (*index, error) {
	w := &walker{r: r, size: size}
	if err := w.walk(); err != nil {
		return nil, err
	}
	x := &index{r: r, frames: w.frames, blocks: w.blocks}
	if err := x.measure(); err != nil {
		return nil, err
	}
	if err := x.place(); err != nil {
		return nil, err
	}
	x.listDamage()
	for _, d := range w.damage {
		d.Start = x.size
		x.damage = append(x.damage, d)
	}
	return x, nil
}

// measure sets size and flags of all blocks from their sequences, where the
// content size does not prove that they are full.
func (x *index) measure() error {
	var todo []int
	for i := range x.frames {
		f := &x.frames[i]
		proven, err := x.proveFull(f)
		if err != nil {
			return err
		}
		for b := f.first; b < f.end && !proven; b++ {
			todo = append(todo, b)
		}
	}
	return x.scanAll(todo)
}

// proveFull reports whether all blocks of f but the last are full, which is so if
// that many full ones and the last, which it scans, make the content size.
func (x *index) proveFull(f *frame) (bool, error) {
	n := f.end - f.first
	if f.contentSize < 0 || !f.whole || n == 0 {
		return false, nil
	}
	var s scanner
	last := f.end - 1
	if err := s.scan(x, last); err != nil {
		return false, err
	}
	before := int64(n-1) * int64(f.fullBlock)
	if x.blocks[last].is(damaged) || before+int64(x.blocks[last].size) != f.contentSize {
		return false, nil
	}
	for i := f.first; i < last; i++ {
		x.blocks[i].size = uint32(f.fullBlock)
		x.markAlone(i, !x.blocks[i].is(stored))
	}
	return true, nil
}

// markAlone flags block i if nothing from its start on needs what comes before
// it. before says whether the block itself may.
func (x *index) markAlone(i int, before bool) {
	b := &x.blocks[i]
	f := &x.frames[b.frame]
	if !f.linked || i == f.first || !before && b.size >= window {
		b.flags |= alone
	}
}

// scanAll scans the blocks of the given indices on all cores.
func (x *index) scanAll(todo []int) error {
	var (
		next atomic.Int64
		wg   sync.WaitGroup
		once sync.Once
		fail error
	)
	for range min(runtime.GOMAXPROCS(0), len(todo)) {
		wg.Go(func() {
			var s scanner
			for i := next.Add(1) - 1; i < int64(len(todo)); i = next.Add(1) - 1 {
				if err := s.scan(x, todo[i]); err != nil {
					once.Do(func() { fail = err })
					return
				}
			}
		})
	}
	wg.Wait()
	return fail
}

// A scanner scans one block after another, in one buffer.
type scanner struct{ buf []byte }

// scan sets size and flags of block i. Errors are those of reading the file.
func (s *scanner) scan(x *index, i int) error {
	b := &x.blocks[i]
	f := &x.frames[b.frame]
	if b.is(stored) {
		b.size = b.srcSize
		x.markAlone(i, false)
		return nil
	}
	src, err := s.read(x.r, b)
	if err != nil {
		return err
	}
	got := scanBlock(src, f.fullBlock)
	if !got.ok && !b.is(cut) || got.before && (!f.linked || i == f.first) {
		b.flags |= damaged
		return nil
	}
	b.size, b.srcSize = uint32(got.size), uint32(got.consumed)
	if !got.ok {
		b.flags |= endless
	}
	x.markAlone(i, got.before)
	return nil
}

// read returns the data of b as they are in the file.
func (s *scanner) read(r io.ReaderAt, b *block) ([]byte, error) {
	if cap(s.buf) < int(b.srcSize) {
		s.buf = make([]byte, b.srcSize+b.srcSize/4) // the next block may be a little larger
	}
	src := s.buf[:b.srcSize]
	if n, err := r.ReadAt(src, b.src); n < len(src) {
		return nil, &FormatError{b.src + int64(n), err}
	}
	return src, nil
}
