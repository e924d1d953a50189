// Package blockcache holds decoded blocks of compressed files: the cache behind random
// access to every format that is compressed block by block.
package blockcache

import (
	"math/bits"
	"sync"
)

// A Cache holds decoded blocks up to a budget of bytes. A block is decoded by the
// first who asks for it; whoever asks meanwhile waits for that one block only.
// Blocks in use are never evicted, so readers may hold more than the budget. It is safe
// for concurrent use.
type Cache struct {
	budget int64

	mu      sync.Mutex // guards all below
	entries map[int]*Entry
	used    int64 // bytes of all entries
	idle    Entry // ring of the entries that nobody uses, most recently used first
}

// An Entry is a block in a cache. What is exported is set by the owner before Filled,
// and read by others after Wait.
type Entry struct {
	block      int
	done       chan struct{} // closed when Buf or Err is set
	Buf        []byte        // the decoded block, and before it what its decoding needed
	Before     int           // length of what comes before the block in Buf
	Err        error         // the reason for which there is no Buf
	users      int           // guarded by the cache's mu, as is all below
	size       int64
	next, prev *Entry // in the idle ring, where users is 0
}

// New returns an empty cache with a budget in bytes.
func New(budget int64) *Cache {
	c := &Cache{budget: budget, entries: make(map[int]*Entry)}
	c.idle.next, c.idle.prev = &c.idle, &c.idle
	return c
}

// Acquire returns the entry of a block. If owner is true the caller must decode
// the block into it and call Filled, else Wait. Either way it must Release the entry
// in the end.
func (c *Cache) Acquire(block int) (e *Entry, owner bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.use(block); e != nil {
		return e, false
	}
	e = &Entry{block: block, done: make(chan struct{}), users: 1}
	c.entries[block] = e
	return e, true
}

// Cached is Acquire for a block that is there already; nil if it is not.
func (c *Cache) Cached(block int) *Entry {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.use(block)
}

// use counts one more user of a block's entry, if there is one. c.mu is held.
func (c *Cache) use(block int) *Entry {
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

// Filled tells those who wait that e.Buf or e.Err is set.
func (c *Cache) Filled(e *Entry) {
	c.mu.Lock()
	e.size = int64(len(e.Buf))
	c.used += e.size
	c.evict()
	c.mu.Unlock()
	close(e.done)
}

// Release ends the use of an entry. Entries that hold an error are not kept.
func (c *Cache) Release(e *Entry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e.users--; e.users > 0 {
		return
	}
	e.link(&c.idle)
	if e.Err != nil {
		c.drop(e)
	}
	c.evict()
}

// evict drops the idle entries used least recently until the budget is kept.
func (c *Cache) evict() {
	for c.used > c.budget && c.idle.prev != &c.idle {
		c.drop(c.idle.prev)
	}
}

// drop removes an idle entry and keeps its buffer for another.
func (c *Cache) drop(e *Entry) {
	e.unlink()
	delete(c.entries, e.block)
	c.used -= e.size
	if e.Buf != nil {
		c.Recycle(e.Buf)
	}
}

// free has buffers that no cache uses, by the number of bits of their size: of all caches, for
// who reads many files has most of them from those before. To make new ones, and to fill
// them with zeros, takes as long as half of the decoding.
var free [bits.UintSize + 1]sync.Pool // of *[]byte

// Buffer returns n bytes of any content.
func (c *Cache) Buffer(n int) []byte {
	if b, ok := free[bits.Len(uint(n))].Get().(*[]byte); ok && cap(*b) >= n {
		return (*b)[:n]
	}
	return make([]byte, n)
}

// Recycle takes back a buffer of Buffer that was not used.
func (c *Cache) Recycle(b []byte) { free[bits.Len(uint(cap(b)))].Put(&b) }

// Clear drops all blocks that nobody uses.
func (c *Cache) Clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.idle.prev != &c.idle {
		c.drop(c.idle.prev)
	}
}

// Block returns the number of the block.
func (e *Entry) Block() int { return e.block }

// Wait waits until the owner has called Filled.
func (e *Entry) Wait() { <-e.done }

func (e *Entry) link(after *Entry) {
	e.prev, e.next = after, after.next
	e.next.prev, after.next = e, e
}

func (e *Entry) unlink() {
	e.prev.next, e.next.prev = e.next, e.prev
}
