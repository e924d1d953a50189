package linux

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmcoreinfo"
	"github.com/nodelens/nodelens/vmem"
	"github.com/nodelens/nodelens/vmem/x86"
)

const (
	startKernelMap = x86.StartKernelMap
	kernelAlign    = x86.KernelAlign
)

// A location is where a kernel is thought to be.
type location struct {
	shift    uint64 // KASLR, virtual
	physBase int64
	root     vmem.PhysAddr
	levels   int
	mask     uint64
	foundBy  string
	notes    *vmcoreinfo.Info // that it is from; nil if none

	// What verify sets.
	verdict
	banner string             // "" if it is lost
	tables *vmem.AddressSpace // what its page tables define
	image  vmem.LinearMap
	space  *vmem.AddressSpace // tables, and the image by arithmetic
}

// how says by what the kernel was found, and by what else if something is lost of that.
func (l *location) how() string {
	if l.whole {
		return l.foundBy
	}
	return l.foundBy + ", borne out by " + strings.Join(l.holds, ", ")
}

func (l *location) info() Info {
	return Info{
		Release: release(l.banner), Banner: strings.TrimRight(l.banner, "\n"), PageTableLevels: l.levels,
		KASLRShift: l.shift, PhysBase: l.physBase, Root: l.root, FoundBy: l.how(),
	}
}

// completeBanner takes the banner of the symbols for one that is lost.
func (l *location) completeBanner(symbols *isf.File) {
	if l.banner == "" {
		l.banner = symbols.Banner()
	}
	if l.banner == "" && l.notes != nil {
		l.banner = bannerStart + l.notes.Release() + " (the rest is lost)"
	}
}

// phys returns the physical address of a kernel image address.
func (l *location) phys(virt uint64) vmem.PhysAddr {
	return vmem.PhysAddr(virt - startKernelMap + uint64(l.physBase))
}

// A finder looks for the kernel that its symbols describe.
type finder struct {
	mem      vmem.Memory
	phys     *vmem.Physical
	symbols  *isf.File
	views    *views
	progress func(string, int64, int64)
	tried    []error
}

// idleViews read init_task, by which a kernel is told to be there. They are all that a
// kernel needs to be found.
type idleViews struct {
	task *kstruct.View[idleTask]
	err  error

	leader    *kstruct.Field[vmem.VirtAddr] // needed where addresses are not known
	leaderErr error

	// What is good to have, as far as the types have it: see bindWitnesses.
	tasks, children kstruct.Member // lists that it is on
	release         *kstruct.View[idleRelease]
	user, pgd       *kstruct.Field[vmem.VirtAddr] // of pid_namespace, mm_struct
}

// An idleTask is init_task, a task_struct.
type idleTask struct {
	Comm [commMax]byte `kernel:"comm"`
}

func bindIdle(types *isf.File) (v idleViews) {
	b := kstruct.NewBinder(types)
	v.task = kstruct.Bind[idleTask](b, "task_struct")
	v.err = b.Err()
	b = kstruct.NewBinder(types)
	v.leader = kstruct.BindField[vmem.VirtAddr](b, "task_struct", "group_leader")
	v.leaderErr = b.Err()
	v.bindWitnesses(types)
	return v
}

func newFinder(mem vmem.Memory, symbols *isf.File, progress func(string, int64, int64)) (*finder, error) {
	if _, err := symbols.UserType("task_struct"); err != nil { // all that is missing would be a long list
		return nil, fmt.Errorf("%w: %w", kstruct.ErrUnsupported, errNoTypes)
	}
	v := newViews(symbols)
	return &finder{mem: mem, phys: vmem.NewPhysical(mem), symbols: symbols, views: v, progress: progress}, v.idle.err
}

// A located is a location that was tried, or why there is none at a place.
type located struct {
	*location
	err error
}

