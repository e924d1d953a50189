package raw

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/nodelens/nodelens/internal/extent"
	"github.com/nodelens/nodelens/internal/source"
	"github.com/nodelens/nodelens/vmem"
)

// The reasons for which an image has gaps.
var (
	// ErrTruncated: the file ends inside of a region.
	ErrTruncated = vmem.NewReason("truncated", "the file ends inside of the region")
	// ErrNoAddress: bytes of the file are in no region.
	ErrNoAddress = vmem.NewReason("no-address", "the physical address of what follows is not known")
	// ErrOverlap: of two regions with the same memory this is not the first.
	ErrOverlap = vmem.NewReason("overlap", "a region before has the same memory")
	// ErrTooMany: there is memory outside of RAM in more pieces than any machine has.
	ErrTooMany = vmem.NewReason("too-many", "too many pieces of memory outside of RAM")
)

// A Region says that the memory of Range lies in the file from Offset on.
type Region struct {
	Range  vmem.Range[vmem.PhysAddr]
	Offset int64
}

// Options are the settings of Open and NewFile.
type Options struct {
	// Regions are what the file holds. Of regions that overlap the first has the memory, and a
	// gap tells of the other.
	// None: the file is one, from physical address 0 on.
	Regions []Region

	// RAM, if not nil, are the ranges of RAM, ascending and disjoint. Pages of zeros
	// outside of them are then no part of the image. To find them, what lies outside is
	// read once.
	RAM []vmem.Range[vmem.PhysAddr]

	// Progress, if not nil, is called now and then while a file that is compressed as a
	// whole is unpacked, with how many of its bytes were read. It must return soon.
	Progress func(done, total int64)
}

// A File is a raw image. It implements [vmem.Memory] and is safe for concurrent use.
type File struct {
	source *source.Source
	table  *extent.Table
	gaps   []vmem.Gap
}

var (
	_ vmem.Lossy = (*File)(nil)
)

// Open opens the named file, plain or compressed as a whole by LZ4, gzip, zlib, xz or
// zstd. The caller must Close it. Any file can be opened: nothing in it tells that it is
// memory.
func Open(name string, opts *Options) (*File, error) {
	return OpenContext(context.Background(), name, opts)
}

// OpenContext opens the named file as Open does. It ends with ctx, which has no effect on
// a File that is open.
func OpenContext(ctx context.Context, name string, opts *Options) (*File, error) {
	if opts == nil {
		opts = new(Options)
	}
	s, err := source.Open(ctx, name, &source.Options{Progress: opts.Progress})
	if err != nil {
		return nil, fmt.Errorf("raw: %w", err)
	}
	f, err := newFile(ctx, s, opts)
	if err = cmp.Or(s.Opened(), err); err != nil {
		return nil, cmp.Or(fmt.Errorf("raw: %s: %w", name, err), s.Close())
	}
	return f, nil
}

// NewFile reads an image of size bytes, plain or compressed as Open has it, out of r,
// which must stay usable as long as the File is.
func NewFile(r io.ReaderAt, size int64, opts *Options) (*File, error) {
	s, err := source.New(context.Background(), r, size, nil)
	if err == nil {
		var f *File
		if f, err = newFile(context.Background(), s, opts); err == nil {
			return f, nil
		}
	}
	return nil, fmt.Errorf("raw: %w", err)
}

func newFile(ctx context.Context, s *source.Source, opts *Options) (*File, error) {
	if opts == nil {
		opts = new(Options)
	}
	f := &File{source: s}
	regions := opts.Regions
	if len(regions) == 0 {
		regions = []Region{{Range: vmem.Range[vmem.PhysAddr]{Size: uint64(s.Size())}}}
	}
	records, err := f.records(regions)
	if err != nil {
		return nil, err
	}
	f.unplaced(records)
	if err := f.hidden(records); err != nil {
		return nil, err
	}
	if opts.RAM != nil {
		if records, err = f.trim(ctx, records, opts.RAM); err != nil {
			return nil, err
		}
	}
	f.table, err = extent.New(records)
	return f, err
}

// Arrange returns the same image with other settings. It is released with f. It ends with
// ctx: with RAM in the settings it may read much.
func (f *File) Arrange(ctx context.Context, opts *Options) (*File, error) {
	g, err := newFile(ctx, f.source, opts)
	if err != nil {
		return nil, fmt.Errorf("raw: %w", err)
	}
	return g, nil
}

// Size returns the size of the file in bytes, without compression.
func (f *File) Size() int64 { return f.source.Size() }

// records returns the regions as far as the file goes.
func (f *File) records(regions []Region) ([]extent.Extent, error) {
	var records []extent.Extent
	for _, r := range regions {
		e := extent.Extent{Range: r.Range, Offset: r.Offset}
		if _, err := extent.New([]extent.Extent{e}); err != nil {
			return nil, err
		}
		have := uint64(max(0, min(f.source.Size()-r.Offset, int64(r.Range.Size))))
		if have < r.Range.Size {
			lost := vmem.Range[vmem.PhysAddr]{Start: r.Range.Start + vmem.PhysAddr(have), Size: r.Range.Size - have}
			f.gaps = append(f.gaps, vmem.Gap{Object: "image", Place: vmem.PhysicalPlace(lost, r.Offset+int64(have)), Err: fmt.Errorf("%w: %w", vmem.ErrNotCaptured, ErrTruncated)})
		}
		e.Range.Size = have
		records = append(records, e)
	}
	return records, nil
}

// unplaced lists what of the file is in no record.
func (f *File) unplaced(records []extent.Extent) {
	var used []vmem.Range[vmem.PhysAddr]
	for _, r := range records {
		used = append(used, vmem.Range[vmem.PhysAddr]{Start: vmem.PhysAddr(r.Offset), Size: r.Range.Size})
	}
	all := vmem.Range[vmem.PhysAddr]{Size: uint64(f.source.Size())}
	for _, r := range vmem.SubtractRanges(all, vmem.NormalizeRanges(used)) {
		f.gaps = append(f.gaps, vmem.Gap{Object: "image", Place: vmem.ImagePlace(int64(r.Start)), Err: fmt.Errorf("%d bytes: %w", r.Size, ErrNoAddress)})
	}
}

// hidden lists what of the records can't be read because others have the same memory.
func (f *File) hidden(records []extent.Extent) error {
	t, err := extent.New(records)
	if err != nil {
		return err
	}
	for _, o := range t.Overlaps() {
		r := records[o.Record]
		f.gaps = append(f.gaps, vmem.Gap{Object: "image", Place: vmem.ImagePlace(r.Offset), Err: fmt.Errorf("%d bytes of %d: %w", o.Hidden, r.Range.Size, ErrOverlap)})
	}
	return nil
}

// ReadAt reads physical memory, as [vmem.Memory] says.
func (f *File) ReadAt(p []byte, off int64) (int, error) { return f.table.ReadAt(f.source, p, off) }

// Ranges returns the physical memory that the file holds, as [vmem.Memory] says.
func (f *File) Ranges() []vmem.Range[vmem.PhysAddr] { return f.table.Ranges() }

// Gaps returns what of the regions the file does not have, and what of the file is in no
// region or in one whose memory another has. Of a compressed file it may grow as damage is met in reading.
func (f *File) Gaps() []vmem.Gap { return slices.Concat(f.gaps, f.source.Gaps(f.table)) }

// Close releases a file that Open opened. On one of NewFile it does nothing.
func (f *File) Close() error { return f.source.Close() }
