package kstruct_test

import (
	"errors"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// perCPUMachine has CPUs 0, 1 and 65, whose areas are 0x1000 bytes apart from offset
// 0x10000 on. start is the address of the first per-CPU variable.
func perCPUMachine(t *testing.T, start uint64) (*machine, []isf.Symbol) {
	m := newMachine(t)
	m.put(0x100, 3, 2)
	for cpu := range uint64(128) {
		m.put(0x200+cpu*8, at(0x8000)-start) // what CPUs that there can't be have
	}
	for i, cpu := range []uint64{0, 1, 65} {
		m.put(0x200+cpu*8, at(0x10000+uint64(i)*0x1000)-start)
	}
	linked := uint64(base) - kaslr
	return m, []isf.Symbol{
		{Name: "__cpu_possible_mask", Address: linked + 0x100},
		{Name: "__per_cpu_offset", Address: linked + 0x200},
		{Name: "ordinary", Address: linked + 0x300, Type: &isf.Type{Kind: isf.KindBase, Name: "int"}},
		{Name: "behind", Address: linked + 0x4000},
	}
}

// kaslr is by how much the kernels of these tests are moved.
const kaslr = 0x1000000

func (m *machine) shifted(symbols []isf.Symbol) *kstruct.Space {
	s := m.space(kernelTypes, symbols...)
	return kstruct.NewSpace(s.Memory(), s.Types(), kaslr)
}

func TestPerCPU(t *testing.T) {
	linked := uint64(base) - kaslr
	tests := []struct {
		name   string
		start  uint64 // as it runs
		extra  []isf.Symbol
		symbol uint64 // of the variable, as linked
	}{
		{"from 0 on", 0, nil, 0x40},
		{"from 0 on, with bounds", 0, []isf.Symbol{{Name: "__per_cpu_start"}, {Name: "__per_cpu_end", Address: 0x1000}}, 0x40},
		{"in the kernel", at(0x3000), []isf.Symbol{
			{Name: "__per_cpu_start", Address: linked + 0x3000}, {Name: "__per_cpu_end", Address: linked + 0x4000},
		}, linked + 0x3040},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m, symbols := perCPUMachine(t, tt.start)
			variable := isf.Symbol{Name: "runqueues", Address: tt.symbol, Type: &isf.Type{Kind: isf.KindBase, Name: "u64"}}
			s := m.shifted(append(append(symbols, tt.extra...), variable))
			cpus, err := s.CPUs()
			if d := cmp.Diff([]int{0, 1, 65}, cpus); d != "" || err != nil {
				t.Fatalf("CPUs (-want +got):\n%s, %v", d, err)
			}
			for i, cpu := range cpus {
				a, typ, err := s.PerCPU("runqueues", cpu)
				if want := base + 0x10040 + vmem.VirtAddr(i)*0x1000; a != want || err != nil || typ.Name != "u64" {
					t.Errorf("runqueues of CPU %d: %v, %v, %v; want it at %v", cpu, a, typ, err, want)
				}
				ptr := vmem.VirtAddr(tt.start + 0x80)
				if a, err := s.PerCPUPtr(ptr, cpu); a != base+0x10080+vmem.VirtAddr(i)*0x1000 || err != nil {
					t.Errorf("%v on CPU %d: %v, %v", ptr, cpu, a, err)
				}
			}
			for _, cpu := range []int{-1, 2, 64, 127, 128, math.MaxInt} {
				if a, _, err := s.PerCPU("runqueues", cpu); !errors.Is(err, kstruct.ErrRange) {
					t.Errorf("runqueues of CPU %d: %v, %v", cpu, a, err)
				}
			}
			if a, _, err := s.Symbol("runqueues"); !errors.Is(err, kstruct.ErrPerCPU) {
				t.Errorf("runqueues without a CPU: %v, %v", a, err)
			}
			if v := s.Object("runqueues"); !errors.Is(v.Err(), kstruct.ErrPerCPU) {
				t.Errorf("runqueues as an object: %v, %v", v.Addr(), v.Err())
			}
			for _, name := range []string{"ordinary", "behind"} {
				if a, _, err := s.PerCPU(name, 0); !errors.Is(err, kstruct.ErrType) {
					t.Errorf("%s of CPU 0: %v, %v", name, a, err)
				}
			}
			if a, typ, err := s.Symbol("ordinary"); a != base+0x300 || typ.Name != "int" || err != nil {
				t.Errorf("ordinary: %v, %v, %v", a, typ, err)
			}
			var missing *isf.LookupError
			if _, _, err := s.PerCPU("nothing", 0); !errors.As(err, &missing) || !errors.Is(err, kstruct.ErrUnsupported) {
				t.Errorf("nothing of CPU 0: %v", err)
			}
		})
	}
}

