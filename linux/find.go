package linux

import (
	"context"
	"errors"
	"fmt"
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
	banner   string
	space    *vmem.AddressSpace // set by verify
}

func (l *location) info() Info {
	return Info{
		Release: release(l.banner), Banner: strings.TrimRight(l.banner, "\n"), PageTableLevels: l.levels,
		KASLRShift: l.shift, PhysBase: l.physBase, Root: l.root, FoundBy: l.foundBy,
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

	tasks, children kstruct.Member // lists that it is on, if the types have them
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
	v.tasks = kstruct.BindOptionalMember(b, "task_struct", "tasks")
	v.children = kstruct.BindOptionalMember(b, "task_struct", "children")
	return v
}

func newFinder(mem vmem.Memory, symbols *isf.File, progress func(string, int64, int64)) (*finder, error) {
	if _, err := symbols.UserType("task_struct"); err != nil { // all that is missing would be a long list
		return nil, fmt.Errorf("%w: %w", kstruct.ErrUnsupported, errNoTypes)
	}
	v := newViews(symbols)
	return &finder{mem: mem, phys: vmem.NewPhysical(mem), symbols: symbols, views: v, progress: progress}, v.idle.err
}

// find returns the first location that verifies.
func (f *finder) find(ctx context.Context) (*location, error) {
	for _, strategy := range []func(context.Context) (*location, error){f.byVMCoreInfo, f.byBanner} {
		l, err := strategy(ctx)
		if err == nil {
			return l, nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		f.tried = append(f.tried, err)
	}
	return nil, fmt.Errorf("%w for the symbols of %q: %w", ErrNoKernel, release(f.symbols.Banner()), errors.Join(f.tried...))
}

// verify reads the banner and init_task through the page tables of l, which must have them
// where phys_base says.
func (f *finder) verify(l *location) error {
	space, err := newSpace(f.phys, l.root, l.levels, l.mask)
	if err != nil {
		return err
	}
	sym, err := f.symbols.Symbol("linux_banner")
	if err != nil {
		return err
	}
	if m, err := space.Translate(vmem.VirtAddr(sym.Address + l.shift)); err != nil {
		return fmt.Errorf("linux_banner: %w", err)
	} else if at := m.At(vmem.VirtAddr(sym.Address + l.shift)); at != l.phys(sym.Address+l.shift) {
		return fmt.Errorf("%w: linux_banner is at %v by the page tables, at %v by phys_base", kstruct.ErrCorrupt, at, l.phys(sym.Address+l.shift))
	}
	want := f.symbols.Banner()
	got, err := space.CString(vmem.VirtAddr(sym.Address+l.shift), max(len(want), 512))
	switch {
	case err != nil:
		return fmt.Errorf("linux_banner: %w", err)
	case !strings.HasPrefix(got, "Linux version "):
		return fmt.Errorf("%w: linux_banner reads %.40q", kstruct.ErrCorrupt, got)
	case want != "" && got != want:
		return fmt.Errorf("%w: the image runs %q, the symbols are of %q", kstruct.ErrCorrupt, strings.TrimSpace(got), strings.TrimSpace(want))
	}
	init, err := f.symbols.Symbol("init_task")
	if err != nil {
		return err
	}
	task, err := f.views.idle.task.Load(space, vmem.VirtAddr(init.Address+l.shift))
	if err != nil {
		return fmt.Errorf("init_task: %w", err)
	}
	if comm := text(task.Comm[:]); !strings.HasPrefix(comm, "swapper") {
		return fmt.Errorf("%w: init_task is named %q", kstruct.ErrCorrupt, comm)
	}
	l.space, l.banner = space, got
	return nil
}

// byVMCoreInfo tries the VMCOREINFO of the image's notes, then each that is found in
// memory: the kernel keeps its own in a page (kernel/vmcore_info.c), and files and
// earlier kernels leave copies.
func (f *finder) byVMCoreInfo(ctx context.Context) (*location, error) {
	var tried trials
	if m, ok := vmem.As[vmcoreinfo.Holder](f.mem); ok {
		v, err := m.VMCoreInfo()
		if err == nil {
			var l *location
			if l, err = f.fromVMCoreInfo(v, "VMCOREINFO note"); err == nil {
				return l, nil
			}
		}
		tried.add(fmt.Errorf("VMCOREINFO note: %w", err))
	}
	for v, err := range vmcoreinfo.Find(ctx, f.mem) {
		if err != nil {
			tried.add(err)
			continue
		}
		l, err := f.fromVMCoreInfo(v.Info, fmt.Sprintf("VMCOREINFO at %v", v.Addr))
		if err == nil {
			return l, nil
		}
		tried.add(fmt.Errorf("VMCOREINFO at %v: %w", v.Addr, err))
	}
	if len(tried) == 0 {
		tried.add(errors.New("no VMCOREINFO in memory"))
	}
	return nil, errors.Join(tried...)
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

func (f *finder) fromVMCoreInfo(v *vmcoreinfo.Info, by string) (*location, error) {
	l := &location{foundBy: by, levels: 4}
	if have, want := v.Release(), release(f.symbols.Banner()); have != "" && want != "" && have != want {
		return nil, fmt.Errorf("of kernel %q, not %q", have, want)
	}
	top, err := v.Symbol("swapper_pg_dir")
	if err != nil {
		return nil, err
	}
	link, err := f.topTable()
	if err != nil {
		return nil, err
	}
	if l.physBase, err = v.Number("phys_base"); err != nil {
		return nil, err
	}
	l.shift = top - link
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
