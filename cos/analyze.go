package cos

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/nodelens/nodelens/cos/claim"
	"github.com/nodelens/nodelens/image"
	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/layouts"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/linux/consistency"
	"github.com/nodelens/nodelens/vmem"
)

// Options are the settings of AnalyzeNode and OpenNode. Symbols come from the first of the
// first three that is set; if none is, from the image itself: see [btfconv.FromMemory].
type Options struct {
	// Symbols describes the kernel of the image, exactly.
	Symbols *isf.File

	// SymbolFile names an ISF file, plain or compressed.
	SymbolFile string

	// SymbolSource finds the symbols, given the memory of the image.
	SymbolSource image.SymbolSource

	// Layouts are those of known kernels, for what the image has lost of its own symbols:
	// see [linux.Options]. Nil: those that the library carries.
	Layouts *layouts.Set

	// Format is [image.FormatRaw] for an image that is nothing but memory, without a
	// header, so that its content is not asked for a format. Empty: the format is found by
	// the content. Images of the caller's have none.
	Format string

	// Hash has the report name the SHA-256 of the image file, for which all of it is read.
	// Without, the report names what the manifest of a capture says, if one lies beside
	// the image.
	Hash bool

	// Arguments are those of the program, for the report's provenance. Nil: none are told.
	Arguments []string

	// IndexDir is where something is kept of compressed images, so that they are opened
	// faster the next time: see [image.Options]. Empty: nothing is kept.
	IndexDir string

	// TaskScan says when all of memory is searched for tasks that the kernel's lists lack.
	// By default that is where the lists or the kernel's counts contradict each other.
	TaskScan linux.TaskScan

	// Sections are the parts of the report that are to be made beyond processes and pods. The
	// zero value is none of them. What is not asked for costs nothing.
	Sections Sections

	// Vmlinux names the kernel's vmlinux, an ELF file with symbols, with which SectionHooks compares the kernel's
	// code: [NodeReport].Text. Empty: it is not compared.
	Vmlinux string

	// ModuleFiles names a directory that has the files of the kernel's modules somewhere below, such as
	// /lib/modules/RELEASE, to compare their code likewise. Empty: that is not compared.
	ModuleFiles string

	// Secrets shows what may be a secret and is else hidden: the values of environments, what in arguments, annotations, sysctls and the kernel's command
	// line sounds or looks like a secret, and what keys hold. Of what is hidden the name, the length and a digest are there: see [Secret].
	Secrets bool

	// SecretKey is the key of these digests, which compare in all reports of the same key: to compare nodes, draw 32 bytes at random, give them for each
	// node, and keep them as the secrets themselves. Nil: the key is of random numbers in the image.
	SecretKey []byte

	// Keep says where AnalyzeNode keeps what it read, so that another report of the same image needs not be read anew. Nil: nowhere.
	Keep *Keep

	// Limits bound the report, whatever memory holds. The zero value has safe defaults.
	Limits linux.Limits

	// Progress, if not nil, is called now and then with what is being done and how
	// much of how much is done, in units that depend on the stage. It must return
	// soon.
	Progress func(stage string, done, total int64)
}

// image returns the options of opening the image and its kernel.
func (o *Options) image() *image.Options {
	i := &image.Options{Format: o.Format, Symbols: o.SymbolSource, Layouts: o.Layouts, Progress: o.Progress, IndexDir: o.IndexDir, Limits: o.Limits, TaskScan: o.TaskScan}
	switch {
	case o.Symbols != nil:
		i.Symbols = givenSymbols{o.Symbols}
	case o.SymbolFile != "":
		i.Symbols = symbolFile(o.SymbolFile)
	}
	return i
}

// givenSymbols are symbols that the caller has.
type givenSymbols struct{ file *isf.File }

// Symbols implements [image.SymbolSource].
func (s givenSymbols) Symbols(context.Context, vmem.Memory) (*isf.File, string, error) {
	return s.file, "given", nil
}

// symbolFile is the name of an ISF file.
type symbolFile string

// Symbols implements [image.SymbolSource].
func (s symbolFile) Symbols(ctx context.Context, _ vmem.Memory) (*isf.File, string, error) {
	f, err := isf.OpenContext(ctx, string(s))
	return f, "ISF file " + filepath.Base(string(s)), err
}

// An Image is the memory of a node: a file, or what the caller has opened.
type Image struct {
	name string
	mem  vmem.Memory
}

// File is the image in the file of that name. Its format is found by its content: see
// [image.Open].
func File(name string) Image { return Image{name: name} }

// Memory is the image that m holds, such as an [image.File], which the caller closes. If m
// has the methods VMCoreInfo or Gaps, as a [kcore.File] does, what they say is used.
func Memory(m vmem.Memory) Image { return Image{mem: m} }

