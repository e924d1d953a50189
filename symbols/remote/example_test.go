package remote_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"

	"github.com/nodelens/nodelens/internal/symboltest"
	"github.com/nodelens/nodelens/symbols"
	"github.com/nodelens/nodelens/symbols/remote"
	"github.com/nodelens/nodelens/symbols/vmlinux"
)

// A mirror of the bucket has the kernel of the node's image. The next time its symbols
// come out of the store.
func ExampleCOS() {
	mirror := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/18244.291.9/vmlinux" {
			_, _ = w.Write(symboltest.Running.Vmlinux())
			return
		}
		http.NotFound(w, r)
	}))
	defer mirror.Close()
	cache, err := os.MkdirTemp("", "example-")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(cache)

	memory := symboltest.Running.Memory() // of an image that does not give its own symbols
	opts := &symbols.Options{
		Store:      symbols.NewStore(cache),
		Converters: []symbols.Converter{vmlinux.Converter},
		Fetch:      []symbols.Source{&remote.COS{Build: "18244.291.9", Buckets: []string{mirror.URL}}},
	}
	for range 2 {
		found, err := symbols.Find(context.Background(), memory, opts)
		if err != nil {
			fmt.Println(err)
			return
		}
		kind, _, _ := strings.Cut(found.From, " ")
		fmt.Println(kind, len(found.Tried))
	}
	// Output:
	// vmlinux 2
	// store 1
}
