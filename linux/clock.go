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
