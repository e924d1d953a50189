package linux

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/nodelens/nodelens/internal/smeartest"
	"github.com/nodelens/nodelens/internal/testimages"
	"github.com/nodelens/nodelens/kcore"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/lime"
	"github.com/nodelens/nodelens/memmap"
	"github.com/nodelens/nodelens/vmem"
)

// iomem returns the resources of a kernel, and the Gaps.
func iomem(t *testing.T, k *Kernel) (resources []memmap.Resource, gaps []vmem.Gap) {
	t.Helper()
	for r, err := range k.IOMem(t.Context()) {
		if err == nil {
			resources = append(resources, r)
			continue
		}
		g, ok := errors.AsType[vmem.Gap](err)
		if !ok {
			t.Fatalf("%v is no Gap", err)
		}
		gaps = append(gaps, g)
	}
	return resources, gaps
}

// trueIOMem is /proc/iomem of the node.
func trueIOMem(t *testing.T, img testimages.Image) []memmap.Resource {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(img.Truth, "proc", "iomem"))
	if err != nil {
		t.Skip("no truth:", err)
	}
	resources, err := memmap.ParseIOMem(text)
	if err != nil {
		t.Fatal(err)
	}
	return resources
}

func TestIOMem(t *testing.T) {
	img, err := testimages.Bundled()
	if err != nil {
		t.Fatal(err)
	}
	got, gaps := iomem(t, openBundled(t).k)
	if diff := cmp.Diff(trueIOMem(t, img), got); diff != "" || len(gaps) > 0 {
		t.Errorf("gaps %v; /proc/iomem (-want +got):\n%s", gaps, diff)
	}
}

func TestIOMemOfImages(t *testing.T) {
	for _, img := range testimages.All(t) {
		t.Run(img.Name, func(t *testing.T) {
			want := trueIOMem(t, img)
			k, err := Open(t.Context(), openImage(t, img.Path), nil)
			if err != nil {
				t.Fatal(err)
			}
			got, gaps := iomem(t, k)
			if diff := cmp.Diff(want, got); diff != "" || len(gaps) > 0 {
				t.Errorf("gaps %v; /proc/iomem (-want +got):\n%s", gaps, diff)
			}
		})
	}
}

// TestIOPorts compares the map of ports with /proc/ioports.
func TestIOPorts(t *testing.T) {
	for _, img := range testimages.All(t) {
		t.Run(img.Name, func(t *testing.T) {
			text, err := os.ReadFile(filepath.Join(img.Truth, "kernel", "ioports"))
			if err != nil {
				t.Skip("no truth:", err)
			}
			want, err := memmap.ParseIOMem(text)
			if err != nil {
				t.Fatal(err)
			}
			k, err := Open(t.Context(), openImage(t, img.Path), nil)
			if err != nil {
				t.Fatal(err)
			}
			got, errs := collect(k.IOPorts(t.Context()))
			if diff := cmp.Diff(want, got); diff != "" || len(errs) > 0 {
				t.Errorf("errors %v; /proc/ioports (-want +got):\n%s", errs, diff)
			}
		})
	}
}

// openImage opens an image by the end of its name.
func openImage(t testing.TB, name string) vmem.Memory {
	t.Helper()
	if filepath.Ext(name) == ".lime" {
		f, err := lime.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		return f
	}
	f, err := kcore.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// TestIOMemDamaged has a tree whose second resource is damaged. The tree is torn there,
// and the walk ends.
func TestIOMemDamaged(t *testing.T) {
	n := openBundled(t)
	member := func(name string) vmem.VirtAddr {
		off, _ := n.k.views.resource.resource.Offset(name)
		return vmem.VirtAddr(off)
	}
	whole, _ := iomem(t, n.k)
	root, err := n.k.Symbol("iomem_resource")
	if err != nil {
		t.Fatal(err)
	}
	first := vmem.VirtAddr(n.word(t, root+member("Child")))
	second := vmem.VirtAddr(n.word(t, first+member("Sibling")))
	for name, test := range map[string]struct {
		at    vmem.VirtAddr
		value uint64
		keep  int
		want  error
	}{
		"a cycle":               {second + member("Sibling"), uint64(first), 2, kstruct.ErrCycle},
		"its own child":         {second + member("Child"), uint64(second), len(whole), kstruct.ErrCycle},
		"another parent":        {second + member("Parent"), uint64(first), 1, kstruct.ErrCorrupt},
		"no pointer":            {second + member("Sibling"), 0x1234, 2, kstruct.ErrCorrupt},
		"nowhere":               {second + member("Sibling"), 0xffff000000001000, 2, vmem.ErrNonCanonical},
		"ends before it begins": {second + member("End"), 0, 1, kstruct.ErrCorrupt},
		"no first":              {root + member("Child"), 8, 0, kstruct.ErrCorrupt},
	} {
		m := smeartest.New(n.mem)
		n.put(t, m, test.at, test.value)
		k, err := n.open(m)
		if err != nil {
			t.Fatal(err)
		}
		got, gaps := iomem(t, k)
		if diff := cmp.Diff(whole[:test.keep], got, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s: resources (-want +got):\n%s", name, diff)
		}
		if len(gaps) != 1 || !errors.Is(gaps[0], test.want) {
			t.Errorf("%s: gaps %v, want %v", name, gaps, test.want)
		}
	}
}
