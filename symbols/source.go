package symbols

import (
	"context"
	"io"
	"iter"

	"github.com/nodelens/nodelens/isf"
)

// A Source is a place that may have the symbols of a kernel.
type Source interface {
	// String names the place for the reader of a report, such as "the store".
	String() string

	// Find yields what the place has for the kernel, the likeliest first. An error says
	// why something that should be there can't be had, and does not end the search but
	// where it is that of ctx. What a candidate holds is valid until the next one is
	// asked for.
	Find(ctx context.Context, k *Kernel) iter.Seq2[*Candidate, error]
}

// A Candidate is something that may be the symbols of a kernel.
type Candidate struct {
	Name    string    // the path or the URL
	Symbols *isf.File // decoded already; or nil

	Content io.ReaderAt // of a file that still is to be converted
	Size    int64       // of Content, in bytes
}

// A Converter makes symbols of files of one kind. It is safe for concurrent use.
type Converter interface {
	// String names the kind, such as "vmlinux".
	String() string

	// Detect reports whether the converter is for files that begin with head, which has
	// up to HeadSize bytes. Of a file that is compressed as a whole these are the first
	// ones once it is unpacked.
	Detect(head []byte) bool

	// Convert makes symbols of the file r of size bytes, which may be compressed as a
	// whole.
	Convert(ctx context.Context, r io.ReaderAt, size int64, opts *ConvertOptions) (*isf.File, error)
}

// HeadSize is how many bytes at the start of a file a Converter is shown, at most.
const HeadSize = 512

// ConvertOptions are what a Converter is told besides the file.
type ConvertOptions struct {
	// Name is the base name of the file.
	Name string
	// TempDir is where to put temporary files of the size of the unpacked file. Empty:
	// the default directory of the system.
	TempDir string
	// Progress is told what is being done, and how many bytes of how many are done.
	// Never nil.
	Progress func(stage string, done, total int64)
}
