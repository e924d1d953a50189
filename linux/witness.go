package linux

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// A witness is something that a running kernel has at a place that its symbols tell. No one
// of them is needed, for any page may be lost.
type witness struct {
	name string
	// ask returns nil if the kernel at l has it, errSilent if the symbols don't tell, and
	// otherwise what is there instead.
	ask func(*location) error
	// tie: it says where in physical memory the kernel is, which copies of a kernel elsewhere,
	// as in the memory of a guest, say wrongly.
	tie bool
}

// errSilent says that the symbols lack what a witness is asked by.
var errSilent = errors.New("the symbols do not tell")

const (
	// enoughWitnesses have to bear a location out, one of which has to be a tie.
	enoughWitnesses = 2
	// manyWitnesses bear a location out so that no better one need be looked for.
	manyWitnesses = 5
)

// A verdict is what witnesses say of a location.
type verdict struct {
	holds []string   // the witnesses that bear it out
	ties  int        // how many of these are ties
	lost  []lostSign // what the others have instead
	whole bool       // the banner, its page tables, and init_task
}

// A lostSign is what a kernel should have at an address and has not.
type lostSign struct {
	name string
	addr vmem.VirtAddr
	err  error
}

func (v *verdict) enough() bool { return len(v.holds) >= enoughWitnesses && v.ties > 0 }
func (v *verdict) many() bool   { return len(v.holds) >= manyWitnesses && v.ties > 0 }

// witnesses returns all there are.
func (f *finder) witnesses() []witness {
	return []witness{
		{"VMCOREINFO", f.askNotes, true},
		{"linux_banner", f.askBanner, false},
		{"init_task", f.askInitTask, false},
		{"init_uts_ns", f.askUTS, false},
		{"init_pid_ns", f.askPIDNS, false},
		{"init_mm", f.askInitMM, false},
		{"phys_base", f.askPhysBase, true},
		{"page tables", f.askTables, true},
		{"lists of the direct map", f.askLists, true},
	}
}

// verify asks all witnesses whether a kernel is at l. It sets the verdict, and returns why that
// is not enough.
func (f *finder) verify(l *location) error {
	space, err := newSpace(f.phys, l.root, l.levels, l.mask)
	if err != nil {
		return err
	}
	l.tables, l.image = space, f.imageMap(l)
	l.space = space.WithLinear(l.image)
	l.verdict, l.banner = verdict{}, ""
	var reasons []error
	for _, w := range f.witnesses() {
		switch err := w.ask(l); {
		case err == nil:
			l.holds = append(l.holds, w.name)
			if w.tie {
				l.ties++
			}
		case errors.Is(err, ErrOtherKernel):
			return err
		case !errors.Is(err, errSilent):
			reasons = append(reasons, fmt.Errorf("%s: %w", w.name, err))
			l.lost = append(l.lost, lostSign{w.name, f.addressOf(l, w.name), err})
		}
	}
	l.whole = slices.Contains(l.holds, "linux_banner") && slices.Contains(l.holds, "init_task") && f.mapped(l, "linux_banner") == nil
	if l.whole || l.enough() {
		return nil
	}
	said := "nothing bears it out"
	if len(l.holds) > 0 {
		said = "borne out by " + strings.Join(l.holds, ", ") + " alone"
	}
	return fmt.Errorf("%w: %s: %w", kstruct.ErrCorrupt, said, errors.Join(reasons...))
}

// addressOf returns where a variable of the kernel at l is, or 0.
func (f *finder) addressOf(l *location, name string) vmem.VirtAddr {
	s, err := f.symbols.Symbol(name)
	if err != nil {
		return 0
	}
	return vmem.VirtAddr(s.Address + l.shift)
}

// address returns where a variable of the kernel at l is, or errSilent.
func (f *finder) address(l *location, name string) (vmem.VirtAddr, error) {
	if a := f.addressOf(l, name); a != 0 {
		return a, nil
	}
	return 0, errSilent
}

// askNotes goes by where the location is from: VMCOREINFO says where in physical memory, as
// far as it does not contradict itself.
func (f *finder) askNotes(l *location) error {
	switch {
	case l.notes == nil:
		return errSilent
	case l.notes.Release() == "":
		return fmt.Errorf("%w: no release", kstruct.ErrCorrupt)
	}
	if offset, err := l.notes.KernelOffset(); err == nil && offset != l.shift {
		return fmt.Errorf("%w: KERNELOFFSET is %#x, and swapper_pg_dir was moved by %#x", kstruct.ErrCorrupt, offset, l.shift)
	}
	return nil
}

const bannerStart = "Linux version "

// askBanner reads the banner. One that is whole and not that of the symbols is proof that they
// are of another kernel.
func (f *finder) askBanner(l *location) error {
	at, err := f.address(l, "linux_banner")
	if err != nil {
		return err
	}
	want := f.symbols.Banner()
	got, err := l.space.CString(at, max(len(want), 512))
	switch {
	case err != nil:
		return err
	case !strings.HasPrefix(got, bannerStart) || !strings.HasSuffix(got, "\n"):
		return fmt.Errorf("%w: it reads %.40q", kstruct.ErrCorrupt, got)
	case want != "" && got != want:
		return fmt.Errorf("%w: the image runs %q, the symbols are of %q", ErrOtherKernel, strings.TrimSpace(got), strings.TrimSpace(want))
	}
	l.banner = got
	return nil
}

