package lz4index_test

import (
	"fmt"

	"golang.org/x/exp/mmap"

	"github.com/nodelens/nodelens/internal/lz4index"
)

// Any part of the content can be read without decoding what is before it.
func Example() {
	file, err := mmap.Open("testdata/b4.lz4")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer file.Close()
	r, err := lz4index.New(file, int64(file.Len()), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	p := make([]byte, 27)
	if _, err := r.ReadAt(p, r.Size()-60); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%d bytes, the last line begins %q\n", r.Size(), p)
	// Output: 210000 bytes, the last line begins "page frame 0000000000003500"
}
