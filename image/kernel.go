package image

import (
	"context"
	"fmt"

	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/memmap"
	"github.com/nodelens/nodelens/vmem"
)

// A Kernel is the kernel of an image.
type Kernel struct {
	*linux.Kernel

	From  string   // where its symbols are from
	Notes []string // what the image leaves out
}

// OpenKernel opens the kernel of an image: of a [File], or of other memory. What the image
// leaves out because it holds only zeros is added to the memory, as far as the kernel's
// map of RAM makes that certain.
//
// Of a File whose memory had to be placed by its kernel, the symbols that did it are used
// again. Errors are those of opts.Symbols and of [linux.Open]; where there is no kernel and
// the image is cut off, an *Error that wraps ErrTruncated, too.
func OpenKernel(ctx context.Context, mem vmem.Memory, opts *Options) (*Kernel, error) {
	if opts == nil {
		opts = new(Options)
	}
	if f, ok := vmem.As[*File](mem); ok && f.Info.Compression != "" && f.symbols.file == nil {
		if err := findSignIn(ctx, mem, f.Info.Size); err != nil {
			return nil, fmt.Errorf("image: %w", explainKernel(mem, err))
		}
	}
	s, err := opts.symbolsOf(ctx, mem)
	if err != nil {
		return nil, fmt.Errorf("image: symbols: %w", explainKernel(mem, err))
	}
	settings := linux.Options{Symbols: s.file, Layouts: opts.Layouts, Limits: opts.Limits, Progress: opts.Progress, TaskScan: opts.TaskScan}
	if f, ok := vmem.As[*File](mem); ok && f.traffic != nil && settings.TaskScan == linux.ScanIfNeeded {
		settings.TaskScan = linux.ScanNever
	}
	k, err := linux.Open(ctx, mem, &settings)
	if err != nil {
		return nil, fmt.Errorf("image: %w", explainKernel(mem, err))
	}
	kernel := &Kernel{Kernel: k, From: joinSources(s.from, k.Info().Symbols)}
	kernel.noteExcluded(mem)
	settings.Symbols = k.Symbols()
	if err := kernel.addZeros(ctx, mem, &settings); err != nil {
		return nil, fmt.Errorf("image: %w", err)
	}
	return kernel, nil
}

// joinSources says where symbols are from that were found, and what completed them.
func joinSources(found, completed string) string {
	if found == "" || completed == "" {
		return found + completed
	}
	return found + "; " + completed
}

// symbolsOf returns the symbols of the kernel in mem; nil if the image is to give them.
func (o *Options) symbolsOf(ctx context.Context, mem vmem.Memory) (found, error) {
	if f, ok := vmem.As[*File](mem); ok && f.symbols.file != nil {
		return f.symbols, nil
	}
	return o.ask(ctx, mem)
}

// noteExcluded notes what an image leaves out that may have been anything.
func (k *Kernel) noteExcluded(mem vmem.Memory) {
	m, ok := vmem.As[vmem.Excluding](mem)
	if !ok {
		return
	}
	if left := m.Excluded(); len(left) > 0 {
		k.notef("the image leaves out %d bytes of memory on purpose, in %d places: what of it was zeros is not known", total(left), len(left))
	}
}

// addZeros adds the zeros that an image leaves out to the memory of the kernel.
func (k *Kernel) addZeros(ctx context.Context, mem vmem.Memory, opts *linux.Options) error {
	m, ok := vmem.As[vmem.Eliding](mem)
	if !ok {
		return nil
	}
	var resources []memmap.Resource
	for r, err := range k.IOMem(ctx) {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			k.notef("zeros that the image may leave out are not known: %v", err)
			return nil
		}
		resources = append(resources, r)
	}
	zeros := m.Elided(topRAM(resources))
	if len(zeros) == 0 {
		return nil
	}
	k.notef("the image leaves out %d bytes of RAM in %d places, which AVML does where all is zeros: they are read as zeros", total(zeros), len(zeros))
	var err error
	k.Kernel, err = linux.Open(ctx, vmem.WithZeros(mem, zeros), opts)
	return err
}

func (k *Kernel) notef(format string, args ...any) {
	k.Notes = append(k.Notes, fmt.Sprintf(format, args...))
}

func total(ranges []vmem.Range[vmem.PhysAddr]) uint64 {
	sum := uint64(0)
	for _, r := range ranges {
		sum += r.Size
	}
	return sum
}
