// Trace is a process whose stacks are known, for debuggers to show: goroutines that wait in a channel, in a lock, in a call
// of the kernel on a thread of their own.
package main

import (
	"os"
	"runtime"
	"sync"
	"syscall"
)

type tree struct {
	left  *tree
	value int
}

// visit calls wait in the deepest node.
//
//go:noinline
func (t *tree) visit(wait func(int) int) int {
	if t.left != nil {
		return t.left.visit(wait) + t.value
	}
	return wait(t.value)
}

func grow(n int) *tree {
	if n == 0 {
		return &tree{value: 1}
	}
	return &tree{left: grow(n - 1), value: n}
}

func main() {
	never := make(chan int)
	var lock sync.Mutex
	lock.Lock()
	go grow(3).visit(func(v int) int { return <-never + v })
	go grow(2).visit(func(v int) int { lock.Lock(); return v })
	go grow(5).visit(func(v int) int {
		runtime.LockOSThread()
		var ends [2]int
		if err := syscall.Pipe(ends[:]); err != nil {
			os.Exit(1)
		}
		n, _ := syscall.Read(ends[0], make([]byte, 1))
		return n + v
	})
	select {
	case <-never:
	case <-make(chan struct{}):
	}
	runtime.KeepAlive(&lock)
}
