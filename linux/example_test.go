package linux_test

import (
	"context"
	"fmt"
	"log"

	"github.com/nodelens/nodelens/internal/testimages"
	"github.com/nodelens/nodelens/lime"
	"github.com/nodelens/nodelens/linux"
)

// Who is hidden behind the name of a kernel worker? A process with an address space of
// its own is no kernel thread, whatever it is called.
func Example() {
	img, err := testimages.Bundled() // any image would do: lime.Open or kcore.Open
	if err != nil {
		log.Fatal(err)
	}
	mem, err := lime.Open(img.Path)
	if err != nil {
		log.Fatal(err)
	}
	defer mem.Close()

	ctx := context.Background()
	kernel, err := linux.Open(ctx, mem, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("Linux", kernel.Info().Release)
	for task, err := range kernel.Processes(ctx) {
		if err != nil {
			fmt.Println("lost:", err) // the walk goes on
			continue
		}
		if task.KernelThread || len(task.Comm) < 8 || task.Comm[:8] != "kworker/" {
			continue
		}
		exe, err := task.Exe()
		if err != nil {
			fmt.Println("lost:", err)
		}
		mm, err := task.MM()
		if err != nil || mm == nil {
			fmt.Println("lost:", err)
			continue
		}
		args, _ := mm.Args()
		fmt.Printf("%s runs %s: %q\n", task.Comm, exe, args)
	}
	// Output:
	// Linux 6.1.0-56-cloud-amd64
	// kworker/u4:2 runs /memfd:update (deleted): ["[kworker/u4:2-events]" "hidden"]
}
