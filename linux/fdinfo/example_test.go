package fdinfo_test

import (
	"fmt"
	"log"

	"github.com/nodelens/nodelens/linux/fdinfo"
	"github.com/nodelens/nodelens/linux/internal/nodetest"
)

// Example shows the locks of a node, and what was written to pipes and not read.
func Example() {
	ctx, k, tasks := nodetest.Example()
	r := fdinfo.New(k)
	locks, _, err := r.Locks(ctx, tasks)
	if err != nil {
		log.Fatal(err)
	}
	for i := range locks {
		fmt.Println(&locks[i], locks[i].Path)
	}
	pipes, _, err := r.Pipes(ctx, tasks)
	if err != nil {
		log.Fatal(err)
	}
	for _, p := range pipes {
		if len(p.Data) > 0 {
			fmt.Printf("%s: %q\n", p.Path, p.Data)
		}
	}
	// Output:
	// FLOCK  ADVISORY  WRITE 258 103:01:10268 0 EOF /var/lib/containerd/io.containerd.metadata.v1.bolt/meta.db
	// FLOCK  ADVISORY  WRITE 258 103:01:10277 0 EOF /var/lib/containerd/io.containerd.snapshotter.v1.overlayfs/metadata.db
	// pipe:[11634]: "in the pipe"
}
