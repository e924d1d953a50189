package memmap

import (
	"fmt"
	"slices"

	"github.com/nodelens/nodelens/vmem"
)

// A PageClass is what a page of RAM is used for, as far as a capture of it cares.
type PageClass uint8

const (
	// PageOther is none of the others, or unknown. Such pages are never left out.
	PageOther PageClass = iota
	// PageSlab is for objects of the kernel.
	PageSlab
	// PageTable is for page tables.
	PageTable
	// PageAnon is memory of processes without a file, but for PageStack.
	PageAnon
	// PageStack is that of the stacks of processes' first threads, which begin with their
	// arguments and environment.
	PageStack
	// PageFile is for file contents in the page cache that are mapped by a process,
	// changed, or exist nowhere else.
	PageFile
	// PageCleanFile is for file contents in the page cache that are the same on disk and
	// that no process maps.
	PageCleanFile
	// PageFree is free; what was there may still be.
	PageFree
)

// classNames are the names of the classes, by their values.
var classNames = []string{"other", "slab", "page table", "anonymous", "stack", "file", "clean file", "free"}

// String returns the name of the class in a manifest, such as clean file.
func (c PageClass) String() string {
	if int(c) >= len(classNames) {
		return fmt.Sprintf("PageClass(%d)", uint8(c))
	}
	return classNames[c]
}

// MarshalText implements [encoding.TextMarshaler] with the form of String.
func (c PageClass) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler]; it takes what String gives.
func (c *PageClass) UnmarshalText(b []byte) error {
	i := slices.Index(classNames, string(b))
	if i < 0 {
		return fmt.Errorf("memmap: no page class is called %.40q", b)
	}
	*c = PageClass(i)
	return nil
}

// A PageClassifier knows what pages of RAM are used for now.
type PageClassifier interface {
	// ClassifyPages sets classes[i] to the class of the page at start + i*4096. Pages of
	// which it learns nothing it makes PageOther, and says why in the error.
	ClassifyPages(classes []PageClass, start vmem.PhysAddr) error
}
