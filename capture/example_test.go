package capture_test

import (
	"bytes"
	"context"
	"fmt"
	"log"

	"github.com/nodelens/nodelens/capture"
	"github.com/nodelens/nodelens/internal/coretest"
)

// A node's memory goes to any io.Writer: here to a buffer, from a machine that is made up.
func ExampleRun() {
	node := coretest.NewMachine() // os.DirFS("/") on a real one, which nil stands for
	var image bytes.Buffer
	manifest, err := capture.Run(context.Background(), &image, &capture.Options{Root: node, Node: "node-1"})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s of %s: %d bytes of memory, whole: %t\n", manifest.Image.Format, manifest.Node.Name, manifest.Image.Memory, manifest.Whole())
	// Output: lime of node-1: 360448 bytes of memory, whole: true
}
