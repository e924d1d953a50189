package cos

import (
	"context"
	"sync"
)

// A cached is a value that takes long to get, and is got once. It is safe for concurrent
// use: others wait for the one who gets it, and try themselves if that fails.
type cached[T any] struct {
	mu    sync.Mutex // guards all below
	busy  chan struct{}
	value T
	known bool
}

// get returns the value, which read reads. fresh is set where it is to be read anew for
// each caller.
func (c *cached[T]) get(ctx context.Context, fresh bool, read func(context.Context) (T, error)) (T, error) {
	if fresh {
		return read(ctx)
	}
	for {
		c.mu.Lock()
		switch busy := c.busy; {
		case c.known:
			defer c.mu.Unlock()
			return c.value, nil
		case busy == nil:
			c.busy = make(chan struct{})
			c.mu.Unlock()
			return c.fill(ctx, read)
		default:
			c.mu.Unlock()
			select {
			case <-busy:
			case <-ctx.Done():
				var none T
				return none, ctx.Err()
			}
		}
	}
}

// fill reads the value while others wait.
func (c *cached[T]) fill(ctx context.Context, read func(context.Context) (T, error)) (T, error) {
	v, err := read(ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil {
		c.value, c.known = v, true
	}
	close(c.busy)
	c.busy = nil
	return v, err
}
