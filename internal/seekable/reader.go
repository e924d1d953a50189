package seekable

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"math"
	"runtime"
	"slices"
	"sort"
	"sync"
	"sync/atomic"

	"github.com/nodelens/nodelens/internal/blockcache"
	"github.com/nodelens/nodelens/internal/checkpoint"
)

const (
	defaultCache  = 64 << 20
	defaultStates = 64 << 20
	defaultPacked = 128 << 20

	// leastLimit and limitRatio make the default of ContentBytes.
	leastLimit = 1 << 30
	limitRatio = 4096

	// blockSize is how much content is kept in the cache as one block.
	blockSize = 64 << 10
)

// Options change how a file is read. Nil stands for the zero Options.
type Options struct {
	// CacheBytes is how much decoded content to keep; 0 means 64 MiB.
	CacheBytes int64
	// StateBytes is how much memory the states to go on from may take; 0 means 64 MiB.
	StateBytes int64
	// PackedBytes is how much memory the content may take that is kept packed, for what is
	// read again when it is no longer in the cache; 0 means 128 MiB.
	PackedBytes int64
	// Saved is what Save of a Reader of the same file wrote. What can't be used of it, or
	// is of another version, is left aside.
	Saved []byte
	// ContentBytes is how much content a file may have: what is behind is lost. 0
	// means 1 GiB and 4096 times the size of the file: memory that is mostly zeros has a
	// kernel in it all the same.
	ContentBytes int64
	// Progress, if not nil, is called now and then while the file is decoded for the
	// first time, with how many of its bytes were read. It must return soon.
	Progress func(done, total int64)
	// Interrupted, if not nil, is asked before each block of the content that is decoded
	// for the first time. The content ends there if it returns an error.
	Interrupted func() error
}

// A Reader reads the content of a compressed file. It is safe for concurrent use.
type Reader struct {
	format  checkpoint.Format
	file    *file
	missed  atomic.Int64 // blocks that were decoded from a state on
	cache   *blockcache.Cache
	room    int           // blocks that are worth caching when a decoder passes them
	active  chan struct{} // one for each decoder at work on other than the first pass
	indexed bool          // the file says where decoding can begin
	loaded  bool          // Options.Saved does
	saved   int           // blocks that it has

	passing  sync.Mutex // guards first: held by who decodes further than all before
	first    *cursor    // of the first pass; nil when that is done
	reached  atomic.Int64
	whole    atomic.Bool // the first pass is done, and reached is the size
	progress func(done, total int64)
	stop     func() error
	limit    int64 // of the content

	states states
	packs  *packs

	mu     sync.Mutex  // guards all below
	parked []*cursor   // not in use, the one used last at the end
	damage []Damage    // by place
	losses []Damage    // those with sizes
	lossy  atomic.Bool // there are losses
}

// New returns a Reader of the content of the size bytes of r, which must be safe for
// concurrent use, and which the caller keeps as long as the Reader is used.
//
// It fails with a *checkpoint.FormatError where the file has no content that can be decoded.
// Damage lists what is wrong further on.
func New(f checkpoint.Format, r io.ReaderAt, size int64, opts *Options) (*Reader, error) {
	if opts == nil {
		opts = new(Options)
	}
	cached, kept, packed := opts.CacheBytes, opts.StateBytes, opts.PackedBytes
	if cached <= 0 {
		cached = defaultCache
	}
	if kept <= 0 {
		kept = defaultStates
	}
	if packed <= 0 {
		packed = defaultPacked
	}
	x := &Reader{
		packs:    newPacks(packed),
		format:   f,
		file:     &file{r: r, size: size},
		cache:    blockcache.New(cached),
		room:     int(cached / 4 / blockSize),
		active:   make(chan struct{}, max(4, runtime.GOMAXPROCS(0))),
		progress: opts.Progress,
		stop:     opts.Interrupted,
		limit:    cmp.Or(opts.ContentBytes, leastLimit+limitRatio*min(size, math.MaxInt64/limitRatio/2)),
		states:   states{budget: kept, gap: minGap, points: []point{{place: true}}},
	}
	if x.load(opts.Saved) {
		return x, nil
	}
	d, err := f.NewDecoder(x.file, size, nil)
	if errors.Is(err, io.EOF) {
		x.finish(0)
		return x, nil
	}
	if err != nil {
		return nil, err
	}
	c := &cursor{r: x, dec: d}
	if ix, ok := d.(checkpoint.Indexed); ok {
		x.index(ix)
		x.file.furthest.Store(0) // indexes are at the end of a file, and no progress
	}
	if err := c.more(); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if x.indexed {
		x.park(c)
	} else {
		c.first = true
		x.first = c
	}
	return x, nil
}

