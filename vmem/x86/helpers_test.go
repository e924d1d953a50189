package x86_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/nodelens/nodelens/internal/pagetest"
	"github.com/nodelens/nodelens/vmem"
	"github.com/nodelens/nodelens/vmem/x86"
)

type (
	virtRange = vmem.Range[vmem.VirtAddr]
	physRange = vmem.Range[vmem.PhysAddr]
)

var (
	// equateEmpty makes cmp treat nil and empty slices alike.
	equateEmpty = cmpopts.EquateEmpty()
	// equateErrors makes cmp compare errors as errors.Is does: the wanted one is a
	// sentinel, or the same in all else.
	equateErrors = cmpopts.EquateErrors()
)

// The halves of an address space. No range can express both together.
var (
	userHalf   = virtRange{Start: 0, Size: 1 << 63}
	kernelHalf = virtRange{Start: 1 << 63, Size: 1 << 63}
)

func openSpace(t testing.TB, m vmem.Memory, root vmem.PhysAddr, opts *x86.Options) *vmem.AddressSpace {
	t.Helper()
	as, err := x86.NewAddressSpace(vmem.NewPhysical(m), root, opts)
	if err != nil {
		t.Fatalf("NewAddressSpace: %v", err)
	}
	return as
}

// collect returns what Mappings yields, up to limit elements if that is not 0.
func collect(t testing.TB, as *vmem.AddressSpace, within virtRange, limit int) []step {
	t.Helper()
	var out []step
	for m, err := range as.Mappings(within) {
		s := step{Mapping: m}
		if err != nil {
			s.Fault = asFault(t, err)
		}
		if out = append(out, s); len(out) == limit {
			break
		}
	}
	return out
}

// collectAll returns what Mappings yields for the whole address space.
func collectAll(t testing.TB, as *vmem.AddressSpace) []step {
	t.Helper()
	return append(collect(t, as, userHalf, 0), collect(t, as, kernelHalf, 0)...)
}

// A step is one element of a walk.
type step struct {
	vmem.Mapping
	Fault *fault // nil for a page
}

// A fault is a vmem.Fault that is no error, so that cmp compares its fields.
type fault vmem.Fault

func asFault(t testing.TB, err error) *fault {
	t.Helper()
	f, ok := errors.AsType[*vmem.Fault](err)
	if !ok {
		t.Fatalf("error %v (%T) is not a *vmem.Fault", err, err)
	}
	return (*fault)(f)
}

// page returns the 4 KiB, 2 MiB or 1 GiB that an entry of a level maps at va.
func page(va vmem.VirtAddr, level int) virtRange {
	return virtRange{Start: va, Size: 1 << (12 + 9*(level-1))}
}

// newTables returns memory with empty page tables at 1 MiB.
func newTables(levels int) (*pagetest.Memory, *pagetest.Tables) {
	m := new(pagetest.Memory)
	return m, pagetest.NewTables(m, levels, 1<<20)
}
