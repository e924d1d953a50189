package settings

import (
	"fmt"
	"iter"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/memmap"
	"github.com/nodelens/nodelens/vmem"
)

// A Resource is a range of physical memory or of I/O ports that somebody has.
type Resource struct {
	Start vmem.PhysAddr `json:"start"`
	End   vmem.PhysAddr `json:"end"` // inclusive
	Name  string        `json:"name"`
	Depth int           `json:"depth"` // how many resources it lies in: those before it with a smaller depth
}

// readResources reads who has which memory and ports (kernel/resource.c). Both roots are exported.
func (r *reader) readResources() {
	r.out.IOMem = r.resources("iomem", r.k.IOMem(r.ctx))
	r.out.IOPorts = r.resources("ioports", r.k.IOPorts(r.ctx))
}

func (r *reader) resources(object string, seq iter.Seq2[memmap.Resource, error]) (all []Resource) {
	for x, err := range seq {
		if err != nil {
			r.gaps = append(r.gaps, vmem.NewGap(object, vmem.Place{}, err))
			continue
		}
		all = append(all, Resource{Start: x.Range.Start, End: x.Range.Last(), Name: x.Name, Depth: x.Depth})
	}
	return all
}

// readBugs reads what the processor is open to: the bits of boot_cpu_data, which is exported, behind those of what it can do
// (arch/x86/kernel/cpu/common.c), with the names that x86_bug_flags has for them.
func (r *reader) readBugs() {
	const object = "bugs of the processor"
	cpu, err := r.k.Symbol("boot_cpu_data")
	if err != nil {
		r.lose(object, 0, fmt.Errorf("%w: %w", kstruct.ErrUnsupported, err))
		return
	}
	names, ok := r.symbol(object, "x86_bug_flags")
	if !ok {
		return
	}
	words, err := r.k.Symbols().Field("cpuinfo_x86", "x86_capability")
	if err != nil || words.Type.Kind != isf.KindUnion && words.Type.Kind != isf.KindArray {
		r.lose(object, cpu, fmt.Errorf("%w: cpuinfo_x86.x86_capability: %w", kstruct.ErrUnsupported, err))
		return
	}
	size, err := r.k.Symbols().SizeOf(words.Type)
	if err != nil {
		r.lose(object, cpu, err)
		return
	}
	count := r.bugWords(names)
	for i := range 32 * count {
		at := cpu + vmem.VirtAddr(words.Offset+size-4*count+i/32*4)
		bits, err := r.k.Space().Uint32(at)
		if err != nil {
			r.lose(object, at, err)
			return
		}
		if bits>>(i%32)&1 == 0 {
			continue
		}
		name, err := r.bugName(names + vmem.VirtAddr(8*i))
		if err != nil {
			r.lose(object, names+vmem.VirtAddr(8*i), err)
			continue
		}
		if name != "" {
			r.out.CPUBugs = append(r.out.CPUBugs, name)
		}
	}
}

// bugWords returns how many words of bits there are, NBUGINTS of arch/x86/include/asm/cpufeatures.h: as many as there are names for, which are
// an array of pointers.
func (r *reader) bugWords(names vmem.VirtAddr) uint64 {
	if e, ok := r.opts.Symbols.Extent(names); ok && e.Size >= 2*32*8 {
		return 2
	}
	return 1
}

// bugName returns a name, empty where the kernel has none: then it does not show the bit.
func (r *reader) bugName(at vmem.VirtAddr) (string, error) {
	p, err := r.k.Space().Uint64(at)
	if err != nil || p == 0 {
		return "", err
	}
	return r.k.Space().CString(vmem.VirtAddr(p), 64)
}
