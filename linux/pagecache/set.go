package pagecache

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/linux/module"
	"github.com/nodelens/nodelens/vmem"
	"github.com/nodelens/nodelens/vmem/x86"
)

// ErrNotCached says that a part of a file is not in memory.
var ErrNotCached = vmem.NewReason("not-cached", "not in the page cache")

// Options are the settings of Open.
type Options struct {
	// Tasks are those whose mounts and files are read. Nil: all processes.
	Tasks []*linux.Task
	// Modules give the types of file systems that are modules. Nil: they are read.
	Modules *module.Set
}

// A Set is the file systems of a running kernel. It is safe for concurrent use; of a running machine it is as
// old as its opening.
type Set struct {
	k       *linux.Kernel
	mem     *vmem.AddressSpace
	v       *views
	pages   *linux.Pages
	opts    Options
	overlay *overlayViews
	lost    losses

	superMu sync.RWMutex // guards supers and superAt: a mount can lead to one that the kernel's list lacks
	supers  []*Super
	superAt map[vmem.VirtAddr]*Super

	mu    sync.Mutex                  // guards all below
	trees map[uint32]*tree            // of mount namespaces by number
	known map[vmem.VirtAddr]*children // of directories, by dentry
	count int                         // of names in them
}

// Open finds the file systems of a kernel. What was lost of them is among [Set.Gaps]. The error is
// the context's own, or that the kernel's types lack what all files need, which wraps [kstruct.ErrUnsupported].
func Open(ctx context.Context, k *linux.Kernel, opts *Options) (*Set, error) {
	s := &Set{k: k, mem: k.Space(), v: bindViews(k.Symbols()), superAt: map[vmem.VirtAddr]*Super{},
		trees: map[uint32]*tree{}, known: map[vmem.VirtAddr]*children{}}
	if opts != nil {
		s.opts = *opts
	}
	if s.v.err != nil {
		return nil, fmt.Errorf("pagecache: %w", s.v.err)
	}
	var err error
	if s.pages, err = k.Pages(); err != nil {
		s.lose("page cache", 0, err)
	}
	if s.opts.Tasks == nil {
		for t, err := range k.Processes(ctx) {
			if err == nil {
				s.opts.Tasks = append(s.opts.Tasks, t)
			}
		}
	}
	if s.opts.Modules == nil {
		if s.opts.Modules, err = module.Open(ctx, k, nil); err != nil {
			return nil, err
		}
	}
	s.findSupers(ctx)
	s.overlay = s.bindOverlay()
	return s, ctx.Err()
}

// Gaps returns what was lost when the file systems were found.
func (s *Set) Gaps() []vmem.Gap { return s.lost.gaps() }

func (s *Set) lose(object string, addr vmem.VirtAddr, err error) { s.lost.add(object, addr, err) }

// gap makes a Gap of err, at an address of the kernel unless err says where, and leaves
// alone what already is one.
func gap(object string, addr vmem.VirtAddr, err error) vmem.Gap {
	return vmem.NewGap(object, vmem.KernelPlace(addr), err)
}

// plausible reports whether a can be the address of a kernel object.
func plausible(a vmem.VirtAddr) bool { return x86.IsObject(a) }

// corrupt describes what contradicts itself.
func corrupt(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{kstruct.ErrCorrupt}, args...)...)
}

// ended reports whether an error ends a walk: the context's own.
func ended(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}
