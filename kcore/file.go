package kcore

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"

	"github.com/nodelens/nodelens/internal/extent"
	"github.com/nodelens/nodelens/internal/gaplist"
	"github.com/nodelens/nodelens/internal/source"
	"github.com/nodelens/nodelens/vmcoreinfo"
	"github.com/nodelens/nodelens/vmem"
)

// noPhys is the p_paddr of segments that have no one physical address.
const noPhys = ^vmem.PhysAddr(0)

// A File is an ELF core. It implements [vmem.Memory] and is safe for concurrent use.
type File struct {
	r         io.ReaderAt
	source    *source.Source // nil for the running machine
	closer    io.Closer      // of Open and OpenLive, else nil
	table     *extent.Table
	segments  []Segment
	notes     []vmcoreinfo.Note
	notesRead uint64                      // bytes of all PT_NOTE segments
	excluded  []vmem.Range[vmem.PhysAddr] // in the order of the file
	gaps      gaplist.List
	live      bool
}

var (
	_ vmem.Live      = (*File)(nil)
	_ vmem.Lossy     = (*File)(nil)
	_ vmem.Excluding = (*File)(nil)
)

// Options are the settings of OpenContext. Nil stands for the zero Options.
type Options struct {
	// Progress, if not nil, is called now and then while a file that is compressed as a
	// whole is unpacked, with how many of its bytes were read. It must return soon.
	Progress func(done, total int64)
}

// Open opens the named file, plain or compressed as a whole. The caller must Close it. A
// name on procfs, such as /proc/kcore, is the running machine, which is read as [OpenLive]
// does.
func Open(name string) (*File, error) { return OpenContext(context.Background(), name, nil) }

// OpenContext opens the named file as Open does. It ends with ctx, which has no effect
// on a File that is open.
func OpenContext(ctx context.Context, name string, opts *Options) (*File, error) {
	if IsLive(name) {
		return openLive(os.DirFS(filepath.Dir(name)), filepath.Base(name), os.DirFS("/"))
	}
	if opts == nil {
		opts = new(Options)
	}
	s, err := source.Open(ctx, name, &source.Options{Progress: opts.Progress})
	if err != nil {
		return nil, fmt.Errorf("kcore: %w", err)
	}
	f, err := newFile(s, s.Size())
	if err = cmp.Or(s.Opened(), err); err != nil {
		return nil, cmp.Or(fmt.Errorf("%s: %w", name, err), s.Close())
	}
	f.source, f.closer = s, s
	return f, nil
}

// NewFile reads an ELF core of size bytes, plain or compressed as a whole, out of r, which
// must stay usable as long as the File is. Errors wrap ErrFormat where r holds something
// else.
func NewFile(r io.ReaderAt, size int64) (*File, error) {
	s, err := source.New(context.Background(), r, size, nil)
	if err != nil {
		return nil, fmt.Errorf("kcore: %w", err)
	}
	f, err := newFile(s, s.Size())
	if err != nil {
		return nil, err
	}
	f.source = s
	return f, nil
}

// newFile reads an ELF core of size bytes out of r, which is not compressed.
func newFile(r io.ReaderAt, size int64) (*File, error) {
	headers, err := readSegments(r, size)
	if err != nil {
		return nil, fmt.Errorf("kcore: %w", err)
	}
	f := &File{r: r, segments: headers.segments}
	for _, lost := range headers.gaps {
		f.gaps.Add(lost.Place, lost.Err)
	}
	var records, image []extent.Extent
	for _, s := range f.segments {
		switch {
		case s.Type == ptNote:
			f.readNotes(s, size)
		case s.Type != ptLoad || s.Phys == noPhys || s.MemSz == 0:
		case s.InKernelImage():
			image = append(image, f.load(s, size)...)
		default:
			records = append(records, f.load(s, size)...)
		}
	}
	if size < math.MaxInt64 { // which stands for the running machine
		f.unnamed(r, size, headers.off, headers.end)
	}
	// The direct map has the byte before the mapping of the kernel's image has it: what
	// the kernel frees of its image after boot it may unmap there (free_kernel_image_pages
	// of arch/x86/mm/init.c), and /proc/kcore then reads zeros, while the pages have long
	// been given to others.
	if f.table, err = extent.New(append(records, image...)); err != nil {
		return nil, fmt.Errorf("kcore: %w: %w", ErrFormat, err)
	}
	return f, nil
}

