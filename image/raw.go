package image

import (
	"context"
	"fmt"

	"github.com/nodelens/nodelens/internal/source"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/memmap"
	"github.com/nodelens/nodelens/raw"
	"github.com/nodelens/nodelens/vmem"
)

// openRaw opens a file that has no header. It is an image only if there is a kernel in
// it, which says where its memory belongs; unless it is one by the word of the caller.
func (o *Options) openRaw(ctx context.Context, s *source.Source, byWord bool) (*File, error) {
	file, err := raw.NewFile(s, unknown, nil)
	if err != nil {
		return nil, err
	}
	image := &File{Memory: file, Info: Info{Format: "raw memory"}}
	layout := "from address 0, for no kernel tells more"
	var placed string
	if err = findSignIn(ctx, file, s.Stored()); err == nil {
		placed, err = image.place(ctx, file, o)
	}
	switch {
	case err == nil:
		layout = placed
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case !byWord:
		return nil, fmt.Errorf("%w, and no kernel tells what memory it is: %w", ErrFormat, err)
	}
	image.Info.Notes = []string{"the image says no addresses; it is read as memory " + layout}
	return image, nil
}

// place asks for the symbols of the kernel in a raw file, and finds out with them which memory
// it has where.
func (f *File) place(ctx context.Context, file *raw.File, o *Options) (placed string, err error) {
	if f.symbols, err = o.ask(ctx, file); err != nil {
		return "", &symbolsError{err}
	}
	return f.arrange(ctx, file, o)
}

// A symbolsError is an error of the symbols that were to place a raw image, and not of the
// image.
type symbolsError struct{ err error }

func (e *symbolsError) Error() string { return e.err.Error() }
func (e *symbolsError) Unwrap() error { return e.err }

// arrange finds out which memory a raw file has where, and returns what to put behind
// "memory" for that.
func (f *File) arrange(ctx context.Context, file *raw.File, o *Options) (string, error) {
	p, err := linux.Place(ctx, file, &linux.Options{Symbols: f.symbols.file, Layouts: o.Layouts, Progress: o.Progress})
	if err != nil {
		return "", err
	}
	m := raw.Machine{RAM: memmap.SystemRAM(p.RAM)}
	if top := topRAM(p.RAM); len(top) < len(p.RAM) {
		m.Top = vmem.NormalizeRanges(top)
	}
	for _, k := range p.Places {
		m.Known = append(m.Known, raw.Place(k))
	}
	layout, err := raw.FindLayout(file.Size(), m)
	if err != nil {
		return "", err
	}
	mem, err := file.Arrange(ctx, &raw.Options{Regions: layout.Regions, RAM: m.RAM})
	if err != nil {
		return "", err
	}
	f.Memory = mem
	f.symbols = found{p.Symbols, joinSources(f.symbols.from, p.From)}
	return layout.Name + ", by its size and the kernel's " + p.Map, nil
}

// topRAM returns the ranges of RAM that lie in no other resource: what tools find that
// read only the lines of /proc/iomem that are not indented.
func topRAM(resources []memmap.Resource) []vmem.Range[vmem.PhysAddr] {
	var top []vmem.Range[vmem.PhysAddr]
	for _, r := range resources {
		if r.Depth == 0 && r.Name == "System RAM" {
			top = append(top, r.Range)
		}
	}
	return top
}
