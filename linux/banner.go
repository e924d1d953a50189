package linux

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
	"github.com/nodelens/nodelens/vmem/x86"
)

// byBanner searches physical memory for the banner of the symbols. Each place where
// it stands would make a kernel that was loaded so many bytes from where it was
// linked; the page tables of that kernel must then map it.
func (f *finder) byBanner(ctx context.Context) (*location, error) {
	banner := f.symbols.Banner()
	if banner == "" {
		return nil, errors.New("the symbols hold no banner to search for")
	}
	sym, err := f.symbols.Symbol("linux_banner")
	if err != nil {
		return nil, err
	}
	link, err := f.topTable()
	if err != nil {
		return nil, err
	}
	var tried trials
	var found *location
	err = f.scan(ctx, []byte(banner), func(hit vmem.PhysAddr) bool {
		load := uint64(hit) - (sym.Address - startKernelMap)
		if load%kernelAlign != 0 { // a copy, in a log or in the page cache
			return true
		}
		l, err := f.loadedAt(load, link, sym.Address, hit)
		if err == nil {
			found = l
			return false
		}
		tried.add(fmt.Errorf("banner at %v: %w", hit, err))
		return true
	})
	switch {
	case err != nil:
		return nil, err
	case found == nil && len(tried) == 0:
		return nil, errors.New("the banner of the symbols is nowhere in memory")
	case found == nil:
		return nil, errors.Join(tried...)
	}
	return found, nil
}

// loadedAt makes a location of a kernel that was loaded load bytes above where it was
// linked, and whose banner is at the physical address hit.
func (f *finder) loadedAt(load, top, banner uint64, hit vmem.PhysAddr) (*location, error) {
	l := &location{foundBy: fmt.Sprintf("banner at %v", hit)}
	l.root = vmem.PhysAddr(top - startKernelMap + load)
	l.levels = 4
	if v, err := f.loadedWord("__pgtable_l5_enabled", load); err == nil && uint32(v) != 0 {
		l.levels = 5
	}
	if v, err := f.loadedWord("sme_me_mask", load); err == nil {
		l.mask = v
	}
	space, err := newSpace(f.phys, l.root, l.levels, l.mask)
	if err != nil {
		return nil, err
	}
	virt, err := findMapping(space, hit)
	if err != nil {
		return nil, err
	}
	l.shift = uint64(virt) - banner
	l.physBase = int64(load - l.shift)
	return l, f.verify(l)
}

// loadedWord reads eight bytes of a variable of a kernel that was loaded load bytes
// above where it was linked.
func (f *finder) loadedWord(name string, load uint64) (uint64, error) {
	s, err := f.symbols.Symbol(name)
	if err != nil {
		return 0, err
	}
	return f.phys.Uint64(vmem.PhysAddr(s.Address - startKernelMap + load))
}

// findMapping returns the kernel image address that is mapped to p.
func findMapping(space *vmem.AddressSpace, p vmem.PhysAddr) (vmem.VirtAddr, error) {
	image := vmem.Range[vmem.VirtAddr]{Start: startKernelMap, Size: x86.KernelImageSize}
	for m, err := range space.Mappings(image) {
		if err == nil && uint64(p-m.Phys) < m.Range.Size {
			return m.Range.Start + vmem.VirtAddr(p-m.Phys), nil
		}
	}
	return 0, fmt.Errorf("%w: the page tables do not map it", kstruct.ErrCorrupt)
}

// scanChunk is how much of memory is searched at a time.
const scanChunk = 1 << 20

// scan calls each with every place in physical memory where want stands, until each
// returns false.
func (f *finder) scan(ctx context.Context, want []byte, each func(vmem.PhysAddr) bool) error {
	buf := make([]byte, scanChunk+len(want)-1)
	var done, total int64
	for _, r := range f.mem.Ranges() {
		total += int64(r.Size)
	}
	for _, r := range f.mem.Ranges() {
		for off := uint64(0); off < r.Size; off += scanChunk {
			if err := ctx.Err(); err != nil {
				return err
			}
			start := r.Start + vmem.PhysAddr(off)
			// What can't be read is a gap of the image, which its reader reports.
			n, _ := f.mem.ReadAt(buf[:min(uint64(len(buf)), r.Size-off)], int64(start))
			for at := 0; ; at++ {
				i := bytes.Index(buf[at:n], want)
				if i < 0 {
					break
				}
				at += i
				if !each(start + vmem.PhysAddr(at)) {
					return nil
				}
			}
			done += scanChunk
			if f.progress != nil {
				f.progress("searching for the kernel", min(done, total), total)
			}
		}
	}
	return nil
}
