package network

import (
	"math"
	"time"

	"github.com/nodelens/nodelens/linux/internal/jiffies"
)

// ticks are the kernel's jiffies: the unit in which it notes when something was used.
type ticks struct {
	now  uint64 // jiffies when the page with them was captured
	rate uint64 // how many there are in a second: HZ; 0 if that is not known
}

// readTicks reads jiffies. Where it can't be read, or its rate is not known, no time since is.
func (r *reader) readTicks() ticks {
	t, err := jiffies.Read(r.k)
	if err != nil {
		return ticks{}
	}
	return ticks{now: t.Now, rate: t.HZ}
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
