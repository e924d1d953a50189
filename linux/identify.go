package linux

import (
	"bytes"
	"context"
	"slices"
	"strings"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/layouts"
	"github.com/nodelens/nodelens/vmcoreinfo"
	"github.com/nodelens/nodelens/vmem"
)

// A layoutCandidate is a known layout that may be of the kernel in an image.
type layoutCandidate struct {
	*layouts.Layout
	file  *isf.File
	exact bool // it is of the same build, as the image says
}

// describe names the layout, and says what it is to the kernel.
func (c *layoutCandidate) describe() string {
	if c.exact {
		return c.String() + ", which is the same build"
	}
	return c.String() + ", which is another build"
}

// An identity is what an image says of which kernel it is, and the layouts that may be of
// that, the likeliest first.
type identity struct {
	release  string
	buildIDs []string
	banners  []string
	layouts  []layoutCandidate
}

// maxForeign is how many layouts of other builds are tried.
const maxForeign = 3

// identify finds out which kernel an image is of, as far as that leads to known layouts.
// own, which may be nil, are its symbols as far as they are known. All of memory is read
// only where neither these nor VMCOREINFO lead to one. The error is that of ctx.
func identify(ctx context.Context, mem vmem.Memory, own *isf.File, known *layouts.Set) (*identity, error) {
	id := new(identity)
	if own != nil {
		id.addBanner(own.Banner())
	}
	if err := id.readNotes(ctx, mem); err != nil {
		return nil, err
	}
	id.find(known)
	if len(id.layouts) == 0 || !id.layouts[0].exact {
		if err := id.scan(ctx, mem); err != nil {
			return nil, err
		}
		id.find(known)
	}
	return id, nil
}

// addBanner remembers a banner, without its newline.
func (id *identity) addBanner(banner string) {
	banner = strings.TrimRight(banner, "\n")
	if banner == "" || slices.Contains(id.banners, banner) || len(id.banners) >= maxTried {
		return
	}
	id.banners = append(id.banners, banner)
	if id.release == "" {
		id.release = release(banner)
	}
}

// readNotes reads VMCOREINFO: that of the image, and each in memory. What says of the kernel
// that runs where it is comes before copies that need not be of it; here all are hints.
func (id *identity) readNotes(ctx context.Context, mem vmem.Memory) error {
	add := func(v *vmcoreinfo.Info) {
		if b := v.BuildID(); b != "" && !slices.Contains(id.buildIDs, b) && len(id.buildIDs) < maxTried {
			id.buildIDs = append(id.buildIDs, b)
		}
		if id.release == "" {
			id.release = v.Release()
		}
	}
	if m, ok := vmem.As[vmcoreinfo.Holder](mem); ok {
		if v, err := m.VMCoreInfo(); err == nil {
			add(v)
		}
	}
	for v, err := range vmcoreinfo.Find(ctx, mem) {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err == nil {
			add(v.Info)
		}
	}
	return nil
}

// find sets the layouts that may be of the kernel.
func (id *identity) find(known *layouts.Set) {
	id.layouts = nil
	for _, b := range id.buildIDs {
		for _, l := range known.ByBuildID(b) {
			id.add(l, true)
		}
	}
	for _, banner := range id.banners {
		for _, l := range known.ByRelease(release(banner)) {
			if f, err := l.File(); err == nil && strings.TrimRight(f.Banner(), "\n") == banner {
				id.add(l, true)
			}
		}
	}
	foreign := known.ByRelease(id.release)
	for _, l := range foreign[:min(len(foreign), maxForeign)] {
		id.add(l, false)
	}
}

// add adds a layout, once. One that can't be read is none.
func (id *identity) add(l *layouts.Layout, exact bool) {
	if slices.ContainsFunc(id.layouts, func(c layoutCandidate) bool { return c.Layout == l }) {
		return
	}
	if f, err := l.File(); err == nil {
		id.layouts = append(id.layouts, layoutCandidate{l, f, exact})
	}
}

// scan reads all memory for banners: the kernel's own, and those that it logged.
func (id *identity) scan(ctx context.Context, mem vmem.Memory) error {
	f := finder{mem: mem}
	start := []byte("Linux version ")
	buf := make([]byte, 512)
	return f.scan(ctx, start, func(at vmem.PhysAddr) bool {
		n, _ := mem.ReadAt(buf, int64(at))
		line := buf[:n]
		if end := bytes.IndexAny(line, "\n\x00"); end > len(start) && bytes.Contains(line[:end], []byte(" #")) {
			id.addBanner(string(line[:end]))
		}
		return true
	})
}
