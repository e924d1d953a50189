package vmcoreinfo_test

import (
	"fmt"
	"log"

	"github.com/nodelens/nodelens/vmcoreinfo"
)

func ExampleParse() {
	v, err := vmcoreinfo.Parse([]byte("OSRELEASE=6.6.87+\nKERNELOFFSET=1f800000\nNUMBER(phys_base)=-12582912\n"))
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
