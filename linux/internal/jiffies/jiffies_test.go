package jiffies

import (
	"testing"
	"time"
)

// What HZ is follows from how long the machine has run, and is not guessed where several rates
// fit.
func TestRate(t *testing.T) {
	at := func(hz uint64, ran time.Duration) uint64 {
		return 1<<32 - 300*hz + uint64(ran/time.Second)*hz
	}
	for name, test := range map[string]struct {
		now    uint64
		uptime time.Duration
		hz     uint64
	}{
		"soon":                 {at(250, 100*time.Second), 100 * time.Second, 250},
		"later":                {at(1000, time.Hour), time.Hour, 1000},
		"long":                 {at(100, 1000*time.Hour), 1000*time.Hour + 2*time.Second, 100},
		"suspended":            {at(250, 9*time.Hour), 10 * time.Hour, 250},
		"five minutes":         {at(250, 300*time.Second), 300 * time.Second, 0},
		"suspended for longer": {at(1000, 400*time.Second), 1000 * time.Second, 0},
		"no time at all":       {17, time.Hour, 0},
	} {
		got, err := rateOf(test.now, test.uptime)
		if got.HZ != test.hz || (err == nil) != (test.hz != 0) {
			t.Errorf("%s: %d, %v; want %d", name, got.HZ, err, test.hz)
		}
	}
}
