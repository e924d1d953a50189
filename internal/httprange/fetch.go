package httprange

import (
	"io"

	"github.com/nodelens/nodelens/internal/blockcache"
)

// A stream is a place where somebody reads on, block by block.
type stream struct {
	next  int // the block behind what was fetched last
	ahead int // how many blocks were fetched then
}

// streams are the places where somebody has read last; the latest is the last. A walk over
// memory jumps between a few of them.
type streams []stream

const maxStreams = 8

// want returns how many blocks to fetch from block i on: twice as many as the last time if
// somebody reads on there.
func (s *streams) want(i, most int) int {
	for k, x := range *s {
		if x.next == i {
			*s = append((*s)[:k], (*s)[k+1:]...)
			return min(2*x.ahead, most)
		}
	}
	return 1
}

// fetched notes that n blocks from block i on were fetched.
func (s *streams) fetched(i, n int) {
	if len(*s) == maxStreams {
		*s = (*s)[1:]
	}
	*s = append(*s, stream{next: i + n, ahead: n})
}

// fetch fills the block of e, which the caller has acquired, and those behind it that are
// missing: as many as the caller is going to read, and more where it reads on.
func (r *Reader) fetch(e *blockcache.Entry, reads int) {
	first := e.Block()
	blocks := int((r.size-1)/int64(r.opts.BlockSize)) + 1
	// A quarter of the cache at once: blocks in use are not dropped.
	most := max(1, int(r.opts.CacheBytes/4/int64(r.opts.BlockSize)))
	r.mu.Lock()
	want := min(max(reads, r.streams.want(first, r.opts.ReadAhead)), most, blocks-first)
	r.mu.Unlock()

	run := []*blockcache.Entry{e}
	for i := first + 1; i < first+want; i++ {
		next, owner := r.cache.Acquire(i)
		if !owner {
			r.cache.Release(next)
			break
		}
		run = append(run, next)
	}
	r.mu.Lock()
	r.streams.fetched(first, len(run))
	r.mu.Unlock()
	r.fill(run)
	for _, e := range run[1:] {
		r.cache.Release(e)
	}
}

// fill fills blocks that follow one another. Each is there for others as soon as it came;
// a request that breaks off is made again for the rest.
func (r *Reader) fill(run []*blockcache.Entry) {
	size := int64(r.opts.BlockSize)
	start := int64(run[0].Block()) * size
	end := min(start+int64(len(run))*size, r.size)
	var buf []byte // of the first block of run
	have := 0      // of which this many bytes came
	err := r.retry(func() (got bool, err error) {
		answer, err := r.ask(start+int64(have), end)
		if err != nil {
			return false, err
		}
		defer answer.Body.Close()
		if err := r.check(answer, start+int64(have)); err != nil {
			return false, err
		}
		for start < end {
			if buf == nil {
				buf = r.cache.Buffer(int(min(size, end-start)))
			}
			n, err := io.ReadFull(answer.Body, buf[have:])
			got = got || n > 0
			if have += n; err != nil {
				return got, passing(err)
			}
			run[0].Buf = buf
			r.cache.Filled(run[0])
			run, start, buf, have = run[1:], start+int64(len(buf)), nil, 0
		}
		return true, nil
	})
	for _, e := range run {
		e.Err = err
		r.cache.Filled(e)
	}
}
