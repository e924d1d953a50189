package lz4index

import "sync"

// A cache holds decoded blocks up to a budget of bytes. A block is decoded by the
// first who asks for it; whoever asks meanwhile waits for that one block only.
// Blocks in use are never evicted, so readers may hold more than the budget.
type cache struct {
	budget int64
	free   sync.Pool // of *[]byte

	mu      sync.Mutex // guards all below
	entries map[int]*entry
	used    int64 // bytes of all entries
	idle    entry // ring of the entries that nobody uses, most recently used first
}

// An entry is a block in the cache.
type entry struct {
	block      int
	done       chan struct{} // closed when buf and err are set
	buf        []byte        // what comes before the block, as far as needed, and the block
	before     int           // length of the former
	err        error
	users      int // guarded by the cache's mu, as is all below
	size       int64
	next, prev *entry // in the idle ring, where users is 0
}

func newCache(budget int64) *cache {
	c := &cache{budget: budget, entries: make(map[int]*entry)}
	c.idle.next, c.idle.prev = &c.idle, &c.idle
	return c
}

// acquire returns the entry of a block. If owner is true the caller must decode
// the block into it and call filled, else wait for done. Either way it must
// release the entry in the end.
func (c *cache) acquire(block int) (e *entry, owner bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.use(block); e != nil {
		return e, false
	}
	e = &entry{block: block, done: make(chan struct{}), users: 1}
	c.entries[block] = e
	return e, true
}

// cached is acquire for a block that is there already; nil if it is not.
func (c *cache) cached(block int) *entry {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.use(block)
}

// use counts one more user of a block's entry, if there is one. c.mu is held.
func (c *cache) use(block int) *entry {
	e := c.entries[block]
	if e == nil {
		return nil
	}
	if e.users == 0 {
		e.unlink()
	}
	e.users++
	return e
}

// filled tells those who wait that e.buf or e.err is set.
func (c *cache) filled(e *entry) {
	c.mu.Lock()
	e.size = int64(len(e.buf))
	c.used += e.size
	c.evict()
	c.mu.Unlock()
	close(e.done)
}

// release ends the use of an entry. Entries that hold an error are not kept.
func (c *cache) release(e *entry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e.users--; e.users > 0 {
		return
	}
	e.link(&c.idle)
	if e.err != nil {
		c.drop(e)
	}
	c.evict()
}

// evict drops the idle entries used least recently until the budget is kept.
func (c *cache) evict() {
	for c.used > c.budget && c.idle.prev != &c.idle {
		c.drop(c.idle.prev)
	}
}

// drop removes an idle entry and keeps its buffer for another.
func (c *cache) drop(e *entry) {
	e.unlink()
	delete(c.entries, e.block)
	c.used -= e.size
	if e.buf != nil {
		c.free.Put(&e.buf)
	}
}

// buffer returns n bytes of any content.
func (c *cache) buffer(n int) []byte {
	if b, ok := c.free.Get().(*[]byte); ok && cap(*b) >= n {
		return (*b)[:n]
	}
	return make([]byte, n)
}

func (e *entry) link(after *entry) {
	e.prev, e.next = after, after.next
	e.next.prev, after.next = e, e
}

func (e *entry) unlink() {
	e.prev.next, e.next.prev = e.next, e.prev
}
