package nodetest

import (
	"context"
	"log"
	"testing"

	"github.com/nodelens/nodelens/internal/testimages"
	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/lime"
	"github.com/nodelens/nodelens/linux"
)

// EachKernel tests the types of all kernels that there are symbol files of, if there is another than that of the bundled node.
func EachKernel(t *testing.T, test func(t *testing.T, types *isf.File)) {
	t.Helper()
	files := testimages.SymbolFiles(t)
	if len(files) < 2 {
		t.Skip("there is none but that of the bundled node, which other tests read")
	}
	for release, name := range files {
		t.Run(release, func(t *testing.T) {
			types, err := isf.Open(name)
			if err != nil {
				t.Fatal(err)
			}
			test(t, types)
		})
	}
}

// Bound tells what the types of a kernel lack: of each thing that is read, by its name, why it can't be.
func Bound(t *testing.T, errs map[string]error, ok map[string]bool) {
	t.Helper()
	for what, err := range errs {
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	for what, ok := range ok {
		if !ok {
			t.Errorf("%s: not there", what)
		}
	}
}

// Example opens the bundled node for an example.
func Example() (context.Context, *linux.Kernel, []*linux.Task) {
	img, err := testimages.Bundled()
	if err != nil {
		log.Fatal(err)
	}
	mem, err := lime.Open(img.Path)
	if err != nil {
		log.Fatal(err)
	}
	n := &Node{Image: img}
	if err := n.On(mem, nil); err != nil {
		log.Fatal(err)
	}
	return context.Background(), n.K, n.Tasks
}
