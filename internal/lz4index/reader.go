package lz4index

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"sort"
	"sync"

	"github.com/nodelens/nodelens/internal/blockcache"
	"github.com/nodelens/nodelens/internal/seekable"
)

// defaultCache is the budget of the cache where Options don't say: 16 of the
// largest blocks that the lz4 command makes.
const defaultCache = 64 << 20

// Options change how a file is read. Nil stands for the zero Options.
type Options struct {
	// CacheBytes is how much decoded content to keep; 0 means 64 MiB.
	CacheBytes int64
}

// A Reader reads the content of an LZ4 file. It is safe for concurrent use.
type Reader struct {
	x     *index
	cache *blockcache.Cache
	scans sync.Pool // of *scanner

	mu          sync.Mutex      // guards all below
	late        map[int]*Damage // found by decoding: by block
	checkpoints map[int][]byte  // what comes before a block of a linked frame
}

// New indexes an LZ4 file of the given size. The caller keeps r, which must be
// safe for concurrent use, as long as the Reader is used.
//
// It fails with a *FormatError where the file does not begin with an LZ4 frame or
// can't be read. Damage lists what is wrong further on.
func New(r io.ReaderAt, size int64, opts *Options) (*Reader, error) {
	x, err := newIndex(r, size)
	if err != nil {
		return nil, err
	}
	budget := int64(defaultCache)
	if opts != nil && opts.CacheBytes > 0 {
		budget = opts.CacheBytes
	}
	return &Reader{
		x:           x,
		cache:       blockcache.New(budget),
		late:        make(map[int]*Damage),
		checkpoints: make(map[int][]byte),
	}, nil
}

// Size returns the size of the content, as far as its end is known.
func (r *Reader) Size() int64 { return r.x.size }

// Release gives back the memory of what was decoded. The Reader may be used on.
func (r *Reader) Release() { r.cache.Clear() }

// Damage returns what was lost, by place in the content: what New found, and what
// reading found since.
func (r *Reader) Damage() []Damage {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := slices.Clone(r.x.damage)
	for _, d := range r.late {
		all = append(all, *d)
	}
	slices.SortFunc(all, seekable.CompareDamage)
	return all
}

// ReadAt implements [io.ReaderAt] on the content. On reaching a damaged block it
// returns the number of bytes before it and a *Damage.
func (r *Reader) ReadAt(p []byte, off int64) (n int, err error) {
	if off < 0 {
		return 0, fmt.Errorf("lz4: negative offset %d", off)
	}
	for n < len(p) {
		pos := off + int64(n)
		i := r.x.find(pos)
		if i == len(r.x.blocks) {
			return n, io.EOF
		}
		e := r.get(i)
		if e.Err != nil {
			err = e.Err
		} else {
			n += copy(p[n:], e.Buf[e.Before+int(pos-r.x.blocks[i].dst):])
		}
		r.cache.Release(e)
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// find returns the block that has the byte at offset pos of the content; the
// number of blocks where none has.
func (x *index) find(pos int64) int {
	return sort.Search(len(x.blocks), func(i int) bool { return x.blocks[i].end() > pos })
}

// get returns the entry of block i, decoded or with its error. The caller
// releases it.
func (r *Reader) get(i int) *blockcache.Entry {
	e, owner := r.cache.Acquire(i)
	if !owner {
		e.Wait()
		return e
	}
	var before []byte
	err := r.lasting(i, nil)
	if err == nil {
		before, err = r.before(i)
	}
	r.fill(e, before, err)
	return e
}

// fill decodes the block of e, given what comes before it.
func (r *Reader) fill(e *blockcache.Entry, before []byte, err error) {
	defer r.cache.Filled(e)
	if e.Err = r.lasting(e.Block(), err); e.Err != nil {
		return
	}
	buf := r.cache.Buffer(len(before) + int(r.x.blocks[e.Block()].size))
	e.Before = copy(buf, before)
	s, ok := r.scans.Get().(*scanner)
	if !ok {
		s = new(scanner)
	}
	defer r.scans.Put(s)
	if err := r.x.decode(s, e.Block(), buf); err != nil {
		r.cache.Recycle(buf)
		e.Err = r.lasting(e.Block(), err)
		return
	}
	e.Buf = buf
}

// lasting returns the error to give for block i: that of its damage where it is
// known, else err, which is what decoding the block or one before it gave, if
// anything. Damage is remembered, so that it is listed and need not be found again.
func (r *Reader) lasting(i int, err error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	b := &r.x.blocks[i]
	if b.is(damaged) {
		return b.damage(b.reason())
	}
	if d := r.late[i]; d != nil {
		return d
	}
	d, ok := errors.AsType[*Damage](err)
	if !ok {
		return err
	}
	if d.Offset != b.src {
		d = b.damage(errDependent)
	}
	r.late[i] = d
	return d
}
