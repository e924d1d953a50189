package process

import (
	"context"
	"fmt"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/vmem"
)

// Relations are what a task has to do with others. Numbers are those of the initial PID namespace; 0 is none.
type Relations struct {
	Group         int32   `json:"processGroup"`
	Session       int32   `json:"session"`
	SessionLeader bool    `json:"sessionLeader"`
	Terminal      string  `json:"terminal" jsonx:"null"` // the controlling terminal, as below /dev, such as pts/0
	Foreground    int32   `json:"foreground"`            // process group of the terminal; -1 without a terminal
	Tracer        int32   `json:"tracer"`                // the thread that traces this one
	Traced        []int32 `json:"traced"`                // threads that this one traces
	ExitSignal    int32   `json:"exitSignal"`            // that its parent gets at its end; -1 of threads
	DeathSignal   int32   `json:"deathSignal"`           // that it gets at its parent's end
	Threads       int32   `json:"threads"`               // of its process

	terminal uint32 // its number, as /proc/PID/stat has it
}

// Relations reads what the task has to do with others. The error is a [vmem.Gap]; with it comes what could be read.
func (r *Reader) Relations(ctx context.Context, t *linux.Task) (Relations, error) {
	_, s, err := r.signal(t)
	if err != nil {
		return Relations{}, lost(t, "relations", t.Addr, err)
	}
	out := Relations{SessionLeader: s.Leader != 0, Threads: s.Threads, Foreground: -1, Traced: []int32{}}
	var first error
	keep := func(err error) {
		if first == nil {
			first = err
		}
	}
	out.Group, err = r.pid(s.PIDs[2])
	keep(err)
	out.Session, err = r.pid(s.PIDs[3])
	keep(err)
	keep(r.terminal(s.TTY, &out))
	keep(r.tracing(ctx, t, &out))
	return out, lost(t, "relations", t.Addr, first)
}

// The device numbers of Unix98 pseudo-terminals (include/uapi/linux/major.h), which are files of devpts.
const (
	unix98Slave  = 136
	unix98Majors = 8
)

// terminal reads the controlling terminal (tty_devnum of include/linux/tty_driver.h, new_encode_dev of include/linux/kdev_t.h).
func (r *Reader) terminal(at vmem.VirtAddr, out *Relations) error {
	if at == 0 {
		return nil
	}
	if !plausible(at) {
		return corrupt("tty_struct pointer %v", at)
	}
	tty, err := r.views.tty.Load(r.mem, at)
	var driver ttyDriver
	if err == nil {
		driver, err = r.views.driver.Load(r.mem, tty.Driver)
	}
	if err != nil {
		return cause(err, r.views.ttyErr)
	}
	out.Terminal = cString(tty.Name[:])
	if driver.Major >= unix98Slave && driver.Major < unix98Slave+unix98Majors {
		out.Terminal = fmt.Sprintf("pts/%d", tty.Index)
	}
	minor := uint32(driver.Minor + tty.Index)
	out.terminal = minor&0xff | uint32(driver.Major)<<8 | minor&^0xff<<12
	out.Foreground, err = r.pid(tty.PGrp)
	return err
}

// maxTraced bounds how many threads one traces.
const maxTraced = 1 << 16

// tracing reads who traces the task, and whom it traces.
func (r *Reader) tracing(ctx context.Context, t *linux.Task, out *Relations) error {
	run, err := r.views.run.Load(r.mem, t.Addr)
	var s taskExit
	if err == nil {
		s, err = r.views.exit.Load(r.mem, t.Addr)
	}
	if err != nil {
		return cause(err, r.views.err)
	}
	out.ExitSignal, out.DeathSignal = s.ExitSignal, s.DeathSignal
	if run.Ptrace != 0 {
		if out.Tracer, err = r.views.tid.Load(r.mem, s.Parent); err != nil {
			return fmt.Errorf("its tracer: %w", err)
		}
	}
	w := r.objects.Walk(ctx, &kstruct.WalkOptions{Object: "traced by " + t.String(), Nodes: maxTraced})
	var first error
	for node, err := range w.List(s.Traced) {
		var tid int32
		if err == nil {
			tid, err = r.views.tid.Load(r.mem, r.views.traced.Container(node))
		}
		if err == nil {
			out.Traced = append(out.Traced, tid)
		} else if first == nil {
			first = err
		}
	}
	return first
}

// cString returns b up to its first NUL.
func cString(b []byte) string {
	for i, c := range b {
		if c == 0 {
			return string(b[:i])
		}
	}
	return string(b)
}