// askInitTask reads init_task (init/init_task.c): it is called swapper, and its own leader.
func (f *finder) askInitTask(l *location) error {
	at, err := f.address(l, "init_task")
	if err != nil {
		return err
	}
	task, err := f.views.idle.task.Load(l.space, at)
	if err != nil {
		return err
	}
	if comm := text(task.Comm[:]); !strings.HasPrefix(comm, "swapper") {
		return fmt.Errorf("%w: it is named %q", kstruct.ErrCorrupt, comm)
	}
	if !f.views.idle.leader.Ok() {
		return nil
	}
	leader, err := f.views.idle.leader.Load(l.space, at)
	if err == nil && leader != at {
		err = errPointer("group_leader", leader)
	}
	return err
}

// askUTS looks for the release in init_uts_ns (init/version.c).
func (f *finder) askUTS(l *location) error {
	at, err := f.address(l, "init_uts_ns")
	want := release(f.symbols.Banner())
	if want == "" && l.notes != nil {
		want = l.notes.Release()
	}
	if err != nil || want == "" || !f.views.idle.release.Ok() {
		return errSilent
	}
	got, err := f.views.idle.release.Load(l.space, at)
	if err != nil {
		return err
	}
	if have := text(got.Release[:]); have != want {
		return fmt.Errorf("%w: release %.65q", kstruct.ErrCorrupt, have)
	}
	return nil
}

// askPIDNS reads init_pid_ns (kernel/pid.c), which belongs to init_user_ns.
func (f *finder) askPIDNS(l *location) error {
	return f.askPointer(l, "init_pid_ns", f.views.idle.user, "user_ns", f.addressOf(l, "init_user_ns"))
}

// askInitMM reads init_mm (mm/init-mm.c), which has the kernel's page tables.
func (f *finder) askInitMM(l *location) error {
	top, err := f.topTable()
	if err != nil {
		return errSilent
	}
	return f.askPointer(l, "init_mm", f.views.idle.pgd, "pgd", vmem.VirtAddr(top+l.shift))
}

// askPointer looks whether a member of a variable has the address of another, 0 if that is not
// known.
func (f *finder) askPointer(l *location, name string, member *kstruct.Field[vmem.VirtAddr], what string, want vmem.VirtAddr) error {
	at, err := f.address(l, name)
	if err != nil || want == 0 || !member.Ok() {
		return errSilent
	}
	got, err := member.Load(l.space, at)
	if err == nil && got != want {
		err = errPointer(what, got)
	}
	return err
}

// askPhysBase reads phys_base (arch/x86/kernel/head_64.S), by which the kernel itself makes
// physical addresses.
func (f *finder) askPhysBase(l *location) error {
	at, err := f.address(l, "phys_base")
	if err != nil {
		return err
	}
	v, err := l.space.Uint64(at)
	if err == nil && int64(v) != l.physBase {
		err = fmt.Errorf("%w: %#x", kstruct.ErrCorrupt, v)
	}
	return err
}

// askTables asks whether the kernel's page tables have any of its image where it is.
func (f *finder) askTables(l *location) error {
	said := errSilent
	for _, name := range []string{"_stext", "_text", "init_task", "linux_banner"} {
		switch err := f.mapped(l, name); {
		case err == nil:
			return nil
		case !errors.Is(err, errSilent):
			said = err
		}
	}
	return said
}

// mapped asks whether the page tables map a variable to where it is.
func (f *finder) mapped(l *location, name string) error {
	at, err := f.address(l, name)
	if err != nil {
		return err
	}
	m, err := l.tables.Translate(at)
	if err == nil && m.At(at) != l.phys(uint64(at)) {
		err = fmt.Errorf("%w: %s is at %v by them, at %v by phys_base", kstruct.ErrCorrupt, name, m.At(at), l.phys(uint64(at)))
	}
	return err
}

// askLists asks whether the lists that init_task is on lead into the direct map and back.
func (f *finder) askLists(l *location) error {
	if !f.views.idle.tasks.Ok() {
		return errSilent
	}
	d := f.newDirectMapFinder(l)
	base, err := d.told()
	if err == nil && !d.bearOut(base) {
		err = fmt.Errorf("%w: they do not lead back", kstruct.ErrCorrupt)
	}
	return err
}

// idleRelease is the release in a uts_namespace.
type idleRelease struct {
	Release [65]byte `kernel:"name.release,optional"` // __NEW_UTS_LEN + 1 (include/uapi/linux/utsname.h)
}

// bindWitnesses binds what is good to have: each witness may be silent.
func (v *idleViews) bindWitnesses(types *isf.File) {
	b := kstruct.NewBinder(types)
	v.release = kstruct.BindOptional[idleRelease](b, "uts_namespace")
	v.user = kstruct.BindOptionalField[vmem.VirtAddr](b, "pid_namespace", "user_ns")
	v.pgd = kstruct.BindOptionalField[vmem.VirtAddr](b, "mm_struct", "pgd")
	v.tasks = kstruct.BindOptionalMember(b, "task_struct", "tasks")
	v.children = kstruct.BindOptionalMember(b, "task_struct", "children")
}
