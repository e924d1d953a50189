package kcore

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nodelens/nodelens/internal/coretest"
	"github.com/nodelens/nodelens/vmem"
)

func gzipped(t *testing.T, content []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// A core that is packed by gzip has the memory of the plain one. If the file ends early,
// it has the beginning, and the rest is a gap.
func TestGzip(t *testing.T) {
	const size = 0x300000
	c := coretest.Core{Segments: []coretest.Segment{coretest.Load(0x100000, coretest.DataAt, size, size)}}
	for random := rand.New(rand.NewPCG(1, 2)); len(c.Data) < size; {
		c.Data = append(c.Data, byte(random.Uint32()&15))
	}
	packed := gzipped(t, c.Bytes())
	for _, cut := range []int{len(packed), len(packed) - 9, len(packed) / 2, len(packed) / 5} {
		name := filepath.Join(t.TempDir(), "image")
		if err := os.WriteFile(name, packed[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := Open(name)
		if err != nil {
			t.Fatal(err)
		}
		checkBeginning(t, f, c.Data, cut < len(packed))
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		checkBeginning(t, open(t, packed[:cut]), c.Data, cut < len(packed))
	}
}

// checkBeginning checks that f has data at 1 MiB, or if it was cut the beginning of them,
// with the rest as a gap and another that says where in the file the content ends.
func checkBeginning(t *testing.T, f *File, data []byte, cut bool) {
	t.Helper()
	have := uint64(0)
	for _, r := range f.Ranges() {
		have += r.Size
	}
	got := make([]byte, len(data))
	n, err := f.ReadAt(got, 0x100000)
	if uint64(n) != have || !bytes.Equal(got[:n], data[:n]) || (err == nil) != (n == len(data)) || !cut && err != nil || n < len(data)/6 {
		t.Errorf("read %#x bytes, %v; the ranges have %#x", n, err, have)
	}
	var want []rng
	if cut {
		if n < len(data) {
			want = append(want, rng{Start: 0x100000 + vmem.PhysAddr(n), Size: uint64(len(data) - n)})
		}
		want = append(want, rng{})
	}
	var lost []rng
	for _, g := range f.Gaps() {
		lost = append(lost, g.Place.Physical())
		if !errors.Is(g, vmem.ErrNotCaptured) || !errors.Is(g, io.ErrUnexpectedEOF) {
			t.Errorf("gap %v", g)
		}
	}
	if d := cmp.Diff(want, lost); d != "" {
		t.Errorf("gaps (-want +got):\n%s", d)
	}
}
