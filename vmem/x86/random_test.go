package x86_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nodelens/nodelens/internal/pagetest"
	"github.com/nodelens/nodelens/vmem"
	"github.com/nodelens/nodelens/vmem/x86"
)

// A jungle is memory whose page tables are random, but point at one another often
// enough to lead somewhere.
type jungle struct {
	mem  *pagetest.Memory
	opts x86.Options
}

const jungleFrames = 12 // the first is the root

func newJungle(rng *rand.Rand) jungle {
	j := jungle{mem: new(pagetest.Memory)}
	j.opts.Levels = 4 + rng.IntN(2)
	if rng.IntN(2) == 0 {
		j.opts.EncryptionMask = 1 << (46 + rng.IntN(6))
	}
	if rng.IntN(2) == 0 {
		j.opts.PhysBits = 40
	}
	for i := range vmem.PhysAddr(jungleFrames) {
		j.mem.Zero(i*vmem.PageSize, vmem.PageSize)
		for range rng.IntN(4) + 1 {
			j.mem.PutUint64(i*vmem.PageSize+8*vmem.PhysAddr(rng.IntN(512)), j.entry(rng))
		}
		if rng.IntN(4) == 0 {
			j.mem.Forget(i*vmem.PageSize+vmem.PhysAddr(rng.IntN(vmem.PageSize)), 1+rng.IntN(16))
		}
	}
	return j
}

// entry returns an entry that is likely to mean something.
func (j jungle) entry(rng *rand.Rand) uint64 {
	e := rng.Uint64() & (pagetest.NX | 1<<58 | 0xfff)
	frame := uint64(rng.IntN(jungleFrames + 2)) // two are not captured
	switch rng.IntN(10) {
	case 0: // anything
		return rng.Uint64()
	case 1: // a swap entry
		return rng.Uint64() &^ (pagetest.Present | pagetest.ProtNone | pagetest.Large)
	case 2: // inverted
		return e&^pagetest.Present | pagetest.ProtNone | ^(frame<<12)&0xf_ffff_ffff_f000&^j.opts.EncryptionMask
	case 3: // large, and aligned
		return e | pagetest.Present | pagetest.Large | frame<<30 | uint64(rng.IntN(2))<<12
	}
	return e&^pagetest.Large | pagetest.Present | frame<<12 | j.opts.EncryptionMask*uint64(rng.IntN(2))
}

func (j jungle) oracle(limit int) *oracle {
	o := &oracle{mem: j.mem, levels: j.opts.Levels, encryption: j.opts.EncryptionMask, physBits: j.opts.PhysBits, limit: limit}
	if o.physBits == 0 {
		o.physBits = 52
	}
	return o
}

func TestRandomTablesAgainstOracle(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 10))
	var pages, faults int
	for range 400 {
		j := newJungle(rng)
		as := openSpace(t, j.mem, 0, &j.opts)
		want := j.oracle(1 << 20).list()
		got := collectAll(t, as)
		if diff := cmp.Diff(want, got, equateErrors, equateEmpty); diff != "" {
			t.Fatalf("whole address space with %+v (-want +got):\n%s", j.opts, diff)
		}
		for _, s := range want {
			checkStep(t, j, as, s, rng)
			if s.Fault != nil {
				faults++
			} else {
				pages++
			}
		}
	}
	if pages < 1000 || faults < 1000 {
		t.Errorf("the tables gave %d pages and %d faults: too few to show anything", pages, faults)
	}
}

// checkStep asks for single addresses and for the range around what the walk found.
func checkStep(t *testing.T, j jungle, as *vmem.AddressSpace, s step, rng *rand.Rand) {
	t.Helper()
	va := s.Range.Start + vmem.VirtAddr(rng.Uint64N(s.Range.Size))
	around := virtRange{Start: va, Size: 1 + rng.Uint64N(-uint64(va)-1)}
	if first := collect(t, as, around, 1); len(first) == 0 || !first[0].Range.Contains(va) {
		t.Fatalf("Mappings(%v) begins with %v, which lacks %v", around, first, va)
	}
	m, err := as.Translate(va)
	if s.Fault == nil {
		if err != nil || m != s.Mapping {
			t.Fatalf("Translate(%v) = %+v, %v, want %+v", va, m, err, s.Mapping)
		}
		checkRead(t, j.mem, as, va, m.At(va))
		return
	}
	// A walk ends at a table that leads back to itself. Translation, as the CPU
	// does it, does not, so it may fault further down.
	if err == nil && s.Fault.Level == 1 {
		t.Fatalf("Translate(%v) = %+v, want %+v", va, m, *s.Fault)
	}
}

// checkRead compares a read of virtual memory inside one page with physical memory.
func checkRead(t *testing.T, m *pagetest.Memory, as *vmem.AddressSpace, va vmem.VirtAddr, pa vmem.PhysAddr) {
	t.Helper()
	got, want := make([]byte, vmem.PageSize-va%vmem.PageSize), make([]byte, vmem.PageSize-va%vmem.PageSize)
	wantN, _ := m.ReadAt(want, int64(pa))
	n, err := as.ReadVirt(got, va)
	if n != wantN || !bytes.Equal(got[:n], want[:n]) {
		t.Fatalf("ReadVirt(%v) = %d bytes, want the %d at %v", va, n, wantN, pa)
	}
	if n == len(got) {
		return
	}
	f := asFault(t, err)
	lost := fault{Virt: va + vmem.VirtAddr(n), Phys: pa + vmem.PhysAddr(n), Entry: f.Entry, Err: vmem.ErrNotCaptured}
	if diff := cmp.Diff(&lost, f, equateErrors); diff != "" {
		t.Fatalf("ReadVirt(%v) (-want +got):\n%s", va, diff)
	}
}

func TestMappingsInPartOfTheAddressSpace(t *testing.T) {
	rng := rand.New(rand.NewPCG(11, 12))
	for range 200 {
		j := newJungle(rng)
		as := openSpace(t, j.mem, 0, &j.opts)
		all := j.oracle(1 << 20).list()
		if len(all) == 0 {
			continue
		}
		a, b := all[rng.IntN(len(all))].Range, all[rng.IntN(len(all))].Range
		within := virtRange{Start: min(a.Start, b.Start) + 1, Size: uint64(max(a.Last(), b.Last())-min(a.Start, b.Start)) - 1}
		if diff := cmp.Diff(cut(all, within), spans(collect(t, as, within, 0))); diff != "" {
			t.Fatalf("Mappings(%v) (-want +got):\n%s", within, diff)
		}
	}
}

// cut returns the spans of the steps that lie in within: pages whole, losses as
// far as they lie there.
func cut(all []step, within virtRange) []string {
	var in []step
	for _, s := range all {
		part := s.Range.Intersect(within)
		if part.Size > 0 && s.Fault != nil {
			s.Range = part
		}
		if part.Size > 0 {
			in = append(in, s)
		}
	}
	return spans(in)
}

func spans(steps []step) []string {
	out := []string{}
	for _, s := range steps {
		out = append(out, fmt.Sprintf("%v lost=%t", s.Range, s.Fault != nil))
	}
	return out
}
