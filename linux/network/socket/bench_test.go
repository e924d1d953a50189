package socket

import (
	"testing"

	"github.com/nodelens/nodelens/image"
	"github.com/nodelens/nodelens/internal/testimages"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/linux/module"
	"github.com/nodelens/nodelens/linux/network"
)

// processes returns the processes of a kernel, and its network namespaces.
func processes(tb testing.TB, k *linux.Kernel) *Options {
	tb.Helper()
	opts := &Options{Tasks: []*linux.Task{}}
	for p, err := range k.Processes(tb.Context()) {
		if err == nil { // what is lost of processes, other tests tell
			opts.Tasks = append(opts.Tasks, p)
		}
	}
	for n, err := range network.Namespaces(tb.Context(), k, opts.Tasks) {
		if err == nil {
			opts.Namespaces = append(opts.Namespaces, n)
		}
	}
	return opts
}

// BenchmarkSockets measures all sockets of a node: how long it takes, and what that is for
// each. 10,000 are to take less than 50 ms, which is 5 µs each.
func BenchmarkSockets(b *testing.B) {
	run := func(b *testing.B, k *linux.Kernel) {
		opts := processes(b, k)
		var err error
		if opts.Modules, err = module.Open(b.Context(), k, nil); err != nil {
			b.Fatal(err)
		}
		n := 0
		b.ReportAllocs()
		for b.Loop() {
			n = 0
			for _, err := range Sockets(b.Context(), k, opts) {
				if err == nil {
					n++
				}
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/socket")
		b.ReportMetric(float64(n), "sockets")
	}
	b.Run("bundled", func(b *testing.B) { run(b, openBundled(b).k) })
	for _, img := range testimages.All(b) {
		b.Run(img.Name, func(b *testing.B) {
			file, err := image.Open(b.Context(), img.Path, nil)
			if err != nil {
				b.Fatal(err)
			}
			defer file.Close()
			k, err := linux.Open(b.Context(), file.Memory, nil)
			if err != nil {
				b.Fatal(err)
			}
			run(b, k)
		})
	}
}
