package socket

import (
	"context"
	"sync"
	"testing"

	"github.com/nodelens/nodelens/internal/testimages"
	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/lime"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/vmem"
)

// bundled is the bundled node, opened once for all tests.
var bundled = sync.OnceValues(func() (*node, error) {
	img, err := testimages.Bundled()
	if err != nil {
		return nil, err
	}
	mem, err := lime.Open(img.Path)
	if err != nil {
		return nil, err
	}
	k, err := linux.Open(context.Background(), mem, nil)
	if err != nil {
		return nil, err
	}
	return &node{mem: mem, symbols: k.Symbols(), k: k, truth: img.Truth}, nil
})

type node struct {
	mem     vmem.Memory
	symbols *isf.File
	k       *linux.Kernel
	truth   string
}

func openBundled(tb testing.TB) *node {
	tb.Helper()
	n, err := bundled()
	if err != nil {
		tb.Fatal(err)
	}
	return n
}

// collect returns the sockets of a kernel and the errors.
func collect(tb testing.TB, k *linux.Kernel, opts *Options) (all []*Socket, errs []error) {
	tb.Helper()
	for s, err := range Sockets(tb.Context(), k, opts) {
		if err != nil {
			errs = append(errs, err)
			continue
		}
		all = append(all, s)
	}
	return all, errs
}
