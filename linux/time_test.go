package linux

import (
	"errors"
	"testing"

	"github.com/nodelens/nodelens/internal/smeartest"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// A timekeeper that was overwritten is not believed. Another page has the same time; where
// that is lost too, no time is told.
func TestBootTimeDamaged(t *testing.T) {
	n := openBundled(t)
	want, err := n.k.BootTime()
	if err != nil {
		t.Fatal(err)
	}
	at, err := n.k.timekeeper()
	if err != nil {
		t.Fatal(err)
	}
	for _, member := range []string{"xtime_sec", "offs_real", "wall_to_monotonic.tv_sec"} {
		m := smeartest.New(n.mem)
		n.put(t, m, n.k.Struct("timekeeper", at).At(member).Addr(), 0)
		k, err := n.open(m)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := k.BootTime(); err != nil || !got.Equal(want) {
			t.Errorf("without %s: %v, %v, want %v", member, got, err, want)
		}
		if gaps := k.Gaps(); len(gaps) != 1 || !errors.Is(gaps[0], kstruct.ErrCorrupt) {
			t.Errorf("without %s: %v", member, gaps)
		}
		if got, err := k.Clock(); err == nil {
			t.Errorf("without %s: the clock says %v", member, got)
		}
	}
	m := smeartest.New(n.mem)
	users, err := n.k.Symbol("_vdso_data")
	if err != nil {
		t.Fatal(err)
	}
	for _, lost := range []vmem.VirtAddr{at, users} {
		m.Write(n.phys(t, lost)&^(vmem.PageSize-1), make([]byte, vmem.PageSize))
	}
	k, err := n.open(m)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := k.BootTime(); !errors.Is(err, kstruct.ErrCorrupt) || !got.IsZero() {
		t.Errorf("without any clock: %v, %v", got, err)
	}
}

// TestHZ: a tick of a length that no kernel has is not believed.
func TestHZ(t *testing.T) {
	n := openBundled(t)
	at, err := n.k.timekeeper()
	if err != nil {
		t.Fatal(err)
	}
	if hz, err := n.k.HZ(); hz != 250 || err != nil { // CONFIG_HZ of Debian's kernels
		t.Errorf("%d ticks a second, %v", hz, err)
	}
	for _, interval := range []uint64{0, 1, 1 << 63} {
		m := smeartest.New(n.mem)
		n.put(t, m, n.k.Struct("timekeeper", at).At("xtime_interval").Addr(), interval)
		k, err := n.open(m)
		if err != nil {
			t.Fatal(err)
		}
		if hz, err := k.HZ(); !errors.Is(err, kstruct.ErrCorrupt) {
			t.Errorf("with an interval of %d: %d ticks a second, %v", interval, hz, err)
		}
	}
}
