package linux

import (
	"time"

	"github.com/nodelens/nodelens/kstruct"
)

// Clock returns what the kernel's clock said when its page was captured: the time of the
// last tick of the timekeeper (timekeeper.xtime_sec), which runs behind by milliseconds,
// or seconds where all CPUs idled. It is as right as the node's clock was.
func (k *Kernel) Clock() (time.Time, error) {
	k.refresh()
	at, err := k.timekeeper()
	if err != nil {
		return time.Time{}, err
	}
	if _, err := k.readTimekeeper(at); err != nil {
		return time.Time{}, newGap("clock", at, err)
	}
	tk := k.Struct("timekeeper", at)
	var values [3]uint64
	for i, path := range [...]string{"xtime_sec", "tkr_mono.xtime_nsec", "tkr_mono.shift"} {
		if values[i], err = tk.At(path).Uint(); err != nil {
			return time.Time{}, newGap("clock", at, err)
		}
	}
	ns := values[1] >> min(values[2], 63) // as tk_xtime of kernel/time/timekeeping.c
	if ns > uint64(time.Minute) {
		return time.Time{}, gapf("clock", at, kstruct.ErrCorrupt, "%d ns since the last second", ns)
	}
	return time.Unix(int64(values[0]), int64(ns)).UTC(), nil
}

// rates are the ticks a second that x86 kernels can be built for (kernel/Kconfig.hz).
var rates = [...]uint64{100, 250, 300, 1000}

// HZ returns how many ticks of jiffies are in a second, a constant of the build that no structure
// holds. The timekeeper is moved on by the length of one at a time: NTP_INTERVAL_LENGTH of
// include/linux/timex.h, which timekeeper.xtime_interval has in shifted nanoseconds, but for
// what a clock that runs fast or slow is put right by.
func (k *Kernel) HZ() (uint64, error) {
	k.refresh()
	at, err := k.timekeeper()
	if err != nil {
		return 0, err
	}
	if _, err := k.readTimekeeper(at); err != nil {
		return 0, newGap("ticks", at, err)
	}
	tk := k.Struct("timekeeper", at)
	interval, err := tk.At("xtime_interval").Uint()
	if err != nil {
		return 0, newGap("ticks", at, err)
	}
	shift, err := tk.At("tkr_mono.shift").Uint()
	if err != nil {
		return 0, newGap("ticks", at, err)
	}
	tick := interval >> min(shift, 63)
	for _, hz := range rates {
		if length := uint64(time.Second) / hz; tick >= length-length/100 && tick <= length+length/100 {
			return hz, nil
		}
	}
	return 0, gapf("ticks", at, kstruct.ErrCorrupt, "no kernel has a tick of %d ns", tick)
}
