package vmem_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/nodelens/nodelens/internal/pagetest"
	"github.com/nodelens/nodelens/vmem"
)

const viewBase = vmem.VirtAddr(0xffff888000000000)

// newView maps two pages of kernel memory, of which the second is captured up to its
// byte 0x800, and a third that is not there.
func newView(t testing.TB) *vmem.AddressSpace {
	m, tables := newTables(4)
	tables.Map(viewBase, 0x200000, 1, pagetest.Present)
	tables.Map(viewBase+vmem.PageSize, 0x300000, 1, pagetest.Present)
	m.PutUint64(0x200ff8, 0x0807060504030201)
	m.Zero(0x200000, 0xff8)
	m.Zero(0x300000, 0x800)
	return openSpace(t, m, tables.Root(), nil)
}

func TestView(t *testing.T) {
	as := newView(t)
	for _, tt := range []struct {
		name string
		off  vmem.VirtAddr
		size int
		want []byte
		err  error
	}{
		{"inside a page", 0xff8, 4, []byte{1, 2, 3, 4}, nil},
		{"up to the end of a page", 0xffc, 100, []byte{5, 6, 7, 8}, nil},
		{"up to what was not captured", 0x17fe, 16, []byte{0, 0}, nil},
		{"nothing asked for", 0x5000, 0, nil, nil},
		{"not captured", 0x1800, 8, nil, vmem.ErrNotCaptured},
		{"not present", 0x2000, 8, nil, vmem.ErrNotPresent},
	} {
		for _, state := range []string{"uncached", "cached"} {
			got, err := as.View(viewBase+tt.off, tt.size)
			if !bytes.Equal(got, tt.want) || !errors.Is(err, tt.err) {
				t.Errorf("%s, %s: got %v and %v, want %v and %v", tt.name, state, got, err, tt.want, tt.err)
			}
			if f, ok := errors.AsType[*vmem.Fault](err); ok && f.Virt != viewBase+tt.off {
				t.Errorf("%s, %s: fault at %v, want %v", tt.name, state, f.Virt, viewBase+tt.off)
			}
		}
	}
	if _, err := as.View(1<<62, 1); !errors.Is(err, vmem.ErrNonCanonical) {
		t.Errorf("got %v, want %v", err, vmem.ErrNonCanonical)
	}
}

func TestViewAllocatesNothing(t *testing.T) {
	as := newView(t)
	if n := testing.AllocsPerRun(100, func() {
		if _, err := as.View(viewBase+0xff0, 16); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
