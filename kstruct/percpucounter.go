package kstruct

import (
	"fmt"

	"github.com/nodelens/nodelens/vmem"
)

// counterLayout is struct percpu_counter.
type counterLayout struct {
	count, counters vmem.VirtAddr
	split           bool // there are counters: with CONFIG_SMP
}

func resolveCounter(r *resolver) counterLayout {
	l := counterLayout{
		count: r.sized("percpu_counter", "count", 8),
		split: r.Type("percpu_counter").Has("counters"),
	}
	if l.split {
		l.counters = r.pointer("percpu_counter", "counters")
	}
	return l
}

// refLayout is struct percpu_ref and struct percpu_ref_data.
type refLayout struct{ ptr, data, refs vmem.VirtAddr }

func resolveRef(r *resolver) refLayout {
	return refLayout{
		ptr:  r.sized("percpu_ref", "percpu_count_ptr", 8),
		data: r.pointer("percpu_ref", "data"),
		refs: r.sized("percpu_ref_data", "count.counter", 8),
	}
}

// Counter returns the exact value of the struct percpu_counter at a, such as
// mm_struct.rss_stat[i] since 6.2: its common count and what each CPU has not added to
// that yet (__percpu_counter_sum of lib/percpu_counter.c); without CONFIG_SMP its count
// is all there is. Where the part of a CPU can't be
// read, what is known is returned with a [vmem.Gap] for the first such part.
func (s *Space) Counter(a vmem.VirtAddr) (int64, error) {
	const object = "per-CPU counter"
	l, err := s.layouts.counter.get(s.types, resolveCounter)
	if err != nil {
		return 0, newGap(object, a, err)
	}
	sum, err := s.mem.Uint64(a + l.count)
	if err != nil || !l.split {
		return int64(sum), gapOf(object, a, err)
	}
	parts, err := s.perCPUSum(a+l.counters, func(p vmem.VirtAddr) (uint64, error) {
		v, err := s.mem.Uint32(p)
		return uint64(int32(v)), err
	})
	return int64(sum + parts), gapOf(object, a, err)
}

// Flags in percpu_ref.percpu_count_ptr, and what percpu_ref_data.count holds beside
// references while CPUs count (include/linux/percpu-refcount.h, lib/percpu-refcount.c).
const (
	refAtomic = 1 // __PERCPU_REF_ATOMIC
	refFlags  = 3 // __PERCPU_REF_FLAG_BITS
	refBias   = 1 << 63
)

// RefCount returns the number of references that the struct percpu_ref at a counts, such
// as cgroup_subsys_state.refcnt: percpu_ref_switch_to_atomic_rcu of lib/percpu-refcount.c.
// Errors are those of [Space.Counter].
//
// It needs kernels since 5.10 (2b0d3d3e4fcf).
func (s *Space) RefCount(a vmem.VirtAddr) (int64, error) {
	const object = "per-CPU reference count"
	l, err := s.layouts.ref.get(s.types, resolveRef)
	if err != nil {
		return 0, newGap(object, a, err)
	}
	ptr, err := s.mem.Uint64(a + l.ptr)
	if err != nil {
		return 0, newGap(object, a, err)
	}
	data, err := s.mem.Uint64(a + l.data)
	if err != nil {
		return 0, newGap(object, a, err)
	}
	if !plausible(vmem.VirtAddr(data)) {
		return 0, newGap(object, a, errPointer("percpu_ref_data", vmem.VirtAddr(data)))
	}
	count, err := s.mem.Uint64(vmem.VirtAddr(data) + l.refs)
	if err != nil || ptr&refAtomic != 0 && count < refBias { // with the bias, the parts are yet to be added
		return int64(count), gapOf(object, a, err)
	}
	parts, err := s.perCPUSumAt(vmem.VirtAddr(ptr&^refFlags), s.mem.Uint64)
	return int64(count - refBias + parts), gapOf(object, a, err)
}

// gapOf is newGap for an error that may be nil.
func gapOf(object string, a vmem.VirtAddr, err error) error {
	if err == nil {
		return nil
	}
	return newGap(object, a, err)
}

// perCPUSum adds up what the __percpu pointer at a leads to.
func (s *Space) perCPUSum(a vmem.VirtAddr, read func(vmem.VirtAddr) (uint64, error)) (uint64, error) {
	ptr, err := s.mem.Uint64(a)
	if err != nil {
		return 0, err
	}
	if ptr == 0 {
		return 0, fmt.Errorf("%w: the parts of the CPUs", ErrNull)
	}
	return s.perCPUSumAt(vmem.VirtAddr(ptr), read)
}

// perCPUSumAt adds up the parts of all CPUs. The error is the first there was; the sum is
// that of the others.
func (s *Space) perCPUSumAt(ptr vmem.VirtAddr, read func(vmem.VirtAddr) (uint64, error)) (uint64, error) {
	cpus, err := s.CPUs()
	if err != nil {
		return 0, err
	}
	var sum uint64
	var lost error
	for _, cpu := range cpus {
		part, err := s.PerCPUPtr(ptr, cpu)
		if err == nil {
			var v uint64
			v, err = read(part)
			sum += v
		}
		if err != nil && lost == nil {
			lost = fmt.Errorf("part of CPU %d: %w", cpu, err)
		}
	}
	return sum, lost
}
