package testimages

import (
	"os"
	"runtime/debug"
	"slices"
	"strings"
)

// Tests of images make much garbage beside little that they keep, and a fifth of their time was
// the collection of it. Where GOGC says how often that is to be, it is so, and benchmarks measure what programs have.
func init() {
	bench := slices.ContainsFunc(os.Args, func(a string) bool { return strings.HasPrefix(a, "-test.bench") })
	if os.Getenv("GOGC") == "" && !bench {
		debug.SetGCPercent(400)
	}
}
