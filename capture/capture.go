package capture

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"time"

	"github.com/nodelens/nodelens/kcore"
	"github.com/nodelens/nodelens/lime"
	"github.com/nodelens/nodelens/memmap"
	"github.com/nodelens/nodelens/vmem"
)

// ErrNothingRead is the error of a capture in which not one page could be read.
var ErrNothingRead = errors.New("no memory could be read")

// Options are the settings of Run. The zero value is usable.
type Options struct {
	// Root is the root directory of the node: proc/kcore and proc/iomem are read in it,
	// and what tells the node from others. Nil means "/". A container that has the
	// node's /proc mounted elsewhere gives the directory above it.
	Root fs.FS

	// Format is that of the image. Zero means FormatLiME.
	Format Format

	// Order is that in which memory is read. Zero means OrderAscending.
	Order Order

	// Pages says what pages are used for. Nil means that this is not known: LeaveOut must
	// be empty, and OrderKernelFirst puts the kernel's image first and nothing else.
	Pages memmap.PageClassifier

	// LeaveOut lists the classes of pages not to capture, but for those pages that come
	// into other use while their piece is read. memmap.PageOther can't be left out.
	LeaveOut []memmap.PageClass

	// Node is what to call the node in the manifest, besides what it calls itself.
	Node string

	// Tool is what to call the capturing program in the manifest, with its version.
	Tool string

	// Planned, if not nil, is called before anything is written, with the bytes that the
	// image will have if all memory can be read, or -1 where that is not known before: of
	// images that are compressed, and where the use of pages matters.
	Planned func(size int64)

	// Progress, if not nil, is called after each piece of at most 16 MiB with how many
	// bytes of RAM of how many have been dealt with. It must return soon.
	Progress func(done, total int64)
}

// Run writes an image of the running machine's RAM to w, in one go and without
// seeking, and returns what there is to say about it. It needs some 64 MiB of memory
// and no disk.
//
// RAM is what /proc/iomem calls System RAM, to the last byte of every range but for pages
// of which only a part is RAM: those the kernel neither uses nor shows. Pages that
// /proc/kcore lacks or that give an error are left out one by one. The manifest lists all
// of that, and [Manifest.Whole] says whether anything is missing. An image has no zeros for memory that was
// not read, but for what [kcore.OpenLive] says of the kernel's own.
//
// A record of the image holds at most 16 MiB, and has been read before its header is
// written. So where writing fails or ctx ends, the image is cut off inside the last record.
// The Manifest is not nil then and says what was written. Errors are *kcore.Refusal where the
// kernel or a container runtime withholds the memory.
func Run(ctx context.Context, w io.Writer, opts *Options) (*Manifest, error) {
	o := Options{}
	if opts != nil {
		o = *opts
	}
	if o.Root == nil {
		o.Root = os.DirFS("/")
	}
	c, err := newCapture(o)
	if err != nil {
		return nil, err
	}
	defer c.core.Close()
	out := newMeter(w)
	err = c.write(ctx, out)
	c.manifest.Ended = time.Now()
	c.manifest.seal(out)
	return c.manifest, err
}

const (
	pageSize    = vmem.PageSize
	recordSize  = lime.MaxAVMLRecord  // the memory that a record has at most, in bytes
	pageClasses = memmap.PageFree + 1 // how many there are
)

// A capture is one call of Run.
type capture struct {
	opts     Options
	core     *kcore.File
	chunks   []*chunk
	passes   []pass
	total    int64               // bytes of memory in chunks
	manifest *Manifest           // of the reading goroutine until it ends
	leftOut  [pageClasses]uint64 // pages
	kept     [pageClasses]uint64 // pages that were read in passes that classify
	classes  []memmap.PageClass  // of the chunk being read
	unknown  int                 // chunks that could not be classified
}

func newCapture(o Options) (*capture, error) {
	core, err := kcore.OpenLive(o.Root)
	if err != nil {
		return nil, err
	}
	c := &capture{opts: o, core: core}
	if err := c.plan(); err != nil {
		return nil, errors.Join(err, core.Close())
	}
	return c, nil
}

// plan finds out what to read, and fills in the manifest what is known before.
func (c *capture) plan() error {
	text, resources, err := readIOMem(c.opts.Root)
	if err != nil {
		return err
	}
	if slices.Contains(c.opts.LeaveOut, memmap.PageOther) || len(c.opts.LeaveOut) > 0 && c.opts.Pages == nil {
		return errors.New("capture: pages of unknown use can't be left out")
	}
	ram := memmap.SystemRAM(resources)
	c.manifest = &Manifest{
		Schema: Schema, Tool: c.opts.Tool, Node: readNode(c.opts.Root, c.opts.Node),
		Image: Image{Format: c.opts.Format}, Order: c.opts.Order, Began: time.Now(),
		Headers: c.core.Segments(), IOMem: text, RAM: extentsOf(ram),
		Edges: []Extent{}, Pieces: []Piece{}, Missing: []Missing{}, LeftOut: []ClassSize{}, Kept: []ClassSize{}, Notes: []string{},
	}
	if v, err := c.core.VMCoreInfo(); err == nil {
		c.manifest.VMCoreInfo = v.Text()
	}
	for _, g := range c.core.Gaps() {
		c.note("/proc/kcore: %v", &g)
	}
	c.passes = passesOf(c.opts, c.core.Segments())
	c.divide(ram)
	return nil
}

