package lz4index

import (
	"slices"

	"github.com/nodelens/nodelens/internal/blockcache"
)

// Checkpoints are kept at least this far apart in the content, and no more than
// this many of them, each of at most window bytes.
const (
	minCheckpointGap = 1 << 20
	maxCheckpoints   = 512
)

// before returns what comes before block i, as far as decoding it and what
// follows needs it: the last window bytes of its frame, or nothing.
//
// It decodes the blocks from the nearest one that can be begun with, through the
// cache. While block i is being decoded it waits for lower blocks only, so that
// readers can't wait for one another in a circle.
func (r *Reader) before(i int) ([]byte, error) {
	if r.x.blocks[i].is(alone) {
		return nil, nil
	}
	first, before := r.begin(i)
	for n := first; n < i; n++ {
		var err error
		if before, err = r.tail(n, before); err != nil {
			return nil, err
		}
		r.checkpoint(n+1, before)
	}
	return before, nil
}

// begin returns the nearest block at or before i that can be decoded at once, and
// what comes before it.
func (r *Reader) begin(i int) (first int, before []byte) {
	for n := i; ; n-- {
		if r.x.blocks[n].is(alone) {
			return n, nil
		}
		if before := r.checkpointAt(n); before != nil {
			return n, before
		}
		if e := r.cache.Cached(n - 1); e != nil {
			e.Wait()
			before, err := slices.Clone(tailOf(e)), e.Err
			r.cache.Release(e)
			if err == nil {
				return n, before
			}
		}
	}
}

// tail decodes block n, given what comes before it, and returns the same for the
// next block.
func (r *Reader) tail(n int, before []byte) ([]byte, error) {
	e, owner := r.cache.Acquire(n)
	if owner {
		r.fill(e, before, nil)
	}
	e.Wait()
	defer r.cache.Release(e)
	if e.Err != nil {
		return nil, e.Err
	}
	return slices.Clone(tailOf(e)), nil
}

// tailOf returns the last bytes of a block and of what comes before it, as far as a
// linked block after it may need them.
func tailOf(e *blockcache.Entry) []byte { return e.Buf[max(0, len(e.Buf)-window):] }

func (r *Reader) checkpointAt(i int) []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.checkpoints[i]
}

// checkpoint keeps what comes before block i if that is the first block to begin
// behind a multiple of the distance between checkpoints.
func (r *Reader) checkpoint(i int, before []byte) {
	gap := max(minCheckpointGap, r.x.size/maxCheckpoints+1)
	if i == 0 || r.x.blocks[i].dst/gap == r.x.blocks[i-1].dst/gap || r.x.blocks[i].is(alone) {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.checkpoints[i] = before
}
