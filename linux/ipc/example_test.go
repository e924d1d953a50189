package ipc_test

import (
	"context"
	"fmt"
	"log"

	"github.com/nodelens/nodelens/internal/testimages"
	"github.com/nodelens/nodelens/lime"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/linux/ipc"
)

// Example shows the shared memory of a node, and what is in it.
func Example() {
	img, err := testimages.Bundled()
	if err != nil {
		log.Fatal(err)
	}
	mem, err := lime.Open(img.Path)
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	k, err := linux.Open(ctx, mem, nil)
	if err != nil {
		log.Fatal(err)
	}
	var tasks []*linux.Task
	for t, err := range k.Processes(ctx) {
		if err != nil {
			log.Fatal(err)
		}
		tasks = append(tasks, t)
	}
	r := ipc.New(k)
	for ns, err := range r.Namespaces(ctx, tasks) {
		if err != nil {
			log.Fatal(err)
		}
		for i := range ns.Shm {
			fmt.Println("process", ns.Shm[i].Creator, "shares", ns.Shm[i].Size, "bytes")
			for e, err := range r.Content(ctx, &ns.Shm[i]) {
				fmt.Printf("%d: %q %v\n", e.Offset, e.Data[:9], err)
			}
		}
	}
	// Output:
	// process 203 shares 4096 bytes
	// 0: "EDGE-SYSV" <nil>
}
