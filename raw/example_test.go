package raw_test

import (
	"fmt"
	"strings"

	"github.com/nodelens/nodelens/raw"
	"github.com/nodelens/nodelens/vmem"
)

// A file that holds two ranges of RAM, one behind the other.
func ExampleFindLayout() {
	file := strings.NewReader("low memoryhigh memory")
	machine := raw.Machine{
		RAM:   []vmem.Range[vmem.PhysAddr]{{Start: 0x1000, Size: 10}, {Start: 0x100000, Size: 11}},
		Known: []raw.Place{{Offset: 10, Addr: 0x100000}},
	}
	layout, err := raw.FindLayout(file.Size(), machine)
	if err != nil {
		fmt.Println(err)
		return
	}
	image, err := raw.NewFile(file, file.Size(), &raw.Options{Regions: layout.Regions})
	if err != nil {
		fmt.Println(err)
		return
	}
	b := make([]byte, 4)
	n, err := image.ReadAt(b, 0x100000)
	fmt.Println(layout.Name, image.Ranges())
	fmt.Printf("%s %v\n", b[:n], err)
	// Output:
	// in ranges of RAM, one behind the other [[0x1000, 0x1009] [0x100000, 0x10000a]]
	// high <nil>
}
