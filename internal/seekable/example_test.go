package seekable_test

import (
	"fmt"
	"os"

	"github.com/nodelens/nodelens/internal/inflate"
	"github.com/nodelens/nodelens/internal/seekable"
)

func Example() {
	// What gzip made of 3500 lines of 60 bytes.
	file, err := os.Open("../inflate/testdata/text.gz")
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
	r, err := seekable.New(inflate.Gzip, file, info.Size(), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	line := make([]byte, 59)
	if _, err := r.ReadAt(line, 3000*60); err != nil {
		fmt.Println(err)
	}
	fmt.Printf("%s\n%d bytes\n", line, r.Size())
	// Output:
	// page frame 0000000000003001 is mapped, dirty and referenced
	// 210000 bytes
}
