package cos

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"path/filepath"

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

// open returns the memory of the image and what releases it.
func (i Image) open() (vmem.Memory, io.Closer, error) {
	if i.mem != nil {
		return i.mem, io.NopCloser(nil), nil
	}
	f, err := Open(i.name)
	if err != nil {
		return nil, nil, err
	}
	return f.Memory, f, nil
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
	mem, closer, err := image.open()
	if err != nil {
		return nil, err
	}
	defer closer.Close()
	symbols, from, err := opts.symbols(ctx)
	if err != nil {
		return nil, err
	}
	k, err := linux.Open(ctx, mem, &linux.Options{Symbols: symbols, Progress: opts.Progress})
	if err != nil {
		return nil, fmt.Errorf("cos: %w", err)
	}
	r, err := report(ctx, k)
	if err != nil {
		return nil, err
	}
	r.Kernel.Symbols = cmp.Or(from, k.Info().Symbols)
	r.Gaps = append(imageGaps(mem), r.Gaps...) // only now: reading may have met damage
	return r, nil
}

// imageGaps returns what the image itself is known to have lost.
func imageGaps(mem vmem.Memory) []linux.Gap {
	m, ok := mem.(interface{ Gaps() []vmem.Gap })
	if !ok {
		return nil
	}
	var gaps []linux.Gap
	for _, g := range m.Gaps() {
		gaps = append(gaps, linux.Gap{Object: "image", Addr: vmem.VirtAddr(g.Range.Start), Err: &g})
	}
	return gaps
}

// symbols reads the symbols that the options name, and says which those are. They are
// nil if the image is to give its own.
func (o *Options) symbols(ctx context.Context) (f *isf.File, from string, err error) {
	switch {
	case o.Symbols != nil:
		return o.Symbols, "given", nil
	case o.SymbolFile != "":
		from = "ISF file " + filepath.Base(o.SymbolFile)
		f, err = isf.Open(o.SymbolFile)
	case o.VMLinux != "":
		from = "vmlinux " + filepath.Base(o.VMLinux)
		f, err = dwarfconv.ConvertFile(ctx, o.VMLinux, &dwarfconv.Options{Progress: o.Progress})
	}
	if err != nil {
		return nil, "", fmt.Errorf("cos: symbols: %w", err)
	}
	return f, from, nil
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
		r.Gaps = append(r.Gaps, asGap("host name", err))
	}
	if r.BootTime, err = k.BootTime(); err != nil {
		r.Gaps = append(r.Gaps, asGap("boot time", err))
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
