package taskshape

import (
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/nodelens/nodelens/internal/smeartest"
	"github.com/nodelens/nodelens/internal/testimages"
	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kcore"
	"github.com/nodelens/nodelens/lime"
	"github.com/nodelens/nodelens/vmem"
)

// images are the nodes to infer from: the bundled one, and where there are more all of them.
func images(t *testing.T) []testimages.Image {
	bundled, err := testimages.Bundled()
	if err != nil {
		t.Fatal(err)
	}
	all := []testimages.Image{bundled}
	if testimages.Have() {
		all = append(all, testimages.All(t)...)
	}
	return all
}

func open(t *testing.T, name string) vmem.Memory {
	t.Helper()
	if f, err := kcore.Open(name); err == nil {
		t.Cleanup(func() { _ = f.Close() })
		return f
	}
	f, err := lime.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

// What is inferred is where the kernel's own types have it, and nearly all is inferred.
func TestInfer(t *testing.T) {
	for _, img := range images(t) {
		t.Run(img.Name, func(t *testing.T) {
			if img.ISF == "" {
				t.Skip("no symbols to compare with")
			}
			types, err := isf.Open(img.ISF)
			if err != nil {
				t.Fatal(err)
			}
			s, err := Infer(t.Context(), open(t, img.Path))
			if err != nil {
				t.Fatal(err)
			}
			n := compare(t, s, types)
			t.Logf("%d members by %d processes; not inferred: %q", n, s.Tasks, s.Failed)
			if n < 40 || len(s.Failed) > 2 {
				t.Errorf("%d members; not inferred: %q", n, s.Failed)
			}
		})
	}
}

// compare compares what was inferred with a kernel's own types, and returns how much it is.
func compare(t *testing.T, s *Shape, types *isf.File) (n int) {
	t.Helper()
	for u := range s.Types.UserTypes() {
		for _, f := range u.Fields {
			want, err := types.Field(u.Name, f.Name)
			if err != nil && f.Name == "__state" { // up to 5.13
				want, err = types.Field(u.Name, "state")
			}
			if err != nil || want.Offset != f.Offset {
				t.Errorf("%s.%s at %d, and it is at %v, %v", u.Name, f.Name, f.Offset, want, err)
			}
			n++
		}
	}
	return n
}

// Of an image of which pages were overwritten the same is inferred, or less, and nothing else.
func TestInferDamaged(t *testing.T) {
	img := images(t)[0]
	types, err := isf.Open(img.ISF)
	if err != nil {
		t.Fatal(err)
	}
	mem := open(t, img.Path)
	percents := []int{10}
	if testimages.Thorough() {
		percents = []int{1, 2, 5, 10}
	}
	for _, percent := range percents {
		m := smeartest.New(mem)
		r := rand.New(rand.NewPCG(uint64(percent), 7))
		page := make([]byte, vmem.PageSize)
		for _, in := range mem.Ranges() {
			for at := in.Start; in.Contains(at); at += vmem.PageSize {
				if r.IntN(100) < percent {
					for i := range page {
						page[i] = byte(r.Uint32())
					}
					m.Write(at, page)
				}
			}
		}
		s, err := Infer(t.Context(), m)
		if err != nil {
			t.Errorf("%d %%: %v", percent, err)
			continue
		}
		if n := compare(t, s, types); n < 30 {
			t.Errorf("%d %%: %d members", percent, n)
		} else {
			t.Logf("%d %%: %d members by %d processes; not inferred: %q", percent, n, s.Tasks, s.Failed)
		}
	}
}

// Of memory without tasks nothing is inferred.
func TestInferNothing(t *testing.T) {
	if _, err := Infer(t.Context(), noise{}); !errors.Is(err, ErrNone) {
		t.Errorf("error %v", err)
	}
}

// noise is memory of pointers to the kernel, each of which is its own address.
type noise struct{}

func (noise) Ranges() []vmem.Range[vmem.PhysAddr] {
	return []vmem.Range[vmem.PhysAddr]{{Start: 0, Size: 4 << 20}}
}

func (noise) ReadAt(p []byte, off int64) (int, error) {
	for i := range p {
		at := off + int64(i)
		p[i] = byte((0xffff888000000000 + uint64(at)&^7) >> (8 * (at % 8)))
	}
	return len(p), nil
}