// fewMissed is how many blocks may have been decoded that Options.Saved had not, which takes
// about as long as to save them.
const fewMissed = 8

// Fresh reports whether Options.Saved has most of what Save would write, and of what was read.
func (r *Reader) Fresh() bool {
	r.packs.mu.Lock()
	defer r.packs.mu.Unlock()
	return r.loaded && r.missed.Load() <= fewMissed && len(r.packs.blocks) <= r.saved+r.saved/8+16
}

// index takes the places where decoding can begin from the file, if it has them.
func (r *Reader) index(ix checkpoint.Indexed) {
	places, size, ok := ix.Index()
	if !ok || len(places) == 0 || places[0].Offset != 0 || size < 0 {
		return
	}
	r.indexed = true
	r.states.add(places)
	if size > r.limit {
		r.note(lossFrom(r.limit, fmt.Errorf("%w: it says that it has %d bytes", ErrTooLong, size)))
	}
	r.finish(min(size, r.limit))
}

// finish sets the size of the content.
func (r *Reader) finish(size int64) {
	r.reached.Store(min(size, math.MaxInt32*blockSize)) // 128 TiB
	r.whole.Store(true)
}

// Size returns the size of the content, as far as it can be decoded. Where no index says
// it, the whole file must have been decoded, which Size does if need be.
func (r *Reader) Size() int64 {
	r.reach(math.MaxInt64)
	return r.reached.Load()
}

// Reaches reports whether the content goes as far as end. To find out it decodes the file
// no further than that.
func (r *Reader) Reaches(end int64) bool { return end <= 0 || r.reach(end-1) }

// Damage returns what is wrong with the file as far as it was decoded, by place in the
// content.
func (r *Reader) Damage() []Damage {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.damage)
}

// note lists damage, once.
func (r *Reader) note(d Damage) {
	r.mu.Lock()
	defer r.mu.Unlock()
	i, found := slices.BinarySearchFunc(r.damage, d, CompareDamage)
	if found {
		return
	}
	r.damage = slices.Insert(r.damage, i, d)
	if d.Size > 0 {
		i, _ := slices.BinarySearchFunc(r.losses, d, CompareDamage)
		r.losses = slices.Insert(r.losses, i, d)
		r.lossy.Store(true)
	}
}

// lost returns the first damage that takes content between start and end; nil if there is
// none.
func (r *Reader) lost(start, end int64) *Damage {
	if !r.lossy.Load() {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	i := sort.Search(len(r.losses), func(i int) bool { return r.losses[i].Start+r.losses[i].Size > start })
	if i == len(r.losses) || r.losses[i].Start >= end {
		return nil
	}
	d := r.losses[i]
	return &d
}

// ReadAt implements [io.ReaderAt] on the content. On reaching a damaged part it returns
// the number of bytes before it and a *Damage.
func (r *Reader) ReadAt(p []byte, off int64) (n int, err error) {
	if off < 0 {
		return 0, fmt.Errorf("negative offset %d in the content of a compressed file", off)
	}
	for n < len(p) {
		got, err := r.read(p[n:], off+int64(n))
		n += got
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// read reads at most as far as the block goes that has the byte at pos.
func (r *Reader) read(p []byte, pos int64) (int, error) {
	if !r.reach(pos) {
		return 0, io.EOF
	}
	r.packs.touch(int(pos / blockSize))
	e := r.get(int(pos / blockSize))
	defer r.cache.Release(e)
	if e.Err != nil {
		return 0, e.Err
	}
	n := copy(p, e.Buf[min(pos%blockSize, int64(len(e.Buf))):])
	if d := r.lost(pos, pos+int64(n)); d != nil {
		return int(max(0, d.Start-pos)), d
	}
	if n == 0 {
		return 0, errChanged
	}
	return n, nil
}

// get returns the entry of block i, decoded or with its error. The caller releases it.
func (r *Reader) get(i int) *blockcache.Entry {
	e, owner := r.cache.Acquire(i)
	if owner {
		r.active <- struct{}{}
		r.fill(e)
		<-r.active
	}
	e.Wait()
	return e
}

// length returns how long block i is, of the content that was reached.
func (r *Reader) length(i int) int {
	return int(min(blockSize, r.reached.Load()-int64(i)*blockSize))
}
