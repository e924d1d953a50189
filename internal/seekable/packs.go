package seekable

import (
	"bytes"
	"errors"
	"runtime"
	"sync"

	"github.com/nodelens/nodelens/internal/blockcache"
)

// packs are blocks of the content, packed: unpacking one takes less than a thousandth
// of what it takes to decode the content from the nearest state on. Blocks are taken up in
// the order in which they are first decoded, as long as there is room, and stay. They are
// safe for concurrent use.
type packs struct {
	budget int64
	busy   chan struct{} // one for each block that is being packed in the background

	mu     sync.Mutex // guards all below
	used   int64
	blocks map[int]*pack64
	clock  int         // counts reads
	read   map[int]int // blocks, and when they were read last
}

// A pack64 is a packed block.
type pack64 struct {
	done     chan struct{} // closed when what follows is set
	data     []byte        // as long as the block where packing does not make it shorter
	periodic bool          // the block is data, again and again
	size     int
}

func newPacks(budget int64) *packs {
	return &packs{budget: budget, busy: make(chan struct{}, max(1, runtime.GOMAXPROCS(0)-1)), blocks: make(map[int]*pack64), read: make(map[int]int)}
}

// packSize stands for what a packed block takes besides its data.
const packSize = 128

// room reports whether there is room for more blocks.
func (p *packs) room() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.used < p.budget
}

// take packs the block that e has, if there is room, and calls release when it is done, at
// once or in the background.
func (p *packs) take(e *blockcache.Entry, release func(*blockcache.Entry)) {
	p.mu.Lock()
	if p.used >= p.budget || p.blocks[e.Block()] != nil {
		p.mu.Unlock()
		release(e)
		return
	}
	b := &pack64{done: make(chan struct{}), size: len(e.Buf)}
	p.blocks[e.Block()] = b
	p.mu.Unlock()
	work := func() {
		b.pack(e.Buf)
		close(b.done)
		p.mu.Lock()
		p.used += packSize + int64(len(b.data))
		p.mu.Unlock()
		release(e)
	}
	select {
	case p.busy <- struct{}{}:
		go func() {
			work()
			<-p.busy
		}()
	default:
		work()
	}
}

// touch notes that a block is read.
func (p *packs) touch(block int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clock++
	p.read[block] = p.clock
}

// get returns a block, which is not complete yet if it is not done; nil if it is none of
// these.
func (p *packs) get(block int) *pack64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.blocks[block]
}

// pack packs the content of the block.
func (b *pack64) pack(buf []byte) {
	if p := period(buf); p > 0 {
		b.data, b.periodic = bytes.Clone(buf[:p]), true
		return
	}
	b.data = pack(buf)
	if len(b.data) == b.size { // the caller's own
		b.data = bytes.Clone(buf)
	}
}

// maxPeriod is the longest period that is looked for: a page of memory.
const maxPeriod = 4096

// period returns the power of two after which a block repeats itself, or 0. Most of memory is
// zeros, which unpackers of compressed data are slow at: they copy it byte by byte. And
// content of that kind is what a small file can be made to have most of.
func period(buf []byte) int {
	for p := 1; p <= maxPeriod && p < len(buf); p *= 2 {
		if bytes.Equal(buf[p:min(2*p, len(buf))], buf[:min(p, len(buf)-p)]) && bytes.Equal(buf[p:], buf[:len(buf)-p]) {
			return p
		}
	}
	return 0
}

// unpack unpacks a block to buf, which is as long as the block.
func (b *pack64) unpack(buf []byte) error {
	<-b.done
	if !b.periodic {
		return unpack(buf, b.data)
	}
	if len(b.data) == 1 && b.data[0] == 0 {
		clear(buf)
		return nil
	}
	for n := copy(buf, b.data); n < len(buf); n *= 2 {
		copy(buf[n:], buf[:n])
	}
	return nil
}

// packed returns the block as pack has it.
func (b *pack64) packed() []byte {
	if !b.periodic {
		return b.data
	}
	buf := make([]byte, b.size)
	_ = b.unpack(buf) // which fails for others only
	return pack(buf)
}

// errNotPacked is the reason for which there is no window of a state.
var errNotPacked = errors.New("not all of the window is there")

// window returns the size bytes of the content before off.
func (p *packs) window(off int64, size int) ([]byte, error) {
	w := make([]byte, 0, size+2*blockSize)
	first := (off - int64(size)) / blockSize
	for i := first; i*blockSize < off; i++ {
		b := p.get(int(i))
		if b == nil {
			return nil, errNotPacked
		}
		w = w[:len(w)+b.size]
		if err := b.unpack(w[len(w)-b.size:]); err != nil {
			return nil, err
		}
	}
	start := off - int64(size) - first*blockSize
	if start+int64(size) > int64(len(w)) {
		return nil, errNotPacked
	}
	return w[start:][:size], nil
}
