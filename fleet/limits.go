package fleet

import (
	"runtime/debug"
	"time"
)

// Limits are what one image may cost. The zero value of each is none.
type Limits struct {
	// Memory of the child in bytes: Go's garbage collector works harder from seven eighths of it on, and on Linux the child gets no more than it
	// (RLIMIT_DATA, which does not count the image that it has mapped).
	Memory int64 `json:"memory,omitempty"`
	// CPU is how much time of processors the child may take, in whole seconds (RLIMIT_CPU); on Linux.
	CPU time.Duration `json:"cpu,omitempty"`
	// Deadline is how long a child may run.
	Deadline time.Duration `json:"deadline,omitempty"`
}

// apply has this process keep to the limits, but for the deadline, to which whoever started it keeps.
func (l Limits) apply() error {
	if l.Memory > 0 {
		debug.SetMemoryLimit(l.Memory / 8 * 7)
	}
	return l.applySystem()
}
