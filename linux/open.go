package linux

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/layouts"
	"github.com/nodelens/nodelens/vmem"
	"github.com/nodelens/nodelens/vmem/x86"
)

// ErrNoKernel says that no running kernel that fits the symbols was found in the image.
var ErrNoKernel = errors.New("no kernel found")

// ErrOtherKernel says that the image is of another kernel than the symbols.
var ErrOtherKernel = errors.New("another kernel")

// errNoTypes is what is wrong with symbols that have none of the kernel's types.
var errNoTypes = errors.New("the symbols do not define struct task_struct, as those of a vmlinux with reduced debug information: " +
	"give the vmlinux of the kernel's -dbg or -debuginfo package, or an ISF file made of that")

// Options are the settings of Open.
type Options struct {
	// Symbols describes the kernel of the image, exactly: the one of its banner. Nil:
	// they are taken from the image itself, by [btfconv.FromMemory]. Of symbols that the
	// image gave and that are not whole (see [isf.File.Lost]), and where it gives none, what
	// is missing is taken from Layouts.
	Symbols *isf.File

	// Layouts are those of known kernels. One of the same build is taken for what the image
	// lost of types and symbols, one of another build of the same version for what it lost
	// of types, if enough are left, and agree. What is read with them is verified by the tasks.
	// [isf.File.Origins] of [Kernel.Symbols] says what is from where, and
	// [isf.File.Lost] that it is so. Nil: [layouts.Known].
	Layouts *layouts.Set

	// Limits bound what is told of the kernel. The zero value has safe defaults.
	Limits Limits

	// Progress, if not nil, is called now and then with what is being done and how
	// many bytes of how many it has gone through. It must return soon.
	Progress func(stage string, done, total int64)

	// TaskScan says when all of memory is searched for tasks.
	TaskScan TaskScan
}

// Info says what kernel was found, and how.
type Info struct {
	Release         string        // such as 6.1.0-56-cloud-amd64
	Banner          string        // linux_banner, without the newline
	PageTableLevels int           // 4 or 5
	KASLRShift      uint64        // what to add to a symbol's address as linked
	PhysBase        int64         // phys_base: a kernel image address less 0xffffffff80000000 plus this is physical
	Root            vmem.PhysAddr // of the kernel's top page table
	FoundBy         string        // what led to the kernel
	Symbols         string        // where its symbols are from, if they were not given
}

// A Kernel is the running kernel of an image. It is immutable and safe for concurrent
// use. On a machine that runs each method reads memory again, but for BootTime.
type Kernel struct {
	info    Info
	symbols *isf.File
	objects *kstruct.Space
	views   *views
	phys    *vmem.Physical
	space   *vmem.AddressSpace
	mask    uint64 // sme_mask
	swap    vmem.SwapTypes
	limits  Limits // with the defaults
	paths   *pathCache
	tgids   *tgidCache
	inums   *inumCache
	boot    time.Time
	uptime  time.Duration // when memory was captured; 0 if it is not known, or the machine runs
	bootErr error
	root    path // the node's root directory: that of PID 1

	initTask     vmem.VirtAddr
	initPIDNS    vmem.VirtAddr
	pidNSErr     error         // why initPIDNS is not known
	cgroupSubsys vmem.VirtAddr // the array of controllers, or 0

	specialMappingName vmem.VirtAddr // the function that names [vdso] and the like, or 0

	cgroupV2 bool // the v2 hierarchy shows in /proc

	gaps     []vmem.Gap // what contradicts itself in what all else depends on
	scanWhen TaskScan
	scanned  scanCache

	taskBudget  func() int                             // see taskNodes
	poolWorkers func() map[vmem.VirtAddr]vmem.VirtAddr // see pooledWorker
	progress    func(stage string, done, total int64)  // or nil
}

// Open finds the running kernel in physical memory and verifies it. VMCOREINFO, where the
// image or its memory has it, says where the kernel is; otherwise the places are tried that one
// can be loaded to. Signs of it that do not derive from each other bear a place out: its
// banner, init_task, the initial namespaces, init_mm, phys_base, its page tables, and lists
// that lead into the direct map and back. Two of them are enough, so that no page that was lost
// is missed; but one has to say where in physical memory the kernel is, which copies of kernels
// elsewhere in memory say wrongly. What is lost of the signs is among [Kernel.Gaps].
//
// The kernel's image and its direct map are then read without page tables: see
// [vmem.AddressSpace.WithLinear].
//
// An error that wraps ErrNoKernel says what was tried and why nothing passed, and wraps
// ErrOtherKernel where a kernel was found that is not that of the symbols; one that wraps
// kstruct.ErrUnsupported names types that the
// symbols lack; a [*btfconv.MissingError] says what the image lacks to give its own
// symbols, and what to give instead.
func Open(ctx context.Context, mem vmem.Memory, opts *Options) (*Kernel, error) {
	var o Options
	if opts != nil {
		o = *opts
	}
	var k *Kernel
	err := o.each(ctx, mem, func(s symbolSet) (err error) {
		k, err = open(ctx, mem, s, &o)
		return err
	})
	if err != nil {
		return nil, openError(err)
	}
	return k, nil
}

// openError returns an error of Open with the name of the package.
func openError(err error) error {
	if strings.HasPrefix(err.Error(), "linux: ") {
		return err
	}
	return fmt.Errorf("linux: %w", err)
}

