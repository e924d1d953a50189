package kcore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"time"

	"github.com/nodelens/nodelens/vmem"
)

// ErrNothingRead: not one page could be read.
var ErrNothingRead = errors.New("no memory could be read")

// CaptureOptions are the settings of Capture. The zero value is usable.
type CaptureOptions struct {
	// Root is the root directory of the node: proc/kcore and proc/iomem are read in it,
	// and what tells the node from others. Nil means "/". A container that has the
	// node's /proc mounted elsewhere gives the directory above it.
	Root fs.FS

	// Format is that of the image. Zero means FormatLiME.
	Format Format

	// Order is that in which memory is read. Zero means OrderAscending.
	Order Order

	// Pages says what pages are used for. Nil means that this is not known: nothing can
	// be left out, and OrderKernelFirst puts the kernel's image first and nothing else.
	Pages PageClassifier

	// LeaveOut lists the classes of pages not to capture. A few such pages between others
	// are captured all the same, where a record of their own would cost more. PageOther
	// can't be left out.
	LeaveOut []PageClass

	// Node is what to call the node in the manifest, besides what it calls itself.
	Node string

	// Tool is what to call the capturing program in the manifest, with its version.
	Tool string

	// Progress, if not nil, is called after each piece of at most 16 MiB with how many
	// bytes of RAM of how many have been dealt with. It must return soon.
	Progress func(done, total int64)
}

// Capture writes an image of the running machine's RAM to w, in one go and without
// seeking, and returns what there is to say about it. It needs some 64 MiB of memory
// and no disk.
//
// RAM is what /proc/iomem calls System RAM, with the last byte of every range, as far as
// /proc/kcore has it: the kernel leaves out pages of which only a part is RAM. Pages that
// give an error are left out one by one. The manifest lists all of that, and
// [Manifest.Whole] says whether there was any. An image has no zeros for memory that was
// not read, but for what [OpenLive] says of the kernel's own.
//
// A record of the image holds at most 16 MiB, and has been read before its header is
// written. So where writing fails or ctx ends, the image is cut off inside the last record.
// The Manifest is not nil then and says what was written. Errors are *Refusal where the
// kernel or a container runtime withholds the memory.
func Capture(ctx context.Context, w io.Writer, opts *CaptureOptions) (*Manifest, error) {
	o := CaptureOptions{}
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

// A capture is one run of Capture.
type capture struct {
	opts     CaptureOptions
	core     *File
	chunks   []*chunk
	passes   []pass
	total    int64     // bytes of memory in chunks
	manifest *Manifest // of the reading goroutine until it ends
	leftOut  map[PageClass]uint64
	classes  []PageClass // of the chunk being read
	unknown  int         // chunks that could not be classified
}

func newCapture(o CaptureOptions) (*capture, error) {
	core, err := OpenLive(o.Root)
	if err != nil {
		return nil, err
	}
	c := &capture{opts: o, core: core, leftOut: map[PageClass]uint64{}}
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
	if slices.Contains(c.opts.LeaveOut, PageOther) {
		return errors.New("kcore: pages of unknown use can't be left out")
	}
	ram := SystemRAM(resources)
	c.manifest = &Manifest{
		Schema: ManifestSchema, Tool: c.opts.Tool, Node: readNode(c.opts.Root, c.opts.Node),
		Image: Image{Format: c.opts.Format}, Order: c.opts.Order, Began: time.Now(),
		Headers: c.core.Segments(), IOMem: text, RAM: extentsOf(ram),
		Pieces: []Piece{}, Missing: []Missing{}, LeftOut: []LeftOut{}, Notes: []string{},
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
		for _, lost := range vmem.SubtractRanges(r, c.core.Ranges()) {
			c.manifest.miss(lost, "not in /proc/kcore")
		}
		for _, have := range c.core.Ranges() {
			c.divideRange(r.Intersect(have))
		}
	}
	for _, have := range c.core.Ranges() {
		for _, extra := range vmem.SubtractRanges(have, ram) {
			c.note("/proc/kcore has memory %v, which /proc/iomem does not call RAM: not captured", extra)
		}
	}
}

// divideRange cuts whole pages into chunks that end at multiples of maxRecord.
func (c *capture) divideRange(r vmem.Range[vmem.PhysAddr]) {
	if r.Size == 0 {
		return
	}
	first := (r.Start + pageSize - 1) &^ (pageSize - 1)
	end := (r.Last() + 1) &^ (pageSize - 1)
	inner := vmem.Range[vmem.PhysAddr]{Start: first, Size: uint64(max(first, end) - first)}
	for _, edge := range vmem.SubtractRanges(r, vmem.NormalizeRanges([]vmem.Range[vmem.PhysAddr]{inner})) {
		c.manifest.miss(edge, "part of a page")
	}
	for at := first; at < end; {
		size := min(maxRecord-uint64(at)%maxRecord, uint64(end-at))
		c.chunks = append(c.chunks, &chunk{start: at, pages: int(size / pageSize)})
		c.total += int64(size)
		at += vmem.PhysAddr(size)
	}
}

// write captures all chunks in all passes.
func (c *capture) write(ctx context.Context, out *meter) error {
	enc, err := newEncoder(c.opts.Format, out)
	if err != nil {
		return err
	}
	if err := c.copy(ctx, enc); err != nil {
		return fmt.Errorf("kcore: capture: %w", err)
	}
	if err := enc.close(); err != nil {
		return fmt.Errorf("kcore: capture: %w", err)
	}
	c.sum()
	if c.manifest.Image.Memory == 0 {
		return fmt.Errorf("kcore: capture: %w: %s", ErrNothingRead, c.firstReason())
	}
	if c.opts.Format != FormatLiMELZ4 {
		return nil
	}
	c.manifest.Ended = time.Now()
	c.manifest.seal(out)
	frame, err := c.manifest.encodeFrame()
	if err == nil {
		_, err = out.Write(frame)
	}
	if err != nil {
		return fmt.Errorf("kcore: capture: %w", err)
	}
	return nil
}

// sum enters what was counted on the way.
func (c *capture) sum() {
	for class := range PageClass(len(classNames)) {
		if n := c.leftOut[class]; n > 0 {
			c.manifest.LeftOut = append(c.manifest.LeftOut, LeftOut{class, n})
		}
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
