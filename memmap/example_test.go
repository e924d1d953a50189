package memmap_test

import (
	"fmt"
	"log"

	"github.com/nodelens/nodelens/memmap"
)

func ExampleSystemRAM() {
	resources, err := memmap.ParseIOMem([]byte(`00001000-0009fbff : System RAM
000f0000-000fffff : System ROM
00100000-7fffffff : System RAM
  01000000-01c01d71 : Kernel code
100000000-17fffffff : virtio0
  100000000-13fffffff : System RAM (virtio_mem)
`))
	if err != nil {
		log.Fatal(err)
	}
	for _, r := range memmap.SystemRAM(resources) {
		fmt.Println(r)
	}
	// Output:
	// [0x1000, 0x9fbff]
	// [0x100000, 0x7fffffff]
	// [0x100000000, 0x13fffffff]
}