// open opens the kernel that symbols are of.
func open(ctx context.Context, mem vmem.Memory, symbols symbolSet, opts *Options) (*Kernel, error) {
	f, err := newFinder(mem, symbols.file, opts.Progress)
	if err != nil {
		return nil, fmt.Errorf("linux: %w", err)
	}
	loc, err := f.find(ctx)
	if err != nil {
		return nil, fmt.Errorf("linux: %w", err)
	}
	loc.completeBanner(symbols.file)
	k := newKernel(f.phys, loc.space, symbols.file, loc.shift)
	k.views, k.mask, k.swap, k.info = f.views, loc.mask, swapTypes(symbols.file), loc.info()
	k.info.Symbols = symbols.from
	k.limits = opts.Limits.OrDefault()
	k.mapLinear(ctx, f, loc)
	k.tellLost(loc)
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	k.scanWhen, k.progress = opts.TaskScan, opts.Progress
	if err := k.anchor(); err != nil {
		return nil, err
	}
	k.gaps = append(k.gaps, k.topTableGaps()...)
	if err := k.verifyLayout(ctx, symbols.foreign, loc.holds); err != nil {
		return nil, fmt.Errorf("linux: %w: the tasks are not as the types say, which are not the kernel's own: %w", ErrNoKernel, err)
	}
	return k, nil
}

// newKernel returns a kernel in space that is not anchored yet.
func newKernel(phys *vmem.Physical, space *vmem.AddressSpace, symbols *isf.File, shift uint64) *Kernel {
	k := &Kernel{symbols: symbols, phys: phys, space: space, objects: kstruct.NewSpace(space, symbols, shift), limits: Limits{}.OrDefault(), paths: new(pathCache), tgids: new(tgidCache), inums: new(inumCache)}
	k.poolWorkers = sync.OnceValue(k.readPoolWorkers)
	k.taskBudget = sync.OnceValue(func() int { return k.countedTasks(k.taskCounts()) })
	return k
}

// Live reports whether the memory is that of a machine that runs, where two reads of one
// object may differ: see [vmem.Live].
func (k *Kernel) Live() bool { return k.phys.Live() }

// anchor finds the objects that all walks start from.
func (k *Kernel) anchor() error {
	var err error
	if k.initTask, err = k.Symbol("init_task"); err != nil {
		return err
	}
	k.initPIDNS, k.pidNSErr = k.Symbol("init_pid_ns")
	k.boot, k.bootErr = k.bootTime()
	if at, err := k.Clock(); err == nil && k.bootErr == nil && !k.phys.Live() {
		k.uptime = max(0, at.Sub(k.boot))
	}
	k.cgroupSubsys, _ = k.Symbol("cgroup_subsys") // names v1 controllers only
	k.specialMappingName, _ = k.Symbol("special_mapping_name")
	if k.cgroupV2, err = k.cgroupV2Shown(); err != nil {
		k.gaps = append(k.gaps, newGap("kernel", 0, err))
	}
	k.root = k.nodeRoot()
	return nil
}

// nodeRoot returns the root directory of PID 1, at which the paths of the node end. If
// it can't be read they end where the mounts do, which is the same but for a PID 1 that
// was chrooted.
func (k *Kernel) nodeRoot() path {
	if k.pidNSErr != nil {
		return path{}
	}
	init, err := k.views.pid.reaper.Load(k.space, k.initPIDNS)
	if err != nil {
		return path{}
	}
	fs, err := k.dirs(init)
	if err != nil {
		return path{}
	}
	return fs.Root
}

// Limits returns the limits that the kernel is read with, none of them 0.
func (k *Kernel) Limits() Limits { return k.limits }

// Gaps returns what was lost or contradicted itself of what is read when the kernel is
// opened, and holds for all that is read later.
func (k *Kernel) Gaps() []vmem.Gap { return slices.Clone(k.gaps) }

// Info returns what was found.
func (k *Kernel) Info() Info { return k.info }

// Symbols returns the types and symbols that the kernel is read with.
func (k *Kernel) Symbols() *isf.File { return k.symbols }

// Space returns the kernel's page tables.
func (k *Kernel) Space() *vmem.AddressSpace { return k.space }

// Symbol returns the address of a kernel symbol in the running kernel. The error wraps
// [kstruct.ErrPerCPU] for the symbol of a per-CPU variable, which has no address of its
// own, and an [*isf.LookupError] where there is no such symbol.
func (k *Kernel) Symbol(name string) (vmem.VirtAddr, error) {
	addr, _, err := k.objects.Symbol(name)
	if err != nil {
		return 0, fmt.Errorf("linux: %w", err)
	}
	return addr, nil
}

// BootTime returns when the node was booted, as btime of /proc/stat shows it but with
// nanoseconds.
func (k *Kernel) BootTime() (time.Time, error) { return k.boot, k.bootErr }

// Hostname returns the node name of the initial UTS namespace.
func (k *Kernel) Hostname() (string, error) {
	k.refresh()
	uts, err := k.Symbol("init_uts_ns")
	if err != nil {
		return "", err
	}
	name, err := k.utsName(uts)
	if err != nil {
		return "", newGap("host name", uts, err)
	}
	return name, nil
}

// userSpace returns the address space whose top page table is at root.
func (k *Kernel) userSpace(root vmem.PhysAddr) (*vmem.AddressSpace, error) {
	return x86.NewAddressSpace(k.phys, root, &x86.Options{Levels: k.info.PageTableLevels, EncryptionMask: k.mask, SwapTypes: k.swap})
}

// newSpace returns an address space whose half of the kernel matters.
func newSpace(phys *vmem.Physical, root vmem.PhysAddr, levels int, mask uint64) (*vmem.AddressSpace, error) {
	return x86.NewAddressSpace(phys, root, &x86.Options{Levels: levels, EncryptionMask: mask, LostRoot: true})
}

// release returns the version that a banner names: its third word.
func release(banner string) string {
	words := strings.SplitN(banner, " ", 4)
	if len(words) < 4 || words[0] != "Linux" || words[1] != "version" {
		return ""
	}
	return words[2]
}
