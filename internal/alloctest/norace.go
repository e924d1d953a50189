//go:build !race

package alloctest

// Race says whether the test runs under the race detector, whose own memory is many times the program's and beyond what
// [runtime.MemStats] tells of.
const Race = false
