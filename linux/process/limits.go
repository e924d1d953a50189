package process

import (
	"fmt"
	"strings"

	"github.com/nodelens/nodelens/linux"
)

// Unlimited is the value of a limit that is none: RLIM_INFINITY.
const Unlimited = 1<<64 - 1

// A Limit is one of a process's resource limits (signal_struct.rlim).
type Limit struct {
	Name string `json:"name"` // as ulimit and container runtimes name it, such as RLIMIT_NOFILE
	Soft uint64 `json:"soft"` // Unlimited for none
	Hard uint64 `json:"hard"`
}

// limitNames are the limits by number (include/uapi/asm-generic/resource.h), as they are called and as
// /proc/PID/limits shows them (lnames of fs/proc/base.c).
var limitNames = [rlimits]struct{ name, text, unit string }{
	{"RLIMIT_CPU", "Max cpu time", "seconds"}, {"RLIMIT_FSIZE", "Max file size", "bytes"},
	{"RLIMIT_DATA", "Max data size", "bytes"}, {"RLIMIT_STACK", "Max stack size", "bytes"},
	{"RLIMIT_CORE", "Max core file size", "bytes"}, {"RLIMIT_RSS", "Max resident set", "bytes"},
	{"RLIMIT_NPROC", "Max processes", "processes"}, {"RLIMIT_NOFILE", "Max open files", "files"},
	{"RLIMIT_MEMLOCK", "Max locked memory", "bytes"}, {"RLIMIT_AS", "Max address space", "bytes"},
	{"RLIMIT_LOCKS", "Max file locks", "locks"}, {"RLIMIT_SIGPENDING", "Max pending signals", "signals"},
	{"RLIMIT_MSGQUEUE", "Max msgqueue size", "bytes"}, {"RLIMIT_NICE", "Max nice priority", ""},
	{"RLIMIT_RTPRIO", "Max realtime priority", ""}, {"RLIMIT_RTTIME", "Max realtime timeout", "us"},
}

// Limits returns the limits of the task's process, in the kernel's order. The error is a [vmem.Gap].
func (r *Reader) Limits(t *linux.Task) ([]Limit, error) {
	_, s, err := r.signal(t)
	if err != nil {
		return nil, lost(t, "limits", t.Addr, err)
	}
	all := make([]Limit, 0, rlimits)
	for i, l := range s.Limits {
		all = append(all, Limit{limitNames[i].name, l.Cur, l.Max})
	}
	return all, nil
}

// LimitsText returns limits, as [Reader.Limits] gives them, in the form of /proc/PID/limits (proc_pid_limits of fs/proc/base.c).
func LimitsText(limits []Limit) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-25s %-20s %-20s %-10s\n", "Limit", "Soft Limit", "Hard Limit", "Units")
	value := func(v uint64) string {
		if v == Unlimited {
			return "unlimited"
		}
		return fmt.Sprint(v)
	}
	for i, l := range limits {
		if i >= rlimits {
			break
		}
		n := limitNames[i]
		fmt.Fprintf(&b, "%-25s %-20s %-20s ", n.text, value(l.Soft), value(l.Hard))
		if n.unit != "" {
			fmt.Fprintf(&b, "%-10s", n.unit)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// signal reads what of the task is about signals, and the signal_struct of its process.
func (r *Reader) signal(t *linux.Task) (taskSignals, *signalStruct, error) {
	r.k.Physical().Refresh()
	ts, err := r.views.signals.Load(r.mem, t.Addr)
	if err == nil && !plausible(ts.Signal) {
		err = corrupt("signal_struct pointer %v", ts.Signal)
	}
	if err != nil {
		return ts, nil, cause(err, r.views.err)
	}
	s := new(signalStruct)
	if err := r.views.signal.Read(r.mem, ts.Signal, s); err != nil {
		return ts, nil, cause(err, r.views.err)
	}
	if nr, err := r.pid(s.PIDs[1]); err != nil || nr != t.TGID {
		return ts, nil, corrupt("signal_struct %v is of process %d", ts.Signal, nr)
	}
	return ts, s, nil
}
