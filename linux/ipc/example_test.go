package ipc_test

import (
	"fmt"
	"log"

	"github.com/nodelens/nodelens/linux/internal/nodetest"
	"github.com/nodelens/nodelens/linux/ipc"
)

// Example shows the shared memory of a node, and what is in it.
func Example() {
	ctx, k, tasks := nodetest.Example()
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
