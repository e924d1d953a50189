package testimages

import (
	"os"
	"runtime/debug"
)

// Tests of images make much garbage beside little that they keep, and a fifth of their time was
// the collection of it. Where GOGC says how often that is to be, it is so.
func init() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400)
	}
}
