package kcore_test

import (
	"fmt"
	"log"

	"github.com/nodelens/nodelens/kcore"
)

func ExampleParseVMCoreInfo() {
	v, err := kcore.ParseVMCoreInfo([]byte("OSRELEASE=6.6.87+\nKERNELOFFSET=1f800000\nNUMBER(phys_base)=-12582912\n"))
	if err != nil {
		log.Fatal(err)
	}
	offset, err := v.KernelOffset()
	if err != nil {
		log.Fatal(err)
	}
	base, err := v.Number("phys_base")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s, moved by %#x, phys_base %d\n", v.Release(), offset, base)
	// Output: 6.6.87+, moved by 0x1f800000, phys_base -12582912
}

func ExampleSystemRAM() {
	resources, err := kcore.ParseIOMem([]byte(`00001000-0009fbff : System RAM
000f0000-000fffff : System ROM
00100000-7fffffff : System RAM
  01000000-01c01d71 : Kernel code
100000000-17fffffff : virtio0
  100000000-13fffffff : System RAM (virtio_mem)
`))
	if err != nil {
		log.Fatal(err)
	}
	for _, r := range kcore.SystemRAM(resources) {
		fmt.Println(r)
	}
	// Output:
	// [0x1000, 0x9fbff]
	// [0x100000, 0x7fffffff]
	// [0x100000000, 0x13fffffff]
}
