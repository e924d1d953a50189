//go:build !unix

package fleet

import (
	"os"
	"time"
)

// usage returns what this process took.
func usage(elapsed time.Duration) Usage { return Usage{Elapsed: elapsed} }

// usageOfEnded returns what a process took that has ended.
func usageOfEnded(elapsed time.Duration, s *os.ProcessState) Usage {
	return Usage{Elapsed: elapsed, CPU: s.UserTime() + s.SystemTime()}
}
