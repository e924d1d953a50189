package linux

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/memmap"
	"github.com/nodelens/nodelens/vmem"
)

// A Placement says where in physical memory a file's bytes belong, as far as the kernel
// in it tells.
type Placement struct {
	// Symbols are those that the kernel was found with, and From is where they are from,
	// if they were not given.
	Symbols *isf.File
	From    string

	// RAM is what the kernel's map of physical addresses calls "System RAM", in the
	// order of /proc/iomem; and Map says which map that is: iomem_resource, or where
	// that is lost the one in boot_params, which the boot loader gave the kernel.
	RAM []memmap.Resource
	Map string

	// Places are bytes of which it is known where they belong: the kernel's banner, and
	// entries of that map. They are not sorted.
	Places []FilePlace
}

// The maps that a Placement may be by.
const (
	mapKernel   = "iomem_resource"
	mapFirmware = "boot_params"
)

// A FilePlace is where in physical memory a byte of a file belongs.
type FilePlace struct {
	Offset int64
	Addr   vmem.PhysAddr
}

// Place finds the running kernel in a file of memory that does not say where in physical
// memory its bytes belong. The addresses of mem are offsets in the file; what it holds of
// one range of RAM must be in one piece, at a multiple of 8 bytes from where it belongs.
//
// A kernel knows where it is: phys_base says where it was loaded, and its page tables and
// iomem_resource hold physical addresses. It is verified as Open does it, with its memory
// moved to where it says that it is. What lies elsewhere in the file is found by what
// points to it. The errors are those of Open.
func Place(ctx context.Context, mem vmem.Memory, opts *Options) (*Placement, error) {
	var o Options
	if opts != nil {
		o = *opts
	}
	var p *Placement
	err := o.each(ctx, mem, func(s symbolSet) (err error) {
		p, err = placeWith(ctx, mem, s, o.Progress)
		return err
	})
	if err != nil {
		return nil, openError(err)
	}
	return p, nil
}

// placeWith is Place with symbols.
func placeWith(ctx context.Context, mem vmem.Memory, s symbolSet, progress func(string, int64, int64)) (*Placement, error) {
	p := &Placement{Symbols: s.file, From: s.from}
	f, err := newFinder(mem, p.Symbols, progress)
	if err == nil {
		err = f.views.idle.leaderErr
	}
	if err != nil {
		return nil, fmt.Errorf("linux: %w", err)
	}
	k, err := f.placeKernel(ctx)
	if err != nil {
		return nil, fmt.Errorf("linux: %w for the symbols of %q: %w", ErrNoKernel, release(p.Symbols.Banner()), err)
	}
	w := &placeWalk{finder: f, kernel: k, shifts: []int64{k.shift}, nodes: map[vmem.VirtAddr]bool{}}
	if err := w.run(ctx, p); err != nil {
		return nil, fmt.Errorf("linux: iomem: %w", err)
	}
	return p, nil
}

// A placed is the kernel in a file.
type placed struct {
	location *location
	banner   FilePlace
	shift    int64 // what to add to offsets of the file, for physical addresses
}

// placeKernel looks for the banner of the symbols, or where that is lost for init_task, and
// tries each place where it stands.
func (f *finder) placeKernel(ctx context.Context) (*placed, error) {
	banner, err := f.symbols.Symbol("linux_banner")
	if err != nil {
		return nil, err
	}
	signs := f.signs()
	if len(signs) == 0 {
		return nil, errors.New("the symbols hold no banner to search for")
	}
	var found *placed
	var tried trials
	for _, s := range signs {
		err := f.scan(ctx, s.text, func(hit vmem.PhysAddr) bool {
			k, err := f.placeAt(hit - vmem.PhysAddr(s.link-banner.Address))
			if err == nil {
				found = k
				return false
			}
			tried.add(fmt.Errorf("%s at offset %#x: %w", s.name, uint64(hit), err))
			return true
		})
		if err != nil || found != nil {
			return found, err
		}
	}
	if len(tried) == 0 {
		return nil, errors.New("neither the banner of the symbols nor init_task is in the file")
	}
	return nil, errors.Join(tried...)
}

