// Package alloctest holds what a test runs to a bound of memory.
package alloctest

import (
	"runtime"
	"testing"
)

// AtMost runs f, and reports an error if more than most bytes are allocated meanwhile, in all
// goroutines, whether or not they are freed again. what says of which case the test fails; it may be
// empty.
//
// Under the race detector f runs and the bound is not held: there a [sync.Pool] drops one in
// four of the things it is given, at random, so that what a pool saves is allocated again and again.
//
// Other tests that run at the same time would be counted too, so AtMost panics if any do: neither t
// nor one of its parents may be parallel.
func AtMost(t testing.TB, most uint64, what string, f func()) {
	t.Helper()
	testing.AllocsPerRun(1, func() {}) // it refuses to run beside parallel tests
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	used := after.TotalAlloc - before.TotalAlloc
	if what != "" {
		what += ": "
	}
	switch {
	case used > most && !Race:
		t.Errorf("%s%d KiB allocated, at most %d expected", what, used>>10, most>>10)
	case testing.Verbose():
		t.Logf("%s%d KiB allocated of %d", what, used>>10, most>>10)
	}
}
