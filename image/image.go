package image

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"

	"github.com/nodelens/nodelens/internal/source"
	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/layouts"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/vmem"
)

// FormatRaw is the format of memory without headers, for Options.
const FormatRaw = "raw"

// A SymbolSource finds the types and symbols of a kernel.
type SymbolSource interface {
	// Symbols returns what describes the kernel that ran in mem, exactly, and in a few
	// words where that is from. It returns nil if the image is to give its own symbols.
	// Of an image that does not say its addresses, those of mem are offsets in the file.
	Symbols(ctx context.Context, mem vmem.Memory) (f *isf.File, from string, err error)
}

// Options are the settings of Open, NewFile and OpenKernel. Nil stands for the zero
// Options.
type Options struct {
	// Format is FormatRaw for an image that is nothing but memory, without a header: its
	// content is not asked for a format. Where the kernel in it does not tell which memory
	// it has, it is taken to begin at physical address 0. Empty: the format is found by
	// the content.
	Format string

	// Symbols gives the symbols of the kernel in the image. It is asked once at most, and
	// to open an image only where nothing but the kernel tells what memory the image has.
	// Nil: the image gives its own, see [btfconv.FromMemory].
	Symbols SymbolSource

	// Layouts are those of known kernels, for what the image has lost of its own symbols:
	// see [linux.Options]. Nil: those that the library carries.
	Layouts *layouts.Set

	// Progress, if not nil, is called now and then with what is being done and how much
	// of how much is done, in units that depend on the stage. It must return soon.
	Progress func(stage string, done, total int64)

	// IndexDir is a directory in which Open keeps, of images that are compressed as a whole
	// and can only be decoded forwards, what makes it unnecessary to decode all of them
	// before they are analysed again: states to go on from, and what was read of their
	// content. So it is to be no more open to others than the images. What is there is
	// checked, and bounded to a gigabyte; several programs may use it at once. Empty:
	// nothing is kept.
	IndexDir string

	// TaskScan says when all of memory is searched for tasks: see [linux.TaskScan]. Of an
	// image on a server that is done only where it is asked for: where it would have been due,
	// [linux.Kernel.Processes] has a Gap with [linux.ErrNotSearched].
	TaskScan linux.TaskScan

	// Limits bound what is told of the kernel in the image. The zero value has safe defaults.
	Limits linux.Limits

	// Remote is how an image on a server is read.
	Remote *Remote
}

// Info says what a file was found to be.
type Info struct {
	Name        string   // as it was opened; empty for a file of NewFile
	Size        int64    // of the file as it is stored, in bytes; 0 for the running machine
	Format      string   // such as LiME
	Compression string   // of the file as a whole, such as gzip; empty if there is none
	ETag        string   // what the server knows it by; empty for a file
	Notes       []string // what had to be concluded to open it
}

// String returns the format and the compression, such as "LiME, gzip".
func (i Info) String() string {
	if i.Compression == "" {
		return i.Format
	}
	return i.Format + ", " + i.Compression
}

// A File is an opened memory image. Its memory is a *lime.File, a *kcore.File, a
// *kdump.File or a *raw.File. It is safe for concurrent use.
type File struct {
	vmem.Memory
	Info Info

	stored  *source.Source // nil for the running machine, and for memory of the caller's
	closer  io.Closer
	traffic func() (requests, bytes int64) // of a server; nil for a file
	symbols found                          // of its kernel, where they were needed to open it
}

// found are symbols and where they are from.
type found struct {
	file *isf.File
	from string
}

// Unwrap returns the memory, with the methods of its format.
func (f *File) Unwrap() vmem.Memory { return f.Memory }

// SHA256 reads the whole file, as it is stored, and returns its digest. progress, if not nil,
// is told how many bytes of how many were read. The running machine has none: the error
// wraps ErrNotFile.
func (f *File) SHA256(ctx context.Context, progress func(done, total int64)) ([sha256.Size]byte, error) {
	if f.stored == nil {
		return [sha256.Size]byte{}, fmt.Errorf("image: %w", ErrNotFile)
	}
	sum, buf := sha256.New(), make([]byte, 1<<20)
	for done, total := int64(0), f.stored.Stored(); done < total; {
		b := buf[:min(int64(len(buf)), total-done)]
		if n, err := f.stored.StoredAt(b, done); n < len(b) {
			return [sha256.Size]byte{}, fmt.Errorf("image: %s: %w", f.Info.Name, err)
		}
		if ctx.Err() != nil {
			return [sha256.Size]byte{}, ctx.Err()
		}
		sum.Write(b)
		if done += int64(len(b)); progress != nil {
			progress(done, total)
		}
	}
	return [sha256.Size]byte(sum.Sum(nil)), nil
}

// Close releases a file that Open opened. On one of NewFile it does nothing.
func (f *File) Close() error {
	if f.closer == nil {
		return nil
	}
	return f.closer.Close()
}

// ask asks the source of symbols, which may be nil.
func (o *Options) ask(ctx context.Context, mem vmem.Memory) (s found, err error) {
	if o.Symbols != nil {
		s.file, s.from, err = o.Symbols.Symbols(ctx, mem)
	}
	return s, err
}
