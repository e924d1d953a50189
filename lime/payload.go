package lime

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"sort"
	"sync"

	"github.com/nodelens/nodelens/internal/blockcache"
	"github.com/nodelens/nodelens/internal/extent"
	"github.com/nodelens/nodelens/internal/gaplist"
	"github.com/nodelens/nodelens/internal/source"
	"github.com/nodelens/nodelens/vmem"
)

// cacheBytes is how much of compressed blocks is kept decoded.
const cacheBytes = 64 << 20

// A payload is what the extents of an image lie in: the file, and behind its end the
// content of all compressed chunks, and zeros for blocks that are no more than a header.
// It is safe for concurrent use.
type payload struct {
	file     *source.Source
	chunks   []chunk // by content; the last is an end mark
	cache    *blockcache.Cache
	decoders sync.Pool // of *decoder

	mu   sync.Mutex    // guards all below
	late map[int]error // by chunk, of some
	more uint64        // how often others were met
}

func newPayload(s *source.Source, chunks []chunk, end int64) *payload {
	return &payload{
		file:   s,
		chunks: append(chunks, chunk{content: end}),
		cache:  blockcache.New(cacheBytes),
		late:   make(map[int]error),
	}
}

// ReadAt implements [io.ReaderAt].
func (c *payload) ReadAt(p []byte, off int64) (n int, err error) {
	if off < c.chunks[0].content {
		return c.file.ReadAt(p, off)
	}
	for n < len(p) {
		at := off + int64(n)
		i := sort.Search(len(c.chunks), func(i int) bool { return c.chunks[i].content > at }) - 1
		if i == len(c.chunks)-1 {
			return n, io.EOF
		}
		rest := p[n:]
		rest = rest[:min(int64(len(rest)), c.chunks[i+1].content-at)]
		if c.chunks[i].src < 0 {
			clear(rest)
		} else if err := c.read(rest, i, at-c.chunks[i].content); err != nil {
			return n, err
		}
		n += len(rest)
	}
	return n, nil
}

// read reads from offset off of the content of chunk i.
func (c *payload) read(p []byte, i int, off int64) error {
	e, owner := c.cache.Acquire(i)
	defer c.cache.Release(e)
	if owner {
		c.fill(e)
	}
	e.Wait()
	copy(p, e.Buf[min(off, int64(len(e.Buf))):])
	return e.Err
}

// fill decodes the chunk of e. What is wrong with it is remembered, to be listed.
func (c *payload) fill(e *blockcache.Entry) {
	defer c.cache.Filled(e)
	i := e.Block()
	buf := c.cache.Buffer(int(c.chunks[i+1].content - c.chunks[i].content))
	d, ok := c.decoders.Get().(*decoder)
	if !ok {
		d = new(decoder)
	}
	defer c.decoders.Put(d)
	err := d.decode(c.file, c.chunks[i].src, buf)
	if err == nil {
		e.Buf = buf
		return
	}
	c.cache.Recycle(buf)
	if errors.Is(err, errChunk) || errors.Is(err, errChecksum) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = fmt.Errorf("%w: %w: %w", vmem.ErrNotCaptured, ErrDamaged, err)
	}
	e.Err = fmt.Errorf("file offset %#x: %w", c.chunks[i].src, err)
	if errors.Is(err, vmem.ErrNotCaptured) {
		c.mu.Lock()
		if _, known := c.late[i]; known || len(c.late) < gaplist.Limit {
			c.late[i] = err
		} else {
			c.more++
		}
		c.mu.Unlock()
	}
}

// gaps returns the physical memory, by t, of the chunks that reading found damaged.
func (c *payload) gaps(t *extent.Table) []vmem.Gap {
	c.mu.Lock()
	defer c.mu.Unlock()
	var gaps gaplist.List
	for _, i := range slices.Sorted(maps.Keys(c.late)) {
		k := c.chunks[i]
		for _, r := range t.Physical(k.content, c.chunks[i+1].content-k.content) {
			gaps.Add(vmem.PhysicalPlace(r, k.src), c.late[i])
		}
	}
	gaps.Count(c.more)
	return gaps.Gaps()
}