func TestPerCPULost(t *testing.T) {
	m, symbols := perCPUMachine(t, 0)
	if _, err := m.shifted(symbols[1:]).CPUs(); !errors.Is(err, kstruct.ErrUnsupported) {
		t.Errorf("CPUs without their mask: %v", err)
	}
	m.forget(0x208, 8)
	s := m.shifted(symbols)
	if a, err := s.PerCPUPtr(0x40, 0); a != base+0x10040 || err != nil {
		t.Errorf("CPU 0: %v, %v", a, err)
	}
	if _, err := s.PerCPUPtr(0x40, 1); !errors.Is(err, vmem.ErrNotCaptured) {
		t.Errorf("CPU 1, whose offset is lost: %v", err)
	}
	m.forget(0x100, 8)
	if _, err := m.shifted(symbols).CPUs(); !errors.Is(err, vmem.ErrNotCaptured) {
		t.Errorf("CPUs whose mask is lost: %v", err)
	}
}

// parts writes what each CPU has at a per-CPU offset of 0x40.
func (m *machine) parts(words ...uint64) {
	for i, w := range words {
		m.put(0x10040+uint64(i)*0x1000, w)
	}
}

func TestCounter(t *testing.T) {
	m, symbols := perCPUMachine(t, 0)
	m.put(0x1000, 0, 1000, 0, 0, 0x40)
	m.parts(5, 1<<32-7 /* -7; the upper half is another variable */, 0xdead<<32|3)
	a := base + 0x1000
	if got, err := m.shifted(symbols).Counter(a); got != 1001 || err != nil {
		t.Errorf("counter %d, %v, want 1001", got, err)
	}
	m.put(0x1008, 1<<64-1000)
	if got, err := m.shifted(symbols).Counter(a); got != -999 || err != nil {
		t.Errorf("counter %d, %v, want -999", got, err)
	}
	m.forget(0x11040, 4)
	got, err := m.shifted(symbols).Counter(a)
	if gap, ok := errors.AsType[vmem.Gap](err); got != -992 || !ok || gap.Place.Addr != at(0x11040) {
		t.Errorf("counter without the part of CPU 1: %d, %v, want -992", got, err)
	}
	m.put(0x1020, 0)
	if _, err := m.shifted(symbols).Counter(a); !errors.Is(err, kstruct.ErrNull) {
		t.Errorf("counter without parts: %v", err)
	}
	m.forget(0x1008, 8)
	if _, err := m.shifted(symbols).Counter(a); !errors.Is(err, vmem.ErrNotCaptured) {
		t.Errorf("counter not captured: %v", err)
	}
}

func TestRefCount(t *testing.T) {
	const bias = 1 << 63
	m, symbols := perCPUMachine(t, 0)
	m.parts(5, 1<<64-7, 4)
	a := base + 0x1000
	for _, tt := range []struct {
		name       string
		ptr, count uint64
		want       int64
	}{
		{"on each CPU", 0x40, bias + 10, 12},
		{"in one place", 0x41, 10, 10},
		{"in one place, and dying", 0x43, 1, 1},
		{"on the way to one place", 0x41, bias + 10, 12},
	} {
		m.put(0x1000, tt.ptr, at(0x1100))
		m.put(0x1100, tt.count)
		if got, err := m.shifted(symbols).RefCount(a); got != tt.want || err != nil {
			t.Errorf("references counted %s: %d, %v, want %d", tt.name, got, err, tt.want)
		}
	}
	m.put(0x1008, 0)
	if _, err := m.shifted(symbols).RefCount(a); !errors.Is(err, kstruct.ErrCorrupt) {
		t.Errorf("references without data: %v", err)
	}
}

// Some CPU there always is: a mask without one is lost, and no counter is taken for whole.
func TestNoCPUs(t *testing.T) {
	m, symbols := perCPUMachine(t, 0)
	m.put(0x100, 0, 0)
	m.put(0x1000, 0, 5, 0, 0, 0x40) // a percpu_counter
	s := m.shifted(symbols)
	if cpus, err := s.CPUs(); !errors.Is(err, kstruct.ErrCorrupt) || cpus != nil {
		t.Errorf("CPUs %v, %v", cpus, err)
	}
	if _, err := s.Counter(base + 0x1000); !errors.Is(err, kstruct.ErrCorrupt) {
		t.Errorf("counter: %v", err)
	}
	s = kstruct.NewSpace(s.Memory(), types(t, "cpumask 0", symbols...), kaslr)
	if cpus, err := s.CPUs(); !errors.Is(err, kstruct.ErrUnsupported) || cpus != nil {
		t.Errorf("CPUs of a mask without bits: %v, %v", cpus, err)
	}
}
