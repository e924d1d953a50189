package cos

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"sync"

	"github.com/nodelens/nodelens/dwarfconv"
	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/vmem"
)

// Options are the settings of AnalyzeNode. Symbols come from the first of the first
// three that is set; if none is, from the image itself: see [btfconv.FromMemory].
type Options struct {
	// Symbols describes the kernel of the image, exactly.
	Symbols *isf.File

	// SymbolFile names an ISF file, plain or compressed.
	SymbolFile string

	// VMLinux names the kernel's vmlinux with DWARF, in any of the forms that
	// [dwarfconv.ConvertFile] reads.
	VMLinux string

	// Format is FormatRaw for an image that is nothing but memory, without a header, so
	// that its content is not asked for a format. Where the kernel in it does not tell
	// which memory it has, it is taken to begin at physical address 0. Empty: the format
	// is found by the content. Images of the caller's have none.
	Format string

	// Progress, if not nil, is called now and then with what is being done and how
	// much of how much is done, in units that depend on the stage. It must return
	// soon.
	Progress func(stage string, done, total int64)
}

// An Image is the memory of a node: a file, or what the caller has opened.
type Image struct {
	name string
	mem  vmem.Memory
}

// File is the image in the file of that name. Its format is found by its content: see
// [Open].
func File(name string) Image { return Image{name: name} }

// Memory is the image that m holds. If m has the methods VMCoreInfo or Gaps, as a
// [kcore.File] does, what they say is used.
func Memory(m vmem.Memory) Image { return Image{mem: m} }

// open opens the image. Symbols are asked for only where it takes the kernel to do so.
func (i Image) open(ctx context.Context, opts *Options, symbols func() (namedSymbols, error)) (*ImageFile, error) {
	if i.mem != nil {
		return &ImageFile{Memory: i.mem, closer: io.NopCloser(nil)}, nil
	}
	how := opening{format: opts.Format, kernel: func() (*linux.Options, error) {
		s, err := symbols()
		return &linux.Options{Symbols: s.file, Progress: opts.Progress}, err
	}}
	if opts.Progress != nil {
		how.unpacking = func(done, total int64) { opts.Progress("unpacking the image", done, total) }
	}
	return how.open(ctx, i.name)
}

// AnalyzeNode reports what ran on the node whose memory image is.
//
// It returns an error, and no report, only if there is nothing to say: the image can't
// be opened, the symbols can't be read or are of another kernel, no kernel is in the
// image, or ctx is done. Whatever else is damaged or missing stands in the report's
// Gaps.
func AnalyzeNode(ctx context.Context, image Image, opts *Options) (*NodeReport, error) {
	if opts == nil {
		opts = new(Options)
	}
	load := sync.OnceValues(func() (namedSymbols, error) { return opts.symbols(ctx) })
	file, err := image.open(ctx, opts, load)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	symbols, err := load()
	if err != nil {
		return nil, err
	}
	if symbols.file == nil {
		symbols = file.symbols
	}
	k, own, notes, err := openKernel(ctx, file.Memory, &linux.Options{Symbols: symbols.file, Progress: opts.Progress})
	if err != nil {
		return nil, fmt.Errorf("cos: %w%s", err, notWhole(file.Memory))
	}
	r, err := report(ctx, k)
	if err != nil {
		return nil, err
	}
	r.Kernel.Symbols = cmp.Or(symbols.from, own)
	r.Notes = slices.Concat(file.Notes, notes, r.Notes)
	r.Gaps = append(imageGaps(file.Memory), r.Gaps...) // only now: reading may have met damage
	return r, nil
}

// imageGaps returns what the image itself is known to have lost.
func imageGaps(mem vmem.Memory) []vmem.Gap {
	m, ok := mem.(interface{ Gaps() []vmem.Gap })
	if !ok {
		return nil
	}
	return m.Gaps()
}

// notWhole says that the image has lost something, where it has: that may be why there is
// no kernel in it.
func notWhole(mem vmem.Memory) string {
	gaps := imageGaps(mem)
	if len(gaps) == 0 {
		return ""
	}
	return fmt.Sprintf(" (the image is not whole: %d gaps, the last: %v)", len(gaps), gaps[len(gaps)-1])
}

// namedSymbols are symbols and where they are from; nil if the image is to give its own.
type namedSymbols struct {
	file *isf.File
	from string
}

// symbols reads the symbols that the options name.
func (o *Options) symbols(ctx context.Context) (s namedSymbols, err error) {
	switch {
	case o.Symbols != nil:
		return namedSymbols{o.Symbols, "given"}, nil
	case o.SymbolFile != "":
		s.from = "ISF file " + filepath.Base(o.SymbolFile)
		s.file, err = isf.Open(o.SymbolFile)
	case o.VMLinux != "":
		s.from = "vmlinux " + filepath.Base(o.VMLinux)
		s.file, err = dwarfconv.ConvertFile(ctx, o.VMLinux, &dwarfconv.Options{Progress: o.Progress})
	}
	if err != nil {
		return namedSymbols{}, fmt.Errorf("cos: symbols: %w", err)
	}
	return s, nil
}

// report reads the report out of a kernel.
func report(ctx context.Context, k *linux.Kernel) (*NodeReport, error) {
	info := k.Info()
	r := &NodeReport{Kernel: Kernel{
		Release: info.Release, Banner: info.Banner, PageTableLevels: info.PageTableLevels,
		KASLRShift: info.KASLRShift, PhysBase: info.PhysBase,
	}}
	var err error
	if r.Hostname, err = k.Hostname(); err != nil {
		r.Gaps = append(r.Gaps, vmem.NewGap("host name", vmem.Place{}, err))
	}
	if r.BootTime, err = k.BootTime(); err != nil {
		r.Gaps = append(r.Gaps, vmem.NewGap("boot time", vmem.Place{}, err))
	}
	all, gaps, err := processes(ctx, k)
	if err != nil {
		return nil, fmt.Errorf("cos: %w", err)
	}
	r.Gaps = append(r.Gaps, gaps...)
	readAttribution(all, k.Live())
	pods := attributePods(all, r.Hostname)
	r.Pods, r.Notes = pods.pods, pods.notes
	for i := range all {
		r.Processes = append(r.Processes, all[i].Process)
		r.Gaps = append(r.Gaps, all[i].gaps...)
	}
	r.Gaps = append(r.Gaps, pods.gaps...)
	return r, nil
}
