package kdump_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"log"
	"os"

	"github.com/nodelens/nodelens/kdump"
)

func Example() {
	// The dump of a small virtual machine, by QEMU. A file of one's own, which is not
	// packed by gzip besides, would be opened by kdump.Open.
	packed, err := os.ReadFile("testdata/qemu-flat.kdump.gz")
	if err != nil {
		log.Fatal(err)
	}
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		log.Fatal(err)
	}
	dump, err := io.ReadAll(z)
	if err != nil {
		log.Fatal(err)
	}

	f, err := kdump.NewFile(bytes.NewReader(dump), int64(len(dump)))
	if err != nil {
		log.Fatal(err)
	}
	h := f.Header()
	fmt.Println(h.Format())
	for _, r := range f.Ranges() {
		fmt.Println(r)
	}
	b := make([]byte, 50)
	n, err := f.ReadAt(b, 0x100000)
	fmt.Printf("%.26q %v\n", b[:n], err)
	_, err = f.ReadAt(b, 0x200000)
	fmt.Println(err)
	// Output:
	// kdump, zlib, flattened
	// [0x0, 0x1fffff]
	// [0xffff0000, 0xffffffff]
	// "cache, in whose name the p" <nil>
	// physical address 0x200000: not captured
}
