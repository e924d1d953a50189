package kstack_test

import (
	"fmt"
	"log"

	"github.com/nodelens/nodelens/linux/internal/nodetest"
	"github.com/nodelens/nodelens/linux/kstack"
	"github.com/nodelens/nodelens/linux/module"
)

// Example shows where the first process of a node waits.
func Example() {
	ctx, k, tasks := nodetest.Example()
	modules, err := module.Open(ctx, k, nil)
	if err != nil {
		log.Fatal(err)
	}
	r, err := kstack.New(ctx, k, modules)
	if err != nil {
		log.Fatal(err)
	}
	for _, t := range tasks {
		if t.PID == 1 {
			frames, err := r.Stack(t)
			fmt.Print(kstack.Text(frames))
			name, err2 := r.WChan(t)
			fmt.Println(name, err, err2)
		}
	}
	// Output:
	// [<0>] do_epoll_wait+0x6a0/0x7f0
	// [<0>] __x64_sys_epoll_wait+0x6f/0x110
	// [<0>] do_syscall_64+0x5d/0x90
	// [<0>] entry_SYSCALL_64_after_hwframe+0x6e/0xd8
	// do_epoll_wait <nil> <nil>
}
