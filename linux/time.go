package linux

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// A timekeeper is struct timekeeper (include/linux/timekeeper_internal.h): offsets from
// the monotonic clock, in nanoseconds.
type timekeeper struct {
	Real    int64  `kernel:"offs_real"` // of the wall clock
	Boot    int64  `kernel:"offs_boot"` // of the clock that counts suspended time
	Seconds uint64 `kernel:"xtime_sec"` // of the wall clock

	// The wall clock's offset again, the other way round.
	WallSeconds int64 `kernel:"wall_to_monotonic.tv_sec"`
	WallNanos   int64 `kernel:"wall_to_monotonic.tv_nsec"`
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

// bootTime computes getboottime64 of kernel/time/timekeeping.c: offs_real-offs_boot. Where
// the timekeeper is lost, the clocks that processes read tell the same.
func (k *Kernel) bootTime() (time.Time, error) {
	addr, err := k.timekeeper()
	if err != nil {
		return time.Time{}, err
	}
	t, err := k.readTimekeeper(addr)
	if err == nil {
		return time.Unix(0, t.Real-t.Boot).UTC(), nil
	}
	lost := newGap("boot time", addr, err)
	if errors.Is(err, kstruct.ErrUnsupported) {
		return time.Time{}, lost
	}
	boot, ok := k.bootTimeForUsers()
	if !ok {
		return time.Time{}, lost
	}
	k.gaps = append(k.gaps, lost)
	return boot, nil
}

// readTimekeeper reads the timekeeper at addr. It has the offset of the wall clock in two
// forms, and the wall clock goes since 1970.
func (k *Kernel) readTimekeeper(addr vmem.VirtAddr) (timekeeper, error) {
	v := &k.views.time
	t, err := v.keeper.Load(k.space, addr)
	switch {
	case err != nil:
		return t, cause(err, v.err)
	case t.Seconds == 0 || t.Seconds > maxSeconds || t.Real != -(t.WallSeconds*int64(time.Second)+t.WallNanos):
		return t, fmt.Errorf("%w: timekeeper of %d seconds since 1970, offset %d ns and %d s %d ns", kstruct.ErrCorrupt, t.Seconds, t.Real, t.WallSeconds, t.WallNanos)
	}
	return t, nil
}

// maxSeconds is KTIME_SEC_MAX of include/linux/ktime.h: no clock goes further.
const maxSeconds = math.MaxInt64 / uint64(time.Second)

// bootTimeForUsers computes the boot time from the page with clocks that the kernel maps
// into each process (update_vsyscall of kernel/time/vsyscall.c): the coarse ones, which are
// always kept, and the time that the machine was suspended from the others, if they are.
func (k *Kernel) bootTimeForUsers() (time.Time, bool) {
	page := k.clockForUsers()
	var lost error
	read := func(path string) int64 {
		n, err := page.At(path).Uint()
		lost = cmp.Or(lost, err)
		return int64(n)
	}
	clock := func(id int) (sec, nsec int64) {
		at := fmt.Sprintf("basetime[%d]", id)
		return read(at + ".sec"), read(at + ".nsec")
	}
	const monotonic, realCoarse, monotonicCoarse, boottime = 1, 5, 6, 7 // include/uapi/linux/time.h
	sec, nsec := clock(realCoarse)
	since, sinceNanos := clock(monotonicCoarse)
	boot := time.Unix(sec-since, nsec-sinceNanos).UTC()
	mode, err := page.At("clock_mode").Int()
	if err == nil && mode != 0 { // VDSO_CLOCKMODE_NONE
		s1, n1 := clock(boottime)
		s2, n2 := clock(monotonic)
		boot = boot.Add(-time.Duration(s1-s2)*time.Second - time.Duration((n1-n2)>>(read("shift")&63)))
	}
	sound := lost == nil && err == nil && since > 0 && sec >= since && uint64(sec) <= maxSeconds && max(nsec, sinceNanos) < int64(time.Second)
	return boot, sound && boot.Unix() > 0 && boot.Unix() <= sec
}

// clockForUsers returns the structure with the clocks of that page, an error in it where
// there is none.
func (k *Kernel) clockForUsers() kstruct.Value {
	if at, err := k.Symbol("_vdso_data"); err == nil { // until 6.14
		return k.Struct("vdso_data", at)
	}
	var data uint64
	at, err := k.Symbol("vdso_k_time_data")
	if err == nil {
		data, err = k.space.Uint64(at)
	}
	if err != nil {
		data = 0
	}
	return k.Struct("vdso_time_data", vmem.VirtAddr(data)).At("clock_data[0]")
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
