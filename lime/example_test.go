package lime_test

import (
	"bytes"
	"fmt"
	"log"
	"strings"

	"github.com/nodelens/nodelens/lime"
	"github.com/nodelens/nodelens/vmem"
)

func Example() {
	var image bytes.Buffer
	w := lime.NewWriter(&image)
	start := vmem.PhysAddr(0x1000)
	for _, content := range []string{"Linux version ", "6.6.87+", " (lakitu@"} {
		r := vmem.Range[vmem.PhysAddr]{Start: start, Size: uint64(len(content))}
		if err := w.WriteRange(r, strings.NewReader(content)); err != nil {
			log.Fatal(err)
		}
		start += vmem.PhysAddr(r.Size)
	}

	// On its way, the image loses its last two bytes.
	left := int64(image.Len() - 2)
	f, err := lime.NewFile(bytes.NewReader(image.Bytes()), left)
	if err != nil {
		log.Fatal(err)
	}
	for _, r := range f.Ranges() {
		b := make([]byte, r.Size)
		n, err := f.ReadAt(b, int64(r.Start))
		fmt.Printf("%v: %q %v\n", r, b[:n], err)
	}
	for _, g := range f.Gaps() {
		fmt.Println("lost:", g.Error())
	}
	// Output:
	// [0x1000, 0x101b]: "Linux version 6.6.87+ (lakit" <nil>
	// lost: image at physical address 0x101c+0x2, file offset 0x7c: not captured: the file ends inside the record
}
