//go:build unix

package fleet

import (
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// usage returns what this process took.
func usage(elapsed time.Duration) Usage {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return Usage{Elapsed: elapsed}
	}
	all := usageOf(elapsed, &u)
	if own := highWater(); own > 0 {
		all.PeakBytes = own
	}
	return all
}

// usageOf returns what a process took, by the account of the system. On Linux the peak is at least that of whoever started it, by then.
func usageOf(elapsed time.Duration, u *syscall.Rusage) Usage {
	peak := int64(u.Maxrss)       //nolint:unconvert // of 32 bits on some systems
	if runtime.GOOS != "darwin" { // which counts bytes, and others kibibytes
		peak <<= 10
	}
	return Usage{Elapsed: elapsed, CPU: time.Duration(u.Utime.Nano() + u.Stime.Nano()), PeakBytes: peak}
}

// highWater returns the peak of the memory of this program on Linux, in bytes, and 0 elsewhere.
func highWater() int64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(status), "\nVmHWM:")
	line, _, _ := strings.Cut(rest, "kB")
	n, err := strconv.ParseInt(strings.TrimSpace(line), 10, 64)
	if err != nil {
		return 0
	}
	return n << 10
}

// usageOfEnded returns what a process took that has ended.
func usageOfEnded(elapsed time.Duration, s *os.ProcessState) Usage {
	if u, ok := s.SysUsage().(*syscall.Rusage); ok {
		return usageOf(elapsed, u)
	}
	return Usage{Elapsed: elapsed, CPU: s.UserTime() + s.SystemTime()}
}