func (c *capture) note(format string, args ...any) {
	c.manifest.Notes = append(c.manifest.Notes, fmt.Sprintf(format, args...))
}

// divide cuts the RAM that can be captured into chunks.
func (c *capture) divide(ram []vmem.Range[vmem.PhysAddr]) {
	for _, r := range ram {
		whole := wholePages(r)
		c.manifest.Edges = append(c.manifest.Edges, extentsOf(vmem.SubtractRanges(r, whole))...)
		for _, w := range whole {
			c.divideWhole(w)
		}
	}
	for _, have := range c.core.Ranges() {
		for _, extra := range vmem.SubtractRanges(have, ram) {
			c.note("/proc/kcore has memory %v, which /proc/iomem does not call RAM: not captured", extra)
		}
	}
}

// divideWhole cuts what /proc/kcore has of r, which is whole pages.
func (c *capture) divideWhole(r vmem.Range[vmem.PhysAddr]) {
	var have []vmem.Range[vmem.PhysAddr]
	for _, h := range c.core.Ranges() {
		have = append(have, wholePages(r.Intersect(h))...)
	}
	for _, lost := range vmem.SubtractRanges(r, have) {
		c.manifest.miss(lost, "not in /proc/kcore")
	}
	for _, h := range have {
		c.total += int64(h.Size)
		for h.Size > 0 {
			size := min(recordSize-uint64(h.Start)%recordSize, h.Size)
			c.chunks = append(c.chunks, &chunk{start: h.Start, pages: int(size / pageSize)})
			h.Start, h.Size = h.Start+vmem.PhysAddr(size), h.Size-size
		}
	}
}

// wholePages returns the whole pages in r: one range, or none.
func wholePages(r vmem.Range[vmem.PhysAddr]) []vmem.Range[vmem.PhysAddr] {
	skip := -uint64(r.Start) % pageSize
	if r.Size < skip+pageSize {
		return nil
	}
	return []vmem.Range[vmem.PhysAddr]{{Start: r.Start + vmem.PhysAddr(skip), Size: (r.Size - skip) &^ (pageSize - 1)}}
}

// plannedSize returns how long the image will be if all can be read, or -1.
func (c *capture) plannedSize() int64 {
	if c.opts.Format != FormatLiME || c.opts.Order != OrderAscending || len(c.opts.LeaveOut) > 0 {
		return -1
	}
	return c.total + int64(len(c.chunks))*lime.RecordHeaderSize
}

// write captures all chunks in all passes.
func (c *capture) write(ctx context.Context, out *meter) error {
	if c.opts.Planned != nil {
		c.opts.Planned(c.plannedSize())
	}
	image, err := c.newWriter(out)
	if err != nil {
		return err
	}
	end := image.end
	if end == nil {
		end = func() error { return nil }
	}
	if out.err = c.copy(ctx, image); out.err != nil {
		_ = end() // for what it holds: it can write no more
		return fmt.Errorf("capture: %w", out.err)
	}
	if err := end(); err != nil {
		return fmt.Errorf("capture: %w", err)
	}
	c.sum()
	if c.manifest.Image.Memory == 0 {
		return fmt.Errorf("capture: %w: %s", ErrNothingRead, c.firstReason())
	}
	if !image.inside {
		return nil
	}
	c.manifest.Ended = time.Now()
	c.manifest.seal(out)
	frame, err := c.manifest.encodeFrame()
	if err == nil {
		err = image.close(frame)
	}
	if err != nil {
		return fmt.Errorf("capture: %w", err)
	}
	return nil
}

// sum enters what was counted on the way.
func (c *capture) sum() {
	if len(c.opts.LeaveOut) > 0 {
		c.manifest.LeftOut, c.manifest.Kept = classSizes(&c.leftOut), classSizes(&c.kept)
	}
	if c.unknown > 1 {
		c.note("in all %d pieces of memory have pages whose use is not known", c.unknown)
	}
}

func (c *capture) firstReason() string {
	if len(c.manifest.Missing) == 0 {
		return "/proc/kcore and /proc/iomem have no RAM in common"
	}
	return c.manifest.Missing[0].Reason
}