// placeAt tries the kernel whose banner is at offset hit of the file.
func (f *finder) placeAt(hit vmem.PhysAddr) (*placed, error) {
	banner, err := f.symbols.Symbol("linux_banner")
	if err != nil {
		return nil, err
	}
	// init_task is its own thread group leader (init/init_task.c): that tells the shift.
	init, err := f.besides("init_task", banner, hit, f.views.idle.leader.Offset())
	if err != nil {
		return nil, err
	}
	base, err := f.besides("phys_base", banner, hit, 0)
	if err != nil {
		return nil, err
	}
	task, err := f.symbols.Symbol("init_task")
	if err != nil {
		return nil, err
	}
	shift := init - task.Address
	load := shift + base
	if load%kernelAlign != 0 || shift%kernelAlign != 0 {
		return nil, fmt.Errorf("%w: KASLR shift %#x, phys_base %#x", kstruct.ErrCorrupt, shift, base)
	}
	addr := vmem.PhysAddr(banner.Address - startKernelMap + load)
	k := &placed{banner: FilePlace{int64(hit), addr}, shift: int64(addr - hit)}
	moved := *f
	moved.mem = &shifted{f.mem, k.shift}
	moved.phys = vmem.NewPhysical(moved.mem)
	k.location, err = bestOf(moved.loadedAt(load, fmt.Sprintf("banner at %v", addr)))
	if err == nil && k.location.shift != shift {
		err = fmt.Errorf("%w: KASLR shift %#x, and %#x by the page tables", kstruct.ErrCorrupt, shift, k.location.shift)
	}
	return k, err
}

// bestOf returns the location that most bears out, or why there is none.
func bestOf(all []located) (*location, error) {
	var found *location
	var errs []error
	for _, c := range all {
		switch {
		case c.err != nil:
			errs = append(errs, c.err)
		case found == nil || c.whole || !found.whole && len(c.holds) > len(found.holds):
			found = c.location
		}
	}
	if found == nil {
		return nil, errors.Join(errs...)
	}
	return found, nil
}

// besides reads a word of a variable of the kernel whose banner is at offset hit.
func (f *finder) besides(name string, banner *isf.Symbol, hit vmem.PhysAddr, at uint64) (uint64, error) {
	s, err := f.symbols.Symbol(name)
	if err != nil {
		return 0, err
	}
	v, err := f.phys.Uint64(hit + vmem.PhysAddr(s.Address-banner.Address+at))
	if err != nil {
		return 0, fmt.Errorf("%s: %w", name, err)
	}
	return v, nil
}

// shifted is a memory whose addresses are moved up.
type shifted struct {
	mem vmem.Memory
	by  int64
}

// ReadAt implements [vmem.Memory].
func (s *shifted) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 || s.by > 0 && off < s.by {
		return 0, vmem.ErrNotCaptured
	}
	return s.mem.ReadAt(p, off-s.by)
}

// Ranges implements [vmem.Memory].
func (s *shifted) Ranges() []vmem.Range[vmem.PhysAddr] {
	var all []vmem.Range[vmem.PhysAddr]
	for _, r := range s.mem.Ranges() {
		if down := uint64(-s.by); s.by < 0 && uint64(r.Start) < down {
			cut := min(r.Size, down-uint64(r.Start))
			r = vmem.Range[vmem.PhysAddr]{Start: r.Start + vmem.PhysAddr(cut), Size: r.Size - cut}
		}
		if r.Size > 0 {
			all = append(all, vmem.Range[vmem.PhysAddr]{Start: r.Start + vmem.PhysAddr(s.by), Size: r.Size})
		}
	}
	return all
}

// wordBytes returns the bytes of a little-endian word.
func wordBytes(v uint64) []byte { return binary.LittleEndian.AppendUint64(nil, v) }