// AnalyzeNode reads the memory image of a node and reports what ran on it.
//
// It returns an error, and no report, only if there is nothing to say: the image can't
// be opened, the symbols can't be read or are of another kernel, no kernel is in the
// image, or ctx is done. Whatever else is damaged or missing stands in the report's
// Gaps.
func AnalyzeNode(ctx context.Context, image Image, opts *Options) (*NodeReport, error) {
	kept := keptOf(image, opts)
	if r := kept.load(); r != nil {
		return r, nil
	}
	n, err := OpenNode(ctx, image, opts)
	if err != nil {
		return nil, err
	}
	defer n.Close()
	p, err := n.read(ctx)
	if err != nil {
		return nil, err
	}
	kept.save(n, p)
	return p.report(n.frame()), nil
}

// imageGaps returns what the image itself is known to have lost.
func imageGaps(mem vmem.Memory) []vmem.Gap {
	m, ok := vmem.As[vmem.Lossy](mem)
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

// readNode reads the report out of a kernel, without sections.
func readNode(ctx context.Context, k *linux.Kernel, s secrecy) (*analysis, error) {
	info := k.Info()
	r := &NodeReport{Kernel: Kernel{
		Release: info.Release, Banner: info.Banner, PageTableLevels: info.PageTableLevels,
		KASLRShift: info.KASLRShift, PhysBase: info.PhysBase, Root: info.Root, FoundBy: info.FoundBy,
	}}
	var err error
	if r.Hostname, err = k.Hostname(); err != nil {
		r.Gaps = append(r.Gaps, vmem.NewGap("host name", vmem.Place{}, err))
	}
	if r.BootTime, err = k.BootTime(); err != nil {
		r.Gaps = append(r.Gaps, vmem.NewGap("boot time", vmem.Place{}, err))
	}
	r.Gaps = append(r.Gaps, k.Gaps()...)
	all, seal, gaps, err := processes(ctx, k, s)
	if err != nil {
		return nil, fmt.Errorf("cos: %w", err)
	}
	r.Gaps = append(r.Gaps, gaps...)
	r.Secrets, r.SecretKey = seal.secrecy(), seal.keyName()
	tasks := make([]*linux.Task, len(all))
	for i := range all {
		tasks[i] = all[i].task
	}
	var wg sync.WaitGroup
	defer wg.Wait() // before the image can be closed
	wg.Go(func() { r.Consistency = checkConsistency(ctx, k, tasks) })
	readContainers(ctx, all, k.Live())
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("cos: %w", err)
	}
	damaged := len(r.Gaps) > 0 || slices.ContainsFunc(all, func(f facts) bool { return len(f.gaps) > 0 })
	pods := attributePods(ctx, all, &claim.Node{Hostname: r.Hostname, Live: k.Live(), Memory: k.Physical()}, damaged)
	r.Pods, r.Notes = pods.pods, pods.notes
	wg.Wait()
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("cos: %w", err)
	}
	cutGaps(all, k.Limits().ReportBytes/4)
	for i := range all {
		r.Processes = append(r.Processes, all[i].Process)
		r.Gaps = append(r.Gaps, all[i].gaps...)
	}
	r.Gaps = append(r.Gaps, pods.gaps...)
	return &analysis{kernel: k, tasks: tasks, report: r, seal: seal}, nil
}

// checkConsistency says how far the memory agrees with itself: nil if ctx is done.
func checkConsistency(ctx context.Context, k *linux.Kernel, tasks []*linux.Task) *consistency.Report {
	r, err := consistency.Check(ctx, k, &consistency.Options{Tasks: tasks})
	if err != nil {
		return nil // as ctx is
	}
	return r
}

// symbolGaps returns what was damaged where the symbols are from. What their format is too
// old for is no damage.
func symbolGaps(symbols *isf.File) []vmem.Gap {
	var gaps []vmem.Gap
	for _, err := range symbols.Lost() {
		if vmem.ReasonOf(err) != "unsupported" {
			gaps = append(gaps, vmem.NewGap("symbols", vmem.Place{}, err))
		}
	}
	return gaps
}

// A frame is what a report has of the image and of how it was opened.
type frame struct {
	provenance Provenance
	clock      time.Time // of the kernel; zero where it can't be read
	from       string    // where symbols are from
	notes      []string
	gaps       []vmem.Gap
}

// frame returns what is known of the node's image: only when all else was read, for that may have met damage.
func (n *Node) frame() *frame {
	f := &frame{
		provenance: n.provenance, from: n.kernel.From, notes: slices.Concat(n.image.Info.Notes, n.notes, n.kernel.Notes),
		gaps: slices.Concat(imageGaps(n.image), symbolGaps(n.kernel.Symbols())),
	}
	if at, err := n.kernel.Clock(); err == nil {
		f.clock = at
	}
	return f
}

// complete adds to a report what is known of its image.
func (f *frame) complete(r *NodeReport) {
	r.Provenance = f.provenance
	if !f.clock.IsZero() && r.Provenance.Captured.IsZero() {
		r.Provenance.Captured, r.Provenance.CapturedFrom = f.clock, CapturedByClock
	}
	r.Kernel.Symbols = f.from
	r.Notes = slices.Concat(f.notes, r.Notes)
	r.Gaps = slices.Concat(f.gaps, r.Gaps)
}
