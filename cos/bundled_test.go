package cos

import (
	"context"
	"path/filepath"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nodelens/nodelens/btfconv"
	"github.com/nodelens/nodelens/image"
	"github.com/nodelens/nodelens/internal/smeartest"
	"github.com/nodelens/nodelens/internal/testimages"
	"github.com/nodelens/nodelens/internal/truth"
	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/vmem"
)

// bundled is the node image that comes with the repository; the lab's README says what
// is on it.
func bundled(tb testing.TB) testimages.Image {
	tb.Helper()
	img, err := testimages.Bundled()
	if err != nil {
		tb.Fatal(err)
	}
	return img
}

// openBundled opens the bundled node once for all tests that only ask it.
var openBundled = sync.OnceValues(func() (*Node, error) {
	img, err := testimages.Bundled()
	if err != nil {
		return nil, err
	}
	symbols, err := bundledSymbols()
	if err != nil {
		return nil, err
	}
	return OpenNode(context.Background(), File(img.Path), &Options{Symbols: symbols})
})

// bundledSymbols are those that the bundled node has itself, read once for all tests.
var bundledSymbols = sync.OnceValues(func() (*isf.File, error) {
	img, err := testimages.Bundled()
	if err != nil {
		return nil, err
	}
	mem, err := image.Open(context.Background(), img.Path, nil)
	if err != nil {
		return nil, err
	}
	defer mem.Close()
	symbols, _, err := btfconv.FromMemory(context.Background(), mem, nil)
	return symbols, err
})

// bundledNode returns the bundled node, open, which all tests share: none may close it.
func bundledNode(t testing.TB) *Node {
	t.Helper()
	n, err := openBundled()
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestBundledNode compares the whole report about the bundled node with what /proc said
// on it, and the report must be whole.
func TestBundledNode(t *testing.T) {
	img := bundled(t)
	packed, err := testimages.BundledPacked()
	if err != nil {
		t.Fatal(err)
	}
	node, err := truth.Read(img.Truth)
	if err != nil {
		t.Fatal(err)
	}
	for path, opts := range map[string]*Options{img.Path: {SymbolFile: packed.ISF, Sections: AllSections, Secrets: true}, packed.Path: {Secrets: true}} {
		r, err := AnalyzeNode(t.Context(), File(path), opts)
		if err != nil {
			t.Fatal(err)
		}
		checkReport(t, node, r)
		if opts.Sections != 0 {
			checkNetwork(t, img.Truth, node, r)
			checkModules(t, img.Truth, r)
			checkLog(t, img.Truth, r)
			checkSettings(t, img.Truth, r)
			checkSecurity(t, img.Truth, r)
			checkMaps(t, img.Truth, r)
		} else if r.Security != nil || r.Memory != nil || r.Network != nil || r.Modules != nil || r.Log != nil || r.Kernel.Settings != nil {
			t.Error("a section that was not asked for")
		}
		if !r.Whole() {
			t.Error("the report is not whole")
		}
		checkRoundTrip(t, r)
	}
}

// TestDamagedTypes has a page of the types of the kernel overwritten. That costs the types
// on it, and is told; the node is what it was.
func TestDamagedTypes(t *testing.T) {
	testimages.Long(t)
	t.Parallel()
	img := bundled(t)
	want, err := AnalyzeNode(t.Context(), File(img.Path), nil)
	if err != nil {
		t.Fatal(err)
	}
	file, err := image.Open(t.Context(), img.Path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	_, found, err := btfconv.FromMemory(t.Context(), file, nil)
	if err != nil {
		t.Fatal(err)
	}
	smeared := smeartest.New(file)
	smeared.Write(found.BTF.Addr+vmem.PhysAddr(found.BTF.Size/4)&^(pageSize-1), make([]byte, pageSize))
	got, err := AnalyzeNode(t.Context(), Memory(smeared), nil)
	if err != nil {
		t.Fatal(err)
	}
	if got.Whole() || got.Gaps[0].Object != "types of BTF" || got.Gaps[0].Reason() != "corrupt" {
		t.Errorf("gaps %v", got.Gaps)
	}
	if diff := cmp.Diff(want.Processes, got.Processes); diff != "" {
		t.Errorf("processes (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want.Pods, got.Pods); diff != "" {
		t.Errorf("pods (-want +got):\n%s", diff)
	}
}

// openedISF are the databases that were opened, by path.
var openedISF sync.Map

// openISF opens a database once for all tests.
func openISF(path string) (*isf.File, error) {
	if path, err := filepath.Abs(path); err == nil {
		open, _ := openedISF.LoadOrStore(path, sync.OnceValues(func() (*isf.File, error) { return isf.Open(path) }))
		return open.(func() (*isf.File, error))()
	}
	return isf.Open(path)
}

// symbolsOf returns the symbols of an image's kernel, read once for all tests: those of its file, but for the bundled
// one, whose own serve for its modules as well and need not be converted.
func symbolsOf(t testing.TB, img testimages.Image) *isf.File {
	t.Helper()
	read := func() (*isf.File, error) { return openISF(img.ISF) }
	if img.Path == bundled(t).Path {
		read = bundledSymbols
	}
	symbols, err := read()
	if err != nil {
		t.Fatal(err)
	}
	return symbols
}
