package cos

import (
	"context"
	"fmt"

	"github.com/nodelens/nodelens/internal/source"
	"github.com/nodelens/nodelens/kcore"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/raw"
	"github.com/nodelens/nodelens/vmem"
)

// FormatRaw is the format of memory without headers, for Options.
const FormatRaw = "raw"

// openRaw opens a file that has no header. It is an image only if there is a kernel in
// it, which says where its memory belongs; unless it is one by the word of the caller.
func openRaw(ctx context.Context, s *source.Source, options func() (*linux.Options, error), byWord bool) (*ImageFile, error) {
	file, err := raw.NewFile(s, unknown, nil)
	if err != nil {
		return nil, err
	}
	opts, err := options()
	image := &ImageFile{Memory: file, Format: "raw memory"}
	layout := "from address 0, for no kernel tells more"
	var placed string
	if err == nil {
		placed, err = image.arrange(ctx, file, opts)
	}
	switch {
	case err == nil:
		layout = placed
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case !byWord:
		return nil, fmt.Errorf("%w, and no kernel tells what memory it is: %w", ErrImageFormat, err)
	}
	image.Notes = []string{"the image says no addresses; it is read as memory " + layout}
	return image, nil
}

// arrange finds out which memory a raw file has where, and returns what to put behind
// "memory" for that.
func (f *ImageFile) arrange(ctx context.Context, file *raw.File, opts *linux.Options) (string, error) {
	p, err := linux.Place(ctx, file, opts)
	if err != nil {
		return "", err
	}
	m := raw.Machine{RAM: kcore.SystemRAM(p.RAM)}
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
	mem, err := file.Arrange(&raw.Options{Regions: layout.Regions, RAM: m.RAM})
	if err != nil {
		return "", err
	}
	if f.Memory = mem; len(layout.Regions) == 1 && layout.Regions[0].Range.Start == 0 {
		f.symbols = namedSymbols{p.Symbols, p.From} // they were found by the right addresses
	}
	return layout.Name + ", by its size and the kernel's " + p.Map, nil
}

// topRAM returns the ranges of RAM that lie in no other resource: what tools find that
// read only the lines of /proc/iomem that are not indented.
func topRAM(resources []kcore.Resource) []vmem.Range[vmem.PhysAddr] {
	var top []vmem.Range[vmem.PhysAddr]
	for _, r := range resources {
		if r.Depth == 0 && r.Name == "System RAM" {
			top = append(top, r.Range)
		}
	}
	return top
}

// eliding is an image format that leaves out zeros, such as AVML.
type eliding interface {
	Elided(ram []vmem.Range[vmem.PhysAddr]) []vmem.Range[vmem.PhysAddr]
}

// excluding is an image format that says what it leaves out, such as ELF cores.
type excluding interface {
	Excluded() []vmem.Range[vmem.PhysAddr]
}

// openKernel opens the kernel of an image, and adds to the memory what the image leaves
// out because it holds only zeros, as far as the kernel's map of RAM makes that certain.
// from says where the kernel's symbols are from, if they were not given, and the notes
// what was left out.
func openKernel(ctx context.Context, mem vmem.Memory, opts *linux.Options) (k *linux.Kernel, from string, notes []string, err error) {
	if k, err = linux.Open(ctx, mem, opts); err != nil {
		return nil, "", nil, err
	}
	from = k.Info().Symbols
	if m, ok := mem.(excluding); ok {
		if left := m.Excluded(); len(left) > 0 {
			notes = append(notes, fmt.Sprintf("the image leaves out %d bytes of memory on purpose, in %d places: what of it was zeros is not known", total(left), len(left)))
		}
	}
	m, ok := mem.(eliding)
	if !ok {
		return k, from, notes, nil
	}
	var resources []kcore.Resource
	for r, err := range k.IOMem() {
		if err != nil {
			return k, from, append(notes, fmt.Sprintf("zeros that the image may leave out are not known: %v", err)), nil
		}
		resources = append(resources, r)
	}
	zeros := m.Elided(topRAM(resources))
	if len(zeros) == 0 {
		return k, from, notes, nil
	}
	notes = append(notes, fmt.Sprintf("the image leaves out %d bytes of RAM in %d places, which AVML does where all is zeros: they are read as zeros", total(zeros), len(zeros)))
	k, err = linux.Open(ctx, vmem.WithZeros(mem, zeros), &linux.Options{Symbols: k.Symbols()})
	return k, from, notes, err
}

func total(ranges []vmem.Range[vmem.PhysAddr]) uint64 {
	sum := uint64(0)
	for _, r := range ranges {
		sum += r.Size
	}
	return sum
}
