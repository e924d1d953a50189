package fleet

import (
	"cmp"
	"context"
	"runtime"
	"sync"
)

// Run has all items of a manifest analysed, several at a time, and returns what became of them. Items that have a result are skipped. An error means
// that items are without one: ctx is done, no child can be started or results can't be written; the next run goes on with them.
func (r *Runner) Run(ctx context.Context, m Manifest) (*Summary, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	indexes := make(chan int)
	var (
		workers sync.WaitGroup
		mu      sync.Mutex // guards sum and done, and orders calls of Progress
		sum     = &Summary{}
		done    int
	)
	for range max(1, min(cmp.Or(r.Parallel, runtime.NumCPU()), len(m))) {
		workers.Go(func() {
			for i := range indexes {
				result, had, err := r.Do(ctx, m[i])
				if err != nil {
					cancel(err)
					return
				}
				mu.Lock()
				done++
				sum.add(result)
				if r.Progress != nil {
					r.Progress(Progress{Index: i, Result: result, Had: had, Done: done, Of: len(m)})
				}
				mu.Unlock()
			}
		})
	}
	feed(ctx, indexes, len(m))
	workers.Wait()
	sum.Silent = len(m) - done
	return sum, context.Cause(ctx)
}

// feed sends the indexes of all items, as long as anybody works on them.
func feed(ctx context.Context, indexes chan<- int, n int) {
	defer close(indexes)
	for i := range n {
		select {
		case indexes <- i:
		case <-ctx.Done():
			return
		}
	}
}
