package linux

import (
	"fmt"
	"time"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// A timekeeper is struct timekeeper (include/linux/timekeeper_internal.h): offsets from
// the monotonic clock, in nanoseconds.
type timekeeper struct {
	Real int64 `kernel:"offs_real"` // of the wall clock
	Boot int64 `kernel:"offs_boot"` // of the clock that counts suspended time
}

type timeViews struct {
	keeper *kstruct.View[timekeeper]
	core   kstruct.Member // of tk_core, which had a type without a name until 6.13
	err    error
}

func bindTime(types *isf.File) (v timeViews) {
	b := kstruct.NewBinder(types)
	v.keeper = kstruct.Bind[timekeeper](b, "timekeeper")
	v.core = kstruct.BindOptionalMember(b, "tk_data", "timekeeper")
	v.err = b.Err()
	return v
}

// bootTime computes getboottime64 of kernel/time/timekeeping.c: offs_real-offs_boot.
func (k *Kernel) bootTime() (time.Time, error) {
	v := &k.views.time
	addr, err := k.timekeeper()
	if err != nil {
		return time.Time{}, err
	}
	t, err := v.keeper.Load(k.space, addr)
	if err != nil {
		return time.Time{}, newGap("boot time", addr, cause(err, v.err))
	}
	return time.Unix(0, t.Real-t.Boot).UTC(), nil
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
	if core := k.views.time.core; core.Ok() {
		return core.Of(base), nil
	}
	// struct { seqcount_t seq; struct timekeeper timekeeper; }, both aligned to 8.
	return base + 8, nil
}
