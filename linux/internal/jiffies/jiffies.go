// Package jiffies reads the kernel's time in ticks, and finds how many there are in a second.
package jiffies

import (
	"fmt"
	"time"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/linux"
)

// A Time is the kernel's time in ticks.
type Time struct {
	Now uint64
	HZ  uint64
}

// rates are the ticks a second that x86 kernels can be built for (kernel/Kconfig.hz).
var rates = [...]uint64{100, 250, 300, 1000}

// Read returns the kernel's time in ticks and how many there are in a second.
//
// The time is the exported variable jiffies. HZ is a constant of the build that no structure
// holds, but it starts at 300 seconds before the 32nd bit overflows (INITIAL_JIFFIES of
// include/linux/jiffies.h), and the kernel's clock says how long ago that was: of the rates
// that a kernel can have, the right one makes the two agree. Five minutes after the start all do, and
// after a long suspension a wrong one can: then HZ is not known.
func Read(k *linux.Kernel) (Time, error) {
	at, err := k.Symbol("jiffies")
	if err != nil {
		if at, err = k.Symbol("jiffies_64"); err != nil {
			return Time{}, fmt.Errorf("%w: %w", kstruct.ErrUnsupported, err)
		}
	}
	now, err := k.Space().Uint64(at)
	if err != nil {
		return Time{}, err
	}
	boot, err := k.BootTime()
	if err != nil {
		return Time{}, err
	}
	clock, err := k.Clock()
	if err != nil {
		return Time{}, err
	}
	return rateOf(now, clock.Sub(boot))
}

// rateOf finds HZ by what jiffies are after an uptime.
func rateOf(now uint64, uptime time.Duration) (Time, error) {
	best, second, hz := time.Duration(1<<62), time.Duration(1<<62), uint64(0)
	for _, rate := range rates {
		start := uint64(1<<32) - 300*rate
		if now < start {
			continue
		}
		ticks := now - start
		if ticks/rate > uint64(time.Duration(1<<62)/time.Second) {
			continue
		}
		off := (time.Duration(ticks/rate)*time.Second - uptime).Abs()
		if off < best {
			best, second, hz = off, best, rate
		} else {
			second = min(second, off)
		}
	}
	// What the machine was suspended for does not count in jiffies.
	// Near 300 s all rates agree, and after long pauses a wrong one can: nothing is guessed.
	if hz == 0 || best > uptime/2+10*time.Second || second-best < best+2*time.Second {
		return Time{}, fmt.Errorf("%w: jiffies of %d after %v are of no rate that kernels have", kstruct.ErrCorrupt, now, uptime)
	}
	return Time{Now: now, HZ: hz}, nil
}

// Left returns the time until the lower 32 bits of jiffies are at: 0 if they were.
func (j Time) Left(at uint32) time.Duration {
	left := int32(at - uint32(j.Now)) //nolint:gosec // it wraps as in the kernel
	if left <= 0 || j.HZ == 0 {
		return 0
	}
	return j.Ticks(uint64(left))
}

// Left64 is Left for all 64 bits.
func (j Time) Left64(at uint64) time.Duration {
	left := int64(at - j.Now) //nolint:gosec // it wraps as in the kernel
	if left <= 0 || j.HZ == 0 {
		return 0
	}
	return j.Ticks(uint64(left))
}

// Ticks returns how long n ticks are.
func (j Time) Ticks(n uint64) time.Duration {
	if j.HZ == 0 || n/j.HZ > uint64(time.Duration(1<<62)/time.Second) {
		return 0
	}
	return time.Duration(n/j.HZ)*time.Second + time.Duration(n%j.HZ)*time.Second/time.Duration(j.HZ)
}
