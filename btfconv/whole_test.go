package btfconv

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/nodelens/nodelens/internal/testimages"
	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kcore"
	"github.com/nodelens/nodelens/lime"
	"github.com/nodelens/nodelens/vmem"
)

// A wholeImage is an image that is open as long as the tests run, and what it gives when
// nothing of it is damaged: many tests compare with that.
type wholeImage struct {
	mem      vmem.Memory
	database func() (*isf.File, *Report, error) // of FromMemory
	search   func() (*search, error)            // that was run
}

// wholeImages are those that were opened, by path.
var wholeImages sync.Map

// openWhole opens an image once for all tests.
func openWhole(t testing.TB, image testimages.Image) *wholeImage {
	t.Helper()
	open, _ := wholeImages.LoadOrStore(image.Path, sync.OnceValues(func() (*wholeImage, error) { return newWhole(image.Path) }))
	w, err := open.(func() (*wholeImage, error))()
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func newWhole(path string) (*wholeImage, error) {
	mem, err := openMemory(path)
	if err != nil {
		return nil, err
	}
	type database struct {
		f *isf.File
		r *Report
	}
	read := sync.OnceValues(func() (database, error) {
		f, r, err := FromMemory(context.Background(), mem, nil)
		return database{f, r}, err
	})
	return &wholeImage{
		mem: mem,
		database: func() (*isf.File, *Report, error) {
			d, err := read()
			return d.f, d.r, err
		},
		search: sync.OnceValues(func() (*search, error) { return runSearch(mem) }),
	}, nil
}

// openMemory opens an image that nobody closes.
func openMemory(path string) (vmem.Memory, error) {
	f, err := lime.Open(path)
	if err == nil {
		return f, nil
	}
	return kcore.Open(path)
}

// runSearch runs a search with the VMCOREINFO of the kernel.
func runSearch(mem vmem.Memory) (*search, error) {
	for notes := range notesIn(context.Background(), mem) {
		s := newSearch(mem, notes, MemoryOptions{})
		if !s.inPlace() {
			continue
		}
		_, _, err := s.run(context.Background())
		return s, err
	}
	return nil, errors.New("no VMCOREINFO")
}

// wholeDatabase returns what FromMemory gives of an image.
func wholeDatabase(t testing.TB, image testimages.Image) (*isf.File, *Report) {
	t.Helper()
	f, r, err := openWhole(t, image).database()
	if err != nil {
		t.Fatal(err)
	}
	return f, r
}

// finished returns a search of an image that was run.
func finished(t testing.TB, image testimages.Image) *search {
	t.Helper()
	s, err := openWhole(t, image).search()
	if err != nil {
		t.Fatal(err)
	}
	return s
}
