package blockcache

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
)

// read has block i of a cache whose block i is i+1 bytes of value i, and counts how
// often it is decoded.
func read(t *testing.T, c *Cache, i int, decoded *atomic.Int64) {
	e, owner := c.Acquire(i)
	defer c.Release(e)
	if owner {
		decoded.Add(1)
		e.Buf = c.Buffer(i + 1)
		for j := range e.Buf {
			e.Buf[j] = byte(i)
		}
		c.Filled(e)
	}
	e.Wait()
	if len(e.Buf) != i+1 || e.Buf[0] != byte(i) || e.Buf[i] != byte(i) || e.Block() != i {
		t.Errorf("block %d: got block %d of %d bytes, %d to %d", i, e.Block(), len(e.Buf), e.Buf[0], e.Buf[len(e.Buf)-1])
	}
}

func TestBudgetIsKept(t *testing.T) {
	const budget = 2000
	c := New(budget)
	var decoded atomic.Int64
	rng := rand.New(rand.NewPCG(1, 2))
	for range 1000 {
		read(t, c, rng.IntN(250), &decoded)
		held := int64(0)
		for _, e := range c.entries {
			held += int64(len(e.Buf))
		}
		if held != c.used || held > budget || held == 0 {
			t.Fatalf("cache holds %d bytes and counts %d, want at most %d", held, c.used, budget)
		}
	}
}

func TestOneDecodes(t *testing.T) {
	c := New(1 << 20)
	var decoded atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := range 200 {
				read(t, c, i, &decoded)
			}
		})
	}
	wg.Wait()
	if n := decoded.Load(); n != 200 {
		t.Errorf("%d blocks decoded, want each of 200 once", n)
	}
}
