package linux_test

import (
	"context"
	"fmt"
	"log"

	"github.com/nodelens/nodelens/internal/testimages"
	"github.com/nodelens/nodelens/lime"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/vmem"
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
		mm, err := task.MM() // linux.ErrNone for a kernel thread
		if err != nil {
			fmt.Println("lost:", err)
			continue
		}
		fmt.Printf("%s runs %s:", task.Comm, exe)
		for arg, err := range mm.Args(ctx) {
			if err == nil {
				fmt.Printf(" %q", arg)
			}
		}
		fmt.Println()
	}
	// Output:
	// Linux 6.1.0-56-cloud-amd64
	// kworker/u4:2 runs /memfd:update (deleted): "[kworker/u4:2-events]" "hidden"
}

// What of the machine's memory an image should have, by the kernel's own map, and what an
// image has that leaves out zeros.
func ExampleKernel_IOMem() {
	img, err := testimages.Bundled()
	if err != nil {
		log.Fatal(err)
	}
	mem, err := lime.Open(img.Path)
	if err != nil {
		log.Fatal(err)
	}
	defer mem.Close()
	kernel, err := linux.Open(context.Background(), mem, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	var ram []vmem.Range[vmem.PhysAddr]
	for r, err := range kernel.IOMem(context.Background()) {
		if err != nil {
			fmt.Println("lost:", err)
		} else if r.Depth == 0 && r.Name == "System RAM" {
			fmt.Println(r.Range, r.Name)
			ram = append(ram, r.Range)
		}
	}
	whole := vmem.WithZeros(mem, mem.Elided(ram)) // of an AVML image more than mem has
	fmt.Println(whole.Ranges())
	// Output:
	// [0x1000, 0x9fbff] System RAM
	// [0x100000, 0xbfcffff] System RAM
	// [[0x1000, 0x9fbff] [0x100000, 0xbfcffff]]
}
