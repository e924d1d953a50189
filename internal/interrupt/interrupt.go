// Package interrupt ends a command that the user interrupts.
package interrupt

import (
	"context"
	"os"
	"os/signal"
)

// Status is the exit status of a command that was interrupted: 128 and the number of
// SIGINT, as shells have it.
const Status = 130

// Context returns a context that ends with the first of the signals. The next one ends
// the program at once, as it does where nothing waits for it. stop releases what Context
// takes.
func Context(signals ...os.Signal) (ctx context.Context, stop context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.Background())
	first := make(chan os.Signal, 1)
	signal.Notify(first, signals...)
	stop = func() {
		signal.Stop(first)
		cancel()
	}
	go func() {
		select {
		case <-first:
			stop() // before anybody is told: a second signal may follow at once
		case <-ctx.Done():
		}
	}()
	return ctx, stop
}

// failed is the exit status of commands that have no result.
const failed = 1

// Exit returns the exit status of a command that ended with status: Status instead of 1 if
// ctx, which Context returned, is done.
func Exit(ctx context.Context, status int) int {
	if status == failed && ctx.Err() != nil {
		return Status
	}
	return status
}
