package linux

import (
	"fmt"
	"time"

	"github.com/nodelens/nodelens/vmem"
)

type timeLayout struct {
	timekeeper, offsReal, offsBoot field
}

func newTimeLayout(r resolver) timeLayout {
	return timeLayout{
		// tk_core had a type without a name until 6.13, tk_data since.
		timekeeper: r.opt("tk_data", "timekeeper"),
		offsReal:   r.need("timekeeper", "offs_real"),
		offsBoot:   r.need("timekeeper", "offs_boot"),
	}
}

// bootTime computes getboottime64 of kernel/time/timekeeping.c: offs_real-offs_boot.
func (k *Kernel) bootTime() (time.Time, error) {
	tk, err := k.timekeeper()
	if err != nil {
		return time.Time{}, err
	}
	l, r := &k.layout.time, k.reader()
	ns := int64(r.u64(tk, l.offsReal) - r.u64(tk, l.offsBoot))
	if r.err != nil {
		return time.Time{}, newGap("boot time", tk, r.err)
	}
	return time.Unix(0, ns).UTC(), nil
}

// timekeeper returns the address of the core timekeeper: tk_core.timekeeper, and
// timekeeper_data[TIMEKEEPER_CORE].timekeeper since 6.17 (tk_core is its macro).
func (k *Kernel) timekeeper() (vmem.VirtAddr, error) {
	base, err := k.Symbol("timekeeper_data")
	if err != nil {
		base, err = k.Symbol("tk_core")
	}
	if err != nil {
		return 0, fmt.Errorf("boot time: %w", err)
	}
	if off := k.layout.time.timekeeper; off.ok() {
		return base + vmem.VirtAddr(off), nil
	}
	// struct { seqcount_t seq; struct timekeeper timekeeper; }, both aligned to 8.
	return base + 8, nil
}