// find returns the first location that is whole or has many witnesses; if there is none, the
// one with the most, if they are enough.
func (f *finder) find(ctx context.Context) (*location, error) {
	var best *location
	for _, candidates := range []iter.Seq[located]{f.byVMCoreInfo(ctx), f.byImage(ctx)} {
		var tried trials
		for c := range candidates {
			switch {
			case c.err != nil:
				tried.add(c.err)
			case c.whole || c.many():
				return c.location, nil
			case best == nil || len(c.holds) > len(best.holds):
				best = c.location
			}
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		f.tried = append(f.tried, tried...)
	}
	if best != nil {
		return best, nil
	}
	return nil, fmt.Errorf("%w for the symbols of %q: %w", ErrNoKernel, release(f.symbols.Banner()), errors.Join(f.tried...))
}

// byVMCoreInfo tries the VMCOREINFO of the image's notes, then each that is found in
// memory: the kernel keeps its own in a page (kernel/vmcore_info.c), and files and
// earlier kernels leave copies.
func (f *finder) byVMCoreInfo(ctx context.Context) iter.Seq[located] {
	return func(yield func(located) bool) {
		none := true
		try := func(v *vmcoreinfo.Info, err error, by string) bool {
			none = false
			var l *location
			if err == nil {
				l, err = f.fromVMCoreInfo(v, by)
			}
			if err != nil {
				err = fmt.Errorf("%s: %w", by, err)
			}
			return yield(located{l, err})
		}
		if m, ok := vmem.As[vmcoreinfo.Holder](f.mem); ok {
			v, err := m.VMCoreInfo()
			if !try(v, err, "VMCOREINFO note") {
				return
			}
		}
		for v, err := range vmcoreinfo.Find(ctx, f.mem) {
			if err != nil {
				none = none && ctx.Err() == nil
				if !yield(located{nil, err}) {
					return
				}
				continue
			}
			if !try(v.Info, nil, fmt.Sprintf("VMCOREINFO at %v", v.Addr)) {
				return
			}
		}
		if none {
			yield(located{nil, errors.New("no VMCOREINFO in memory")})
		}
	}
}

// maxTried is how many of the places are told that were tried in vain: memory may be full of
// what looks like one.
const maxTried = 16

// trials are the errors of places that were tried in vain, the first of them.
type trials []error

func (t *trials) add(err error) {
	if len(*t) < maxTried {
		*t = append(*t, err)
	}
}

// fromVMCoreInfo returns the location that VMCOREINFO tells, if it verifies.
func (f *finder) fromVMCoreInfo(v *vmcoreinfo.Info, by string) (*location, error) {
	l := &location{foundBy: by, levels: 4, notes: v}
	if have, want := v.Release(), release(f.symbols.Banner()); have != "" && want != "" && have != want {
		return nil, fmt.Errorf("%w: of kernel %q, not %q", ErrOtherKernel, have, want)
	}
	top, err := v.Symbol("swapper_pg_dir")
	if err != nil {
		return nil, err
	}
	if l.physBase, err = v.Number("phys_base"); err != nil {
		return nil, err
	}
	if link, err := f.topTable(); err == nil {
		l.shift = top - link
	} else if l.shift, err = v.KernelOffset(); err != nil {
		return nil, err
	}
	l.root = l.phys(top)
	if n, err := v.Number("pgtable_l5_enabled"); err == nil && n != 0 {
		l.levels = 5
	}
	if n, err := v.Number("sme_mask"); err == nil {
		l.mask = uint64(n)
	}
	return l, f.verify(l)
}

// topTable returns the address, as linked, of the kernel's top page table.
func (f *finder) topTable() (uint64, error) {
	for _, name := range []string{"init_top_pgt", "swapper_pg_dir", "init_level4_pgt"} {
		if s, err := f.symbols.Symbol(name); err == nil {
			return s.Address, nil
		}
	}
	_, err := f.symbols.Symbol("init_top_pgt")
	return 0, err
}
