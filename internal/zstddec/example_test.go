package zstddec_test

import (
	"fmt"
	"os"

	"github.com/nodelens/nodelens/internal/zstddec"
)

// A decoder goes on from the middle of a frame.
func Example() {
	file, err := os.Open("testdata/text-19.zst")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		fmt.Println(err)
		return
	}
	d, err := zstddec.Format.NewDecoder(file, info.Size(), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	piece, err := d.Next()
	fmt.Println(len(piece), err)

	second, err := zstddec.Format.NewDecoder(file, info.Size(), d.State())
	if err != nil {
		fmt.Println(err)
		return
	}
	piece, err = second.Next()
	fmt.Println(len(piece), err)
	// Output:
	// 16344 <nil>
	// 16380 <nil>
}
