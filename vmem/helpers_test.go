package vmem_test

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

const (
	user   = vmem.VirtAddr(0x7f00_0000_0000)
	kernel = vmem.VirtAddr(0xffff_8880_0000_0000)
)

func openSpace(t testing.TB, m vmem.Memory, root vmem.PhysAddr, opts *x86.Options) *vmem.AddressSpace {
	t.Helper()
	as, err := x86.NewAddressSpace(vmem.NewPhysical(m), root, opts)
	if err != nil {
		t.Fatalf("NewAddressSpace: %v", err)
	}
	return as
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

// newTables returns memory with empty page tables at 1 MiB.
func newTables(levels int) (*pagetest.Memory, *pagetest.Tables) {
	m := new(pagetest.Memory)
	return m, pagetest.NewTables(m, levels, 1<<20)
}
