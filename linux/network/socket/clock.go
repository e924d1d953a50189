package socket

import (
	"github.com/nodelens/nodelens/linux/internal/jiffies"
	"github.com/nodelens/nodelens/vmem"
)

// A clock tells what jiffies are worth.
type clock struct {
	now uint64 // jiffies_64
	hz  uint64 // how many there are in a second; 0 if that is not known
}

// rates are the values that CONFIG_HZ has (kernel/Kconfig.hz).
var rates = [...]uint64{100, 250, 300, 1000}

// readClock reads jiffies (exported) and finds out how fast they go.
func (f *finder) readClock() {
	at, err := f.k.Symbol("jiffies")
	if err != nil {
		at, err = f.k.Symbol("jiffies_64")
	}
	if err == nil {
		f.clock.now, err = f.mem.Uint64(at)
	}
	if err != nil {
		f.loseAt("timers of sockets", at, err)
		return
	}
	if f.clock.hz = f.rate(); f.clock.hz == 0 {
		f.loseAt("timers of sockets", at, corrupt("jiffies of %d fit no clock", f.clock.now))
	}
}

// rate returns how many jiffies there are in a second: as many as went by since the machine was
// booted, or where that does not decide it, as settings of TCP say that are as they were made.
func (f *finder) rate() uint64 {
	if t, err := jiffies.Read(f.k); err == nil {
		return t.HZ
	}
	var votes [len(rates)]int
	for _, n := range f.nets {
		for _, s := range [...]struct{ jiffies, seconds int32 }{{n.Fin, 60}, {n.Alive, 7200}, {n.Interval, 75}} {
			for i, hz := range rates {
				if int64(s.jiffies) == int64(hz)*int64(s.seconds) {
					votes[i]++
				}
			}
		}
	}
	best := 0
	for i, n := range votes {
		if n > votes[best] {
			best = i
		}
	}
	if votes[best] < 2 { // one can be a setting that happens to be that of another rate
		return 0
	}
	return rates[best]
}

// until returns the milliseconds from now to a time in jiffies, 0 if it has gone by, as
// jiffies_delta_to_msecs does.
func (c *clock) until(jiffies uint64) int64 {
	if c.hz == 0 || int64(jiffies-c.now) < 0 {
		return 0
	}
	return c.millis(jiffies - c.now)
}

func (c *clock) millis(jiffies uint64) int64 {
	if c.hz == 0 || jiffies > 1<<48 {
		return 0
	}
	return int64(jiffies * 1000 / c.hz)
}

// since returns the milliseconds since a time in the lower half of jiffies.
func (c *clock) since(jiffies uint32) int64 {
	ago := uint32(c.now) - jiffies
	if uint64(-ago) < 3600*c.hz { // pages are not captured at one instant
		return 0
	}
	return c.millis(uint64(ago))
}

// micros returns an interval of jiffies in microseconds.
func (c *clock) micros(jiffies uint32) int64 {
	if c.hz == 0 {
		return 0
	}
	return int64(uint64(jiffies) * 1_000_000 / c.hz)
}

// A timerList is struct timer_list.
type timerList struct {
	Pending vmem.VirtAddr `kernel:"entry.pprev"`
	Expires uint64        `kernel:"expires"`
}