// load returns the part of a segment that the file holds, and records the rest as lost.
func (f *File) load(s Segment, size int64) []extent.Extent {
	all := vmem.Range[vmem.PhysAddr]{Start: s.Phys, Size: s.MemSz}
	if s.MemSz > extent.Limit || uint64(s.Phys) > extent.Limit-s.MemSz {
		f.lose(all, s, 0, fmt.Errorf("%w: beyond the 52 bits of a physical address", ErrFormat))
		return nil
	}
	have := min(s.FileSz, s.MemSz)
	if have < s.MemSz {
		f.excluded = append(f.excluded, vmem.Range[vmem.PhysAddr]{Start: s.Phys + vmem.PhysAddr(have), Size: s.MemSz - have})
	}
	inFile := uint64(max(0, size-int64(min(s.Offset, uint64(size)))))
	if inFile < have {
		f.lose(vmem.Range[vmem.PhysAddr]{Start: s.Phys, Size: have}, s, inFile,
			fmt.Errorf("%w: %w, at %#x: %w", vmem.ErrNotCaptured, ErrTruncated, size, io.ErrUnexpectedEOF))
		have = inFile
	}
	if have == 0 {
		return nil
	}
	return []extent.Extent{{Range: vmem.Range[vmem.PhysAddr]{Start: s.Phys, Size: have}, Offset: int64(s.Offset)}}
}

// lose records that all of r but its first have bytes is lost.
func (f *File) lose(r vmem.Range[vmem.PhysAddr], s Segment, have uint64, err error) {
	r.Start, r.Size = r.Start+vmem.PhysAddr(have), r.Size-have
	f.gaps.Add(vmem.PhysicalPlace(r, int64(min(s.Offset, 1<<62)+have)), err)
}

// ReadAt reads physical memory, as [vmem.Memory] says.
func (f *File) ReadAt(p []byte, off int64) (int, error) { return f.table.ReadAt(f.r, p, off) }

// Ranges returns the physical memory that the file holds, as [vmem.Memory] says.
func (f *File) Ranges() []vmem.Range[vmem.PhysAddr] { return f.table.Ranges() }

// Gaps returns what the file says it has and does not. Of a compressed file it may grow
// as damage is met in reading.
func (f *File) Gaps() []vmem.Gap {
	if f.source == nil {
		return f.gaps.Gaps()
	}
	return append(f.gaps.Gaps(), f.source.Gaps(f.table)...)
}

// Excluded returns the memory that the writer of the file knew of and left out: where
// p_memsz exceeds p_filesz, and no other segment has the memory. It is ascending. To
// makedumpfile -E these are pages of its dump level, which may be zeros, free, or of files
// or processes, and what is no RAM. The file does not say which, so reading them gives
// [vmem.ErrNotCaptured]. (Fewer than 256 such pages in a row, PFN_EXCLUDED in its
// makedumpfile.h, it writes as zeros, which nothing tells from those of the machine.)
func (f *File) Excluded() []vmem.Range[vmem.PhysAddr] {
	var left []vmem.Range[vmem.PhysAddr]
	for _, r := range vmem.NormalizeRanges(f.excluded) {
		left = append(left, vmem.SubtractRanges(r, f.table.Ranges())...)
	}
	return left
}

// Live reports whether the memory is that of the running machine.
func (f *File) Live() bool { return f.live }

// Segments returns the program headers in the order of the file. The caller must not
// change the slice.
func (f *File) Segments() []Segment { return f.segments }

// Notes returns the notes in the order of the file. The caller must not change them.
func (f *File) Notes() []vmcoreinfo.Note { return f.notes }

// Close releases a file that Open or OpenLive opened. On one of NewFile it does nothing.
func (f *File) Close() error {
	if f.closer == nil {
		return nil
	}
	return f.closer.Close()
}
