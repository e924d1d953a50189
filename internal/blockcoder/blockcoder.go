// Package blockcoder compresses data in blocks, on all cores.
package blockcoder

import (
	"bytes"
	"runtime"
	"sync"
	"sync/atomic"
)

// A Coder codes data in blocks of one size, on all cores. Its buffers are kept from
// one call to the next: memory that is allocated again and again costs a node more than
// compressing does.
type Coder struct {
	size  int    // of a block of data, at most
	bound int    // of a coded block, at most
	code  []Func // one for each worker

	zeros []byte   // a block of zeros
	zero  []byte   // how that is coded
	out   []byte   // coded blocks, bound bytes for each
	coded [][]byte // in out
	sizes []int    // of those of the last call
}

// A Func appends the coded form of a block to dst, which has room for it.
type Func func(dst, block []byte) []byte

// New returns a coder of blocks of size bytes, which take bound bytes at most
// when coded by what newCode returns.
func New(size, bound int, newCode func() Func) *Coder {
	c := &Coder{size: size, bound: bound, zeros: make([]byte, size)}
	for range runtime.GOMAXPROCS(0) {
		c.code = append(c.code, newCode())
	}
	c.zero = c.code[0](make([]byte, 0, bound), c.zeros)
	return c
}

// Encode returns the coded blocks of data, until it is called again.
func (c *Coder) Encode(data []byte) []byte {
	n := (len(data) + c.size - 1) / c.size
	if need := n * c.bound; need > len(c.out) {
		c.out, c.coded = make([]byte, need), make([][]byte, n)
	}
	var next atomic.Int64
	var wg sync.WaitGroup
	for _, code := range c.code[:min(n, len(c.code))] {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				c.coded[i] = c.block(i, data[i*c.size:min(len(data), (i+1)*c.size)], code)
			}
		})
	}
	wg.Wait()
	c.sizes = c.sizes[:0]
	end := 0 // at most where the next coded block begins
	for _, b := range c.coded[:n] {
		end += copy(c.out[end:], b)
		c.sizes = append(c.sizes, len(b))
	}
	return c.out[:end]
}

// Sizes returns the sizes of the blocks that Encode returned last.
func (c *Coder) Sizes() []int { return c.sizes }

// block codes block i. Much of a machine's memory is zeros.
func (c *Coder) block(i int, block []byte, code Func) []byte {
	if len(block) == c.size && bytes.Equal(block, c.zeros) {
		return c.zero
	}
	return code(c.out[i*c.bound:i*c.bound:(i+1)*c.bound], block)
}
