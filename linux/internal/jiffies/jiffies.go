// Package jiffies reads the kernel's time in ticks.
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

// Read returns the kernel's time in ticks, the exported variable jiffies, and how many there are
// in a second.
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
	hz, err := k.HZ()
	if err != nil {
		return Time{}, err
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
