package lz4index

import (
	"errors"
	"slices"

	"github.com/nodelens/nodelens/internal/seekable"
)

// place gives each block its size, where it is damaged, and its place in the
// content. From the first block on whose place can't be known nothing is kept.
func (x *index) place() error {
	for i := range x.frames {
		f := &x.frames[i]
		placed, err := x.settle(f)
		if err != nil {
			return err
		}
		x.assign(f.first, placed)
		if placed < f.end {
			x.truncate(i, placed)
			return nil
		}
	}
	return nil
}

// assign places the blocks from first up to end after the content so far.
func (x *index) assign(first, end int) {
	for i := first; i < end; i++ {
		x.blocks[i].dst = x.size
		x.size += int64(x.blocks[i].size)
	}
}

// truncate drops block n of frame f and all that follows.
func (x *index) truncate(f, n int) {
	x.damage = append(x.damage, Damage{Offset: x.blocks[n].src, Start: x.size, Err: errUnplaced})
	x.blocks = x.blocks[:n]
	x.frames = x.frames[:f+1]
	x.frames[f].end = n
}

// settle finds the sizes of the blocks of f that have none, or a doubtful one. It
// returns the end of the blocks whose place is known; f.end if all are placed.
//
// A block whose sequences don't add up is damaged. A short one before the last is
// either what a flushing writer made, or a full one with a changed length; if its
// checksum fails it is the latter. Then, in this order:
//
//   - One damaged block of a frame with a content size is what is missing to it.
//   - Where no sound block is short, the writer did not flush: damaged ones are full.
//   - A single short block beside damaged ones, or in a frame whose content
//     checksum fails, is more likely a damaged full one. Several are a writer's.
//   - Otherwise what follows the first damaged block has no known place.
func (x *index) settle(f *frame) (placed int, err error) {
	if f.blockSums {
		if err := x.checkShort(f); err != nil {
			return 0, err
		}
	}
	short, bad := x.doubtful(f)
	switch {
	case f.contentSize >= 0 && f.whole && len(bad) <= 1 && x.settleByContentSize(f, short, bad):
		return f.end, nil
	case len(bad) == 0:
		return f.end, x.settleShort(f, short)
	case len(short) == 1 && !f.blockSums:
		x.distrust(short[0])
		return x.settleFull(f, append(bad, short[0])), nil
	case len(short) > 0:
		return bad[0], nil
	}
	return x.settleFull(f, bad), nil
}

// doubtful returns the blocks of f before the last that are sound but short, and
// all that are damaged.
func (x *index) doubtful(f *frame) (short, bad []int) {
	for i := f.first; i < f.end; i++ {
		switch b := &x.blocks[i]; {
		case b.is(damaged):
			bad = append(bad, i)
		case i < f.end-1 && int(b.size) < f.fullBlock:
			short = append(short, i)
		}
	}
	return short, bad
}

// checkShort marks the short blocks before the last whose checksum fails as damaged.
func (x *index) checkShort(f *frame) error {
	short, _ := x.doubtful(f)
	var s scanner
	for _, i := range short {
		ok, err := s.sumMatches(x.r, &x.blocks[i])
		if err != nil {
			return err
		}
		if !ok {
			x.distrust(i)
		}
	}
	return nil
}

// distrust marks block i as damaged; its size is not known any more.
func (x *index) distrust(i int) {
	x.blocks[i].flags |= damaged
	x.blocks[i].size = 0
}

// settleByContentSize gives the one damaged block of f, if any, what is missing to
// the content size of f, and reports whether that settled the matter. If no block
// is damaged or short, and yet something is missing, it is the last that is damaged.
func (x *index) settleByContentSize(f *frame, short, bad []int) bool {
	missing := f.contentSize - x.sum(f)
	if missing == 0 && len(bad) == 0 {
		return true
	}
	odd := f.end - 1
	if len(bad) == 1 {
		odd = bad[0]
	}
	if f.end > f.first && (len(bad) == 1 || len(short) == 0) {
		size := int64(x.blocks[odd].size) + missing
		if size > 0 && size <= int64(f.fullBlock) {
			x.distrust(odd)
			x.blocks[odd].size = uint32(size)
			return true
		}
	}
	if len(bad) == 0 {
		x.note(f, errSumOfSizes)
	}
	return len(bad) == 0
}

// sum returns the size of the blocks of f as far as known.
func (x *index) sum(f *frame) (size int64) {
	for _, b := range x.blocks[f.first:f.end] {
		size += int64(b.size)
	}
	return size
}

// note lists a doubt about the whole of frame f, which begins at the end of the
// content so far.
func (x *index) note(f *frame, err error) {
	x.damage = append(x.damage, Damage{Offset: f.start, Start: x.size, Err: err})
}

// settleShort decides about short blocks in a frame without damaged ones.
func (x *index) settleShort(f *frame, short []int) error {
	switch {
	case f.blockSums:
		return nil
	case f.contentSum && f.whole:
		ok, err := x.contentMatches(f)
		if ok || err != nil {
			return err
		}
		if len(short) == 1 {
			x.distrust(short[0])
			x.settleFull(f, short)
			return nil
		}
		x.note(f, errContent)
	case len(short) == 1:
		x.note(f, errUnproven)
	}
	return nil
}

// settleFull makes the damaged blocks of f full. The size of the last can be told
// from the content size alone; without one it has no known end, and is left out.
func (x *index) settleFull(f *frame, bad []int) (placed int) {
	last := f.end - 1
	for _, i := range bad {
		if i != last {
			x.blocks[i].size = uint32(f.fullBlock)
		}
	}
	if !slices.Contains(bad, last) {
		return f.end
	}
	missing := f.contentSize - x.sum(f)
	if !f.whole || missing <= 0 || missing > int64(f.fullBlock) {
		return last
	}
	x.blocks[last].size = uint32(missing)
	return f.end
}

// listDamage lists the blocks that are damaged, and those of linked frames that
// can't be decoded for want of what is before them.
func (x *index) listDamage() {
	lost := false
	for i := range x.blocks {
		b := &x.blocks[i]
		switch {
		case b.is(damaged):
			x.lose(b, errMalformed)
		case b.is(alone):
			lost = false
			continue
		case lost:
			x.lose(b, errDependent)
			b.flags |= damaged | orphan
		}
		lost = lost || b.is(damaged)
	}
	slices.SortStableFunc(x.damage, seekable.CompareDamage)
}

// lose lists block b as damage, joined to the one before if the reason is the same.
func (x *index) lose(b *block, err error) {
	if n := len(x.damage); n > 0 {
		if d := &x.damage[n-1]; errors.Is(d.Err, err) && d.Start+d.Size == b.dst && b.dst > 0 {
			d.Size += int64(b.size)
			return
		}
	}
	x.damage = append(x.damage, Damage{Offset: b.src, Start: b.dst, Size: int64(b.size), Err: err})
}
