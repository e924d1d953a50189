package symbols_test

import (
	"context"
	"fmt"
	"log"
	"strings"

	"github.com/nodelens/nodelens/internal/testimages"
	"github.com/nodelens/nodelens/lime"
	"github.com/nodelens/nodelens/symbols"
	"github.com/nodelens/nodelens/symbols/vmlinux"
)

// The image that comes with the repository gives its own symbols. Of one that does not,
// what the user has in the given places would be tried.
func Example() {
	image, err := testimages.Bundled()
	if err != nil {
		log.Fatal(err)
	}
	mem, err := lime.Open(image.Path)
	if err != nil {
		log.Fatal(err)
	}
	found, err := symbols.Find(context.Background(), mem, &symbols.Options{
		Paths:      []string{"/usr/lib/debug", "vmlinux"},
		Converters: []symbols.Converter{vmlinux.Converter},
	})
	if err != nil {
		log.Fatal(err)
	}
	from, _, _ := strings.Cut(found.From, ":")
	fmt.Println(from, strings.Fields(found.File.Banner())[2])
	_ = mem.Close()
	// Output:
	// the image 6.1.0-56-cloud-amd64
}
