package network

import (
	"math"
	"time"
)

// ticks are the kernel's jiffies: the unit in which it notes when something was used.
type ticks struct {
	now  uint64 // jiffies when the page with them was captured
	rate uint64 // how many there are in a second: HZ; 0 if that is not known
}

// rates are the values that CONFIG_HZ can have on x86 (kernel/Kconfig.hz).
var rates = []uint64{100, 250, 300, 1000}

// readTicks reads jiffies, which is exported to modules. What HZ is, only code says; it is
// the one by which the node has run for as long as its clock says. jiffies begins five
// minutes before its lower half overflows (INITIAL_JIFFIES of include/linux/jiffies.h), which
// sets the rates far apart. Time that the machine was suspended is not in it.
func (r *reader) readTicks() (t ticks) {
	at, err := r.k.Symbol("jiffies_64")
	if err != nil {
		at, err = r.k.Symbol("jiffies")
	}
	if err != nil {
		return t
	}
	now, err := r.space.Uint64(at)
	if err != nil {
		return t
	}
	boot, err := r.k.BootTime()
	if err != nil {
		return t
	}
	clock, err := r.k.Clock()
	if err != nil {
		return t
	}
	t.now = now
	up := clock.Sub(boot).Seconds()
	best := math.Max(up*0.08, 5)
	for _, rate := range rates {
		ran := float64(int64(now-1<<32))/float64(rate) + 300
		if off := math.Abs(ran - up); off < best {
			best, t.rate = off, rate
		}
	}
	return t
}

// since returns how long ago a time in ticks was, and whether that is known.
func (t ticks) since(then uint64) (time.Duration, bool) {
	if t.rate == 0 {
		return 0, false
	}
	n := max(0, int64(t.now-then)) // pages are not captured at one instant
	if n > math.MaxInt64/int64(time.Second)*int64(t.rate) {
		return 0, false
	}
	return time.Duration(n/int64(t.rate))*time.Second + time.Duration(n%int64(t.rate))*time.Second/time.Duration(t.rate), true
}
