package kdump

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"sync"

	"github.com/nodelens/nodelens/internal/blockcache"
	"github.com/nodelens/nodelens/internal/source"
	"github.com/nodelens/nodelens/vmcoreinfo"
	"github.com/nodelens/nodelens/vmem"
)

const (
	// cacheBytes is how much of compressed pages is kept decoded.
	cacheBytes = 32 << 20
	// bulk is the size of reads, in bytes, from which whole pages are decoded where they
	// are wanted and not kept: who reads so much is not likely to come back.
	bulk = 64 << 10
)

// A File is a kdump-compressed image. It implements [vmem.Memory] and is safe for
// concurrent use.
type File struct {
	source *source.Source
	image  image
	header Header
	index  *index
	ranges []vmem.Range[vmem.PhysAddr]
	gaps   []vmem.Gap
	notes  []vmcoreinfo.Note

	cache    *blockcache.Cache // by frame number
	decoders sync.Pool         // of *decoder
	late     damage
}

var (
	_ vmem.Lossy = (*File)(nil)
)

// Options are the settings of OpenContext. Nil stands for the zero Options.
type Options struct {
	// Progress, if not nil, is called now and then while a file that is compressed as a
	// whole is unpacked, with how many of its bytes were read. It must return soon.
	Progress func(done, total int64)
}

// Open opens the named image, plain or compressed as a whole. The caller must Close it.
// Errors wrap ErrFormat where the file holds something else.
func Open(name string) (*File, error) { return OpenContext(context.Background(), name, nil) }

// OpenContext opens the named image as Open does. It ends with ctx, which has no effect
// on a File that is open.
func OpenContext(ctx context.Context, name string, opts *Options) (*File, error) {
	if opts == nil {
		opts = new(Options)
	}
	s, err := source.Open(ctx, name, &source.Options{Progress: opts.Progress})
	if err != nil {
		return nil, fmt.Errorf("kdump: %w", err)
	}
	f, err := newFile(s)
	if err = cmp.Or(s.Opened(), err); err != nil {
		return nil, cmp.Or(fmt.Errorf("kdump: %s: %w", name, err), s.Close())
	}
	return f, nil
}

// NewFile reads an image of size bytes, plain or compressed as a whole, out of r, which must stay
// usable as long as the File is. Errors wrap ErrFormat where r holds something else.
func NewFile(r io.ReaderAt, size int64) (*File, error) {
	s, err := source.New(context.Background(), r, size, nil)
	if err != nil {
		return nil, fmt.Errorf("kdump: %w", err)
	}
	f, err := newFile(s)
	if err != nil {
		return nil, fmt.Errorf("kdump: %w", err)
	}
	return f, nil
}

func newFile(s *source.Source) (*File, error) {
	f := &File{source: s, image: plain{s, s.Size()}, cache: blockcache.New(cacheBytes)}
	head := make([]byte, len(flatSignature))
	n, err := s.ReadAt(head, 0)
	var pieces *flat
	switch {
	case !IsKdump(head[:n]):
		return nil, fmt.Errorf("%w: it begins with % x (%w)", ErrFormat, head[:min(n, 8)], unexpected(err))
	case isFlat(head[:n]):
		if pieces, err = newFlat(s, s.Size()); err != nil {
			return nil, err
		}
		f.image = pieces
	}
	if f.header, err = readHeader(f.image); err != nil {
		return nil, err
	}
	f.header.Flattened = pieces != nil
	if pieces != nil {
		for _, h := range pieces.holes {
			f.lose(vmem.Range[vmem.PhysAddr]{}, h.at, h.err)
		}
	}
	if pieces != nil && pieces.err != nil {
		f.lose(vmem.Range[vmem.PhysAddr]{}, pieces.cut, pieces.err)
	}
	var bad error
	if f.index, f.ranges, bad = newIndex(f.image, &f.header); f.index == nil {
		return nil, bad
	}
	if bad != nil {
		f.lose(vmem.Range[vmem.PhysAddr]{}, f.index.second, bad)
	}
	f.readNotes()
	f.count()
	f.verify()
	f.summarize()
	return f, nil
}

// Header returns what the headers of the image say.
func (f *File) Header() Header { return f.header }

// ReadAt reads physical memory, as [vmem.Memory] says. The error for a page that the
// image does not have wraps [vmem.ErrNotCaptured], and ErrExcluded, ErrSplit,
// ErrTruncated, ErrNotWritten or ErrDamaged where that is the reason.
func (f *File) ReadAt(p []byte, off int64) (n int, err error) {
	d, ok := f.decoders.Get().(*decoder)
	if !ok {
		d = new(decoder)
	}
	defer f.decoders.Put(d)
	for n < len(p) {
		at := uint64(off) + uint64(n)
		part := p[n:]
		part = part[:min(uint64(len(part)), blockSize-at%blockSize)]
		if off < 0 {
			err = vmem.ErrNotCaptured
		} else {
			err = f.readPage(d, part, at, len(p) >= bulk)
		}
		if err != nil {
			return n, fmt.Errorf("physical address %v: %w", vmem.PhysAddr(at), err)
		}
		n += len(part)
	}
	return n, nil
}

// readPage reads from one page, at the physical address at.
func (f *File) readPage(d *decoder, p []byte, at uint64, once bool) error {
	pfn, from := at/blockSize, at%blockSize
	key := int(pfn)
	if uint64(key) != pfn { // of 64 bits, where an int has 32
		once = true
	} else if e := f.cache.Cached(key); e != nil {
		return f.copy(e, p, from)
	}
	desc, err := d.locate(f.index, pfn)
	switch {
	case err != nil:
		f.late.note(f, pfn, err)
		return err
	case desc.how == Uncompressed:
		if n, err := f.image.ReadAt(p, desc.off+int64(from)); n < len(p) {
			return readError(err)
		}
		return nil
	case once && len(p) == blockSize:
		if err = d.decode(f.image, desc, p); err != nil {
			f.late.note(f, pfn, err)
		}
		return err
	case uint64(key) != pfn:
		b := make([]byte, blockSize)
		if err = d.decode(f.image, desc, b); err != nil {
			f.late.note(f, pfn, err)
			return err
		}
		copy(p, b[from:])
		return nil
	}
	e, owner := f.cache.Acquire(key)
	if owner {
		f.fill(d, e, desc)
	}
	return f.copy(e, p, from)
}

// copy copies what is in a page from the given offset on, and releases its entry.
func (f *File) copy(e *blockcache.Entry, p []byte, from uint64) error {
	defer f.cache.Release(e)
	e.Wait()
	if e.Err == nil {
		copy(p, e.Buf[from:])
	}
	return e.Err
}

// fill decodes the page of e.
func (f *File) fill(d *decoder, e *blockcache.Entry, desc descriptor) {
	defer f.cache.Filled(e)
	b := f.cache.Buffer(blockSize)
	if err := d.decode(f.image, desc, b); err != nil {
		f.cache.Recycle(b)
		f.late.note(f, uint64(e.Block()), err)
		e.Err = err
		return
	}
	e.Buf = b
}

// Ranges returns the physical memory that the file holds, as [vmem.Memory] says. Pages
// whose damage shows only when they are read are part of it; reading them gives an error
// that wraps [vmem.ErrNotCaptured], and Gaps lists them.
func (f *File) Ranges() []vmem.Range[vmem.PhysAddr] { return f.ranges }

// Close releases a file that Open opened. On one of NewFile it does nothing.
func (f *File) Close() error { return f.source.Close() }
