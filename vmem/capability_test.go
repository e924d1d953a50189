package vmem_test

import (
	"slices"
	"testing"

	"github.com/nodelens/nodelens/internal/pagetest"
	"github.com/nodelens/nodelens/vmem"
)

// A talker is memory that says all there is to say of itself.
type talker struct{ machine }

func (talker) Gaps() []vmem.Gap                 { return []vmem.Gap{{Object: "image"}} }
func (talker) Excluded() []physRange            { return []physRange{{Start: 1, Size: 2}} }
func (talker) Elided(r []physRange) []physRange { return r }

// TestWrappersHideNothing asks wrappers for what the memory behind them has.
func TestWrappersHideNothing(t *testing.T) {
	below := talker{machine{new(pagetest.Memory), true}}
	zeros := vmem.WithZeros(below, []physRange{{Start: 0x1000, Size: 0x1000}})
	for name, m := range map[string]vmem.Memory{
		"itself":             below,
		"zeros":              zeros,
		"a cache":            vmem.NewPhysical(below),
		"zeros over a cache": vmem.WithZeros(vmem.NewPhysical(below), []physRange{{Start: 0x1000, Size: 0x1000}}),
		"a cache over zeros": vmem.NewPhysical(zeros),
	} {
		if l, ok := vmem.As[vmem.Live](m); !ok || !l.Live() {
			t.Errorf("%s: not live", name)
		}
		if l, ok := vmem.As[vmem.Lossy](m); !ok || len(l.Gaps()) != 1 {
			t.Errorf("%s: no gaps", name)
		}
		if e, ok := vmem.As[vmem.Excluding](m); !ok || len(e.Excluded()) != 1 {
			t.Errorf("%s: excludes nothing", name)
		}
		if e, ok := vmem.As[vmem.Eliding](m); !ok || len(e.Elided([]physRange{{}, {}})) != 2 {
			t.Errorf("%s: elides nothing", name)
		}
		if !vmem.NewPhysical(m).Live() {
			t.Errorf("%s: a cache over it keeps frames for ever", name)
		}
	}
}

func TestAsFindsNothing(t *testing.T) {
	plain := new(pagetest.Memory)
	if l, ok := vmem.As[vmem.Lossy](plain); ok || l != nil {
		t.Errorf("memory that says nothing of itself: %v", l)
	}
	if l, ok := vmem.As[vmem.Lossy](nil); ok || l != nil {
		t.Errorf("no memory: %v", l)
	}
	if l, ok := vmem.As[vmem.Live](vmem.NewPhysical(plain)); !ok || l.Live() {
		t.Error("a cache over it is live")
	}
}

// TestAsKeepsZeros checks that what is asked for its ranges is the outermost memory.
func TestAsKeepsZeros(t *testing.T) {
	want := []physRange{{Start: 0x1000, Size: 0x1000}}
	m := vmem.WithZeros(new(pagetest.Memory), want)
	if got, ok := vmem.As[vmem.Memory](m); !ok || !slices.Equal(got.Ranges(), want) {
		t.Errorf("%v, %v, want %v", got, ok, want)
	}
}
