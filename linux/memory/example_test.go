package memory_test

import (
	"context"
	"fmt"
	"io"
	"log"

	"github.com/nodelens/nodelens/internal/testimages"
	"github.com/nodelens/nodelens/lime"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/linux/memory"
)

// Example finds what is suspicious in the memory of a node's processes, and writes the core of one that has it.
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
	r := memory.New(k, nil)
	for t, err := range k.Processes(ctx) {
		if err != nil {
			log.Fatal(err)
		}
		if t.Comm != "kworker/u4:2" {
			continue
		}
		findings, _, err := r.Suspicious(ctx, t)
		if err != nil {
			log.Fatal(err)
		}
		for _, f := range findings[:2] {
			fmt.Println(f.Kind, f.Level, f.Why)
		}
		core, err := r.WriteCore(ctx, io.Discard, t)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(core.Threads, core.Lost, len(core.Gaps))
	}
	// Output:
	// gone-program high the program is a file that was only ever in memory
	// gone-code high it can be executed, and its file was only ever in memory
	// 1 0 0
}
