package linux

import (
	"context"
	"testing"

	"github.com/nodelens/nodelens/internal/smeartest"
	"github.com/nodelens/nodelens/vmem"
)

// fuzzPages overwrites words of the pages that a walk over the bundled node reads: with
// anything, with the addresses of other such pages, with those of neighbours. The walk must
// end soon, and take no more than so much memory.
func fuzzPages(f *testing.F, walk func(ctx context.Context, k *Kernel)) {
	n := openBundled(f)
	r := smeartest.NewRecorder(n.mem)
	walk(context.Background(), n.over(f, r))
	pages := r.Pages()
	direct := uint64(n.k.initPIDNS) // of the kernel's image, where there is no direct map
	for p, err := range n.k.Processes(context.Background()) {
		if err == nil {
			direct = uint64(p.Addr) - uint64(n.phys(f, p.Addr))
			break
		}
	}
	smeartest.AddEdits(f)
	f.Fuzz(func(t *testing.T, edits []byte) {
		m := smeartest.New(n.mem)
		m.Edit(edits, pages, direct)
		if k := n.tryOver(m); k != nil {
			smeartest.Bounded(t, func(ctx context.Context) { walk(ctx, k) })
		}
	})
}

// tryOver returns the kernel of the node over damaged memory, nil where it can't be opened.
func (n *node) tryOver(m vmem.Memory) *Kernel {
	phys := vmem.NewPhysical(m)
	space, err := newSpace(phys, n.k.info.Root, n.k.info.PageTableLevels, n.k.mask)
	if err != nil {
		return nil
	}
	k := newKernel(phys, space, n.symbols, n.k.info.KASLRShift)
	k.views, k.mask, k.swap, k.info = n.k.views, n.k.mask, n.k.swap, n.k.info
	if k.anchor() != nil {
		return nil
	}
	return k
}

// eachProcess calls do for every process.
func eachProcess(ctx context.Context, k *Kernel, do func(*Task)) {
	for t, err := range k.Processes(ctx) {
		if err == nil {
			do(t)
		}
	}
}

func FuzzWalkTasks(f *testing.F) {
	fuzzPages(f, func(ctx context.Context, k *Kernel) {
		eachProcess(ctx, k, func(t *Task) {
			collect(t.Threads(ctx))
			_, _ = t.NamespacedPIDs()
			_, _ = t.Cred()
		})
	})
}

func FuzzWalkMM(f *testing.F) {
	fuzzPages(f, func(ctx context.Context, k *Kernel) {
		eachProcess(ctx, k, func(t *Task) {
			mm, err := t.MM()
			if err != nil {
				return
			}
			collect(mm.Args(ctx))
			collect(mm.Env(ctx))
			collect(mm.VMAs(ctx))
			_, _ = t.Exe()
		})
	})
}

func FuzzWalkFiles(f *testing.F) {
	fuzzPages(f, func(ctx context.Context, k *Kernel) {
		eachProcess(ctx, k, func(t *Task) {
			collect(t.Files(ctx))
			_, _ = t.Cwd()
			if t.PID%16 == 1 { // of some: most have the same
				collect(t.Mounts(ctx))
			}
		})
	})
}

func FuzzWalkCgroups(f *testing.F) {
	fuzzPages(f, func(ctx context.Context, k *Kernel) {
		eachProcess(ctx, k, func(t *Task) {
			collect(t.CgroupPaths(ctx))
			_, _ = t.Namespaces()
			_, _ = t.UTSName()
		})
	})
}

func FuzzWalkResources(f *testing.F) {
	fuzzPages(f, func(ctx context.Context, k *Kernel) { collect(k.IOMem(ctx)) })
}
