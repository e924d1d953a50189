package kstruct

import (
	"fmt"
	"math/bits"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/vmem"
)

// maxCPUs is the largest CONFIG_NR_CPUS of x86-64 (arch/x86/Kconfig).
const maxCPUs = 8192

// A perCPULayout is what is known of the CPUs.
type perCPULayout struct {
	offsets, possible vmem.VirtAddr // __per_cpu_offset and __cpu_possible_mask, as linked
	mask              uint64        // the size of cpumask in bytes
}

func resolvePerCPU(r *resolver) perCPULayout {
	l := perCPULayout{
		offsets:  vmem.VirtAddr(r.Symbol("__per_cpu_offset")),
		possible: vmem.VirtAddr(r.Symbol("__cpu_possible_mask")),
		mask:     r.Type("cpumask").Size(),
	}
	if l.mask == 0 || l.mask > maxCPUs/8 || l.mask%8 != 0 {
		r.refuse("cpumask has %d bytes", l.mask)
	}
	return l
}

// CPUs returns the numbers of the CPUs that the kernel can ever have, ascending:
// cpu_possible_mask of kernel/cpu.c. Each of them has its copy of every per-CPU variable,
// whether it is online or not. The error is a [vmem.Gap]; where the mask has no CPU at all,
// it wraps [ErrCorrupt]. A kernel without CONFIG_SMP has
// no per-CPU variables; it wraps [ErrUnsupported] there.
//
// It starts from the exported symbols __cpu_possible_mask and __per_cpu_offset.
func (s *Space) CPUs() ([]int, error) {
	l, err := s.layouts.perCPU.get(s.types, resolvePerCPU)
	if err != nil {
		return nil, newGap("CPUs", 0, err)
	}
	var cpus []int
	for i := range l.mask / 8 {
		word, err := s.possibleWord(l, i)
		if err != nil {
			return nil, newGap("CPUs", 0, err)
		}
		for ; word != 0; word &= word - 1 {
			cpus = append(cpus, int(i)*64+bits.TrailingZeros64(word))
		}
	}
	if len(cpus) == 0 { // and what CPUs count in parts would be counted as nothing
		return nil, newGap("CPUs", s.linked(l.possible), fmt.Errorf("%w: no possible CPU", ErrCorrupt))
	}
	return cpus, nil
}

// possibleWord returns 64 bits of cpu_possible_mask.
func (s *Space) possibleWord(l *perCPULayout, i uint64) (uint64, error) {
	return s.mem.Uint64(s.linked(l.possible) + vmem.VirtAddr(i*8))
}

// possible returns an error unless the kernel can have that CPU: for others there is an
// offset too, that leads to what CPUs are given a copy of.
func (s *Space) possible(l *perCPULayout, cpu int) error {
	if cpu < 0 || uint64(cpu) >= l.mask*8 {
		return fmt.Errorf("%w: CPU %d of at most %d", ErrRange, cpu, l.mask*8)
	}
	word, err := s.possibleWord(l, uint64(cpu)/64)
	if err == nil && word>>(cpu%64)&1 == 0 {
		err = fmt.Errorf("%w: CPU %d, which this machine has not", ErrRange, cpu)
	}
	return err
}

// linked returns where what is linked at an address is in the running kernel.
func (s *Space) linked(a vmem.VirtAddr) vmem.VirtAddr { return a + vmem.VirtAddr(s.shift) }

// PerCPU returns the address of one CPU's copy of a per-CPU variable, and its type, nil
// where that is not known: per_cpu of include/linux/percpu-defs.h. The error is a
// [vmem.Gap], one that wraps [ErrType] for a symbol that has one address for all.
//
// Up to 6.14 the symbols of x86-64 count from 0. Since then ("x86/percpu/64: Use relative
// percpu offsets") they lie in the kernel, and are moved by KASLR as it is.
// __per_cpu_start and __per_cpu_end tell which those are.
func (s *Space) PerCPU(name string, cpu int) (vmem.VirtAddr, *isf.Type, error) {
	sym, err := s.types.Symbol(name)
	if err != nil {
		return 0, nil, newGap(name, 0, unknown(err))
	}
	if !s.perCPUSymbol(sym) {
		return 0, nil, newGap(name, 0, fmt.Errorf("%w: it is at %v for all CPUs", ErrType, s.linked(vmem.VirtAddr(sym.Address))))
	}
	ptr := vmem.VirtAddr(sym.Address)
	if sym.Address >= 1<<63 {
		ptr = s.linked(ptr)
	}
	a, err := s.PerCPUPtr(ptr, cpu)
	if err != nil {
		return 0, nil, newGap(name, 0, err)
	}
	return a, sym.Type, nil
}

// PerCPUPtr returns where one CPU's part of what a __percpu pointer stands for is:
// per_cpu_ptr of include/linux/percpu-defs.h. Such pointers are members of structures, such
// as percpu_counter.counters; they lead nowhere themselves. The error is a [vmem.Gap].
func (s *Space) PerCPUPtr(ptr vmem.VirtAddr, cpu int) (vmem.VirtAddr, error) {
	l, err := s.layouts.perCPU.get(s.types, resolvePerCPU)
	if err != nil {
		return 0, newGap("per-CPU memory", 0, err)
	}
	if err := s.possible(l, cpu); err != nil {
		return 0, newGap("per-CPU memory", 0, err)
	}
	a := s.linked(l.offsets) + vmem.VirtAddr(cpu)*8
	off, err := s.mem.Uint64(a)
	if err != nil {
		return 0, newGap("per-CPU memory", a, err)
	}
	return ptr + vmem.VirtAddr(off), nil
}

// perCPUSymbol reports whether a symbol is a per-CPU variable.
func (s *Space) perCPUSymbol(sym *isf.Symbol) bool {
	if sym.Address < 1<<63 {
		return true
	}
	start, err := s.types.Symbol("__per_cpu_start")
	if err != nil {
		return false
	}
	end, err := s.types.Symbol("__per_cpu_end")
	return err == nil && start.Address <= sym.Address && sym.Address < end.Address
}
