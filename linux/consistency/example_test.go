package consistency_test

import (
	"context"
	"fmt"
	"log"

	"github.com/nodelens/nodelens/internal/testimages"
	"github.com/nodelens/nodelens/lime"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/linux/consistency"
)

func ExampleCheck() {
	img, err := testimages.Bundled() // of a machine that stood still
	if err != nil {
		log.Fatal(err)
	}
	mem, err := lime.Open(img.Path)
	if err != nil {
		log.Fatal(err)
	}
	kernel, err := linux.Open(context.Background(), mem, nil)
	if err != nil {
		log.Fatal(err)
	}
	r, err := consistency.Check(context.Background(), kernel, nil)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(r.Verdict, r.Broken)
	// Output:
	// consistent 0
}
