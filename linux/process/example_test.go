package process_test

import (
	"context"
	"fmt"
	"log"

	"github.com/nodelens/nodelens/internal/testimages"
	"github.com/nodelens/nodelens/lime"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/linux/process"
)

// Example tells what the intruder of the bundled node may do.
func Example() {
	img, err := testimages.Bundled()
	if err != nil {
		log.Fatal(err)
	}
	mem, err := lime.Open(img.Path)
	if err != nil {
		log.Fatal(err)
	}
	k, err := linux.Open(context.Background(), mem, nil)
	if err != nil {
		log.Fatal(err)
	}
	r := process.New(k)
	for t, err := range k.Processes(context.Background()) {
		if err != nil {
			log.Fatal(err)
		}
		if t.Comm != "kworker/u4:2" {
			continue
		}
		s, err := r.Security(t)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(s.Bounding, s.NoNewPrivs, s.Seccomp.Mode, len(s.Bounding.Names()))
	}
	// Output: 00000000a80425fb false off 14
}
