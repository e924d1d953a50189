package cos

import (
	"context"
	"encoding/hex"
	"errors"

	"github.com/nodelens/nodelens/internal/jsonx"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/linux/memory"
	"github.com/nodelens/nodelens/linux/process"
	"github.com/nodelens/nodelens/vmem"
)

// A ProcessSecurity is what a process may do: the section SectionSecurity.
type ProcessSecurity struct {
	PID         int32  `json:"pid"`
	PodUID      string `json:"podUID" jsonx:"null"` // as in Processes
	ContainerID string `json:"containerID" jsonx:"null"`
	process.Security
	// Threads are those that may do something else than the leader: their credentials or filters differ.
	Threads []ThreadSecurity `json:"threads"`
}

// A ThreadSecurity is what a thread may do.
type ThreadSecurity struct {
	TID int32 `json:"tid"`
	process.Security
}

// A SuspiciousMemory is a finding in the memory of a process: the section SectionMemory.
type SuspiciousMemory struct {
	PodUID      string `json:"podUID" jsonx:"null"` // as in Processes
	ContainerID string `json:"containerID" jsonx:"null"`
	memory.Finding
}

// Security reads what each process may do; beside it is what was lost. Only the end of ctx is an error.
func (n *Node) Security(ctx context.Context) ([]ProcessSecurity, []vmem.Gap, error) {
	a, err := n.analysis(ctx)
	if err != nil {
		return nil, nil, err
	}
	return readSecurity(ctx, a)
}

// SuspiciousMemory looks for what is suspicious in the memory of each process; beside it is what was lost. Only the end of ctx is an error.
func (n *Node) SuspiciousMemory(ctx context.Context) ([]SuspiciousMemory, []vmem.Gap, error) {
	a, err := n.analysis(ctx)
	if err != nil {
		return nil, nil, err
	}
	return readMemory(ctx, a)
}

// addSecurity adds the section to the report.
func (a *analysis) addSecurity(ctx context.Context) error {
	all, gaps, err := readSecurity(ctx, a)
	if err != nil {
		return err
	}
	a.report.Security = all
	a.lose(gaps)
	return nil
}

// addMemory adds the section to the report.
func (a *analysis) addMemory(ctx context.Context) error {
	all, gaps, err := readMemory(ctx, a)
	if err != nil {
		return err
	}
	a.report.Memory = all
	a.lose(gaps)
	return nil
}

func readSecurity(ctx context.Context, a *analysis) ([]ProcessSecurity, []vmem.Gap, error) {
	r, pods := process.New(a.kernel), indexPods(a.report)
	all, gaps := []ProcessSecurity{}, []vmem.Gap{}
	for _, t := range a.tasks {
		if err := ctx.Err(); err != nil {
			return nil, nil, err
		}
		s, err := r.Security(t)
		gaps = append(gaps, gapsOf(err)...)
		one := ProcessSecurity{PID: t.PID, Security: *s, Threads: []ThreadSecurity{}}
		if p := pods.processes[t.PID]; p != nil {
			one.PodUID, one.ContainerID = p.PodUID, p.ContainerID
		}
		one.threads(ctx, r, t, &gaps)
		one.hideKeys(a.seal)
		if one, err = asWritten(&one); err != nil {
			gaps = append(gaps, vmem.NewGap("security of "+t.String(), vmem.Place{}, err))
		}
		all = append(all, one)
	}
	limitSection(a, &gaps, "security of processes", &all, sizeOfJSON[ProcessSecurity])
	return all, gaps, ctx.Err()
}

// hideKeys leaves out what keys hold: their names, sizes and digests stay.
func (s *ProcessSecurity) hideKeys(seal *sealer) {
	seal.keys(s.Keyrings.Keys)
	for t := range s.Threads {
		seal.keys(s.Threads[t].Keyrings.Keys)
	}
}

// keys hides what keys hold.
func (s *sealer) keys(all []process.Key) {
	for i := range all {
		k := &all[i]
		b, err := hex.DecodeString(k.Payload)
		if err == nil && len(b) > 0 {
			k.PayloadDigest = s.digest(string(b))
		}
		if !s.show {
			k.Payload = ""
		}
	}
}

// threads reads what threads may do that do not share the leader's credentials and filters. That threads could not be read is
// told with the processes.
func (s *ProcessSecurity) threads(ctx context.Context, r *process.Reader, t *linux.Task, gaps *[]vmem.Gap) {
	for thread, err := range t.Threads(ctx) {
		if err != nil || thread.PID == t.PID {
			continue
		}
		c, err := r.Credentials(thread)
		if err != nil {
			*gaps = append(*gaps, gapsOf(err)...)
			continue
		}
		sc, err := r.Seccomp(thread)
		*gaps = append(*gaps, gapsOf(err)...)
		if c.Address == s.Address && sameFilters(&sc, &s.Seccomp) {
			continue
		}
		other, err := r.Security(thread)
		*gaps = append(*gaps, gapsOf(err)...)
		if !sameRights(other, &s.Security) {
			s.Threads = append(s.Threads, ThreadSecurity{thread.PID, *other})
		}
	}
}

// sameFilters reports whether two threads have the same filters of system calls: a chain is told by its newest.
func sameFilters(a, b *process.Seccomp) bool {
	newest := func(s *process.Seccomp) vmem.VirtAddr {
		if len(s.Filters) == 0 {
			return 0
		}
		return s.Filters[0].Address
	}
	return a.Mode == b.Mode && newest(a) == newest(b)
}

// sameRights reports whether two threads may do the same, wherever their credentials are and when they run.
func sameRights(a, b *process.Security) bool {
	x, y := *a, *b
	x.Address, y.Address = 0, 0
	x.Scheduling, y.Scheduling = process.Scheduling{}, process.Scheduling{}
	xText, xErr := jsonx.Marshal(&x)
	yText, yErr := jsonx.Marshal(&y)
	return xErr == nil && yErr == nil && string(xText) == string(yText)
}

// asWritten returns a record as it is read back: without what its package keeps to read more.
func asWritten[T any](t *T) (out T, err error) {
	text, err := jsonx.Marshal(t)
	if err == nil {
		err = jsonx.Unmarshal(text, &out)
	}
	return out, err
}

// gapsOf returns the losses that errors joined hold.
func gapsOf(err error) (gaps []vmem.Gap) {
	if err == nil {
		return nil
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range joined.Unwrap() {
			gaps = append(gaps, gapsOf(e)...)
		}
		return gaps
	}
	return []vmem.Gap{vmem.NewGap("security", vmem.Place{}, err)}
}

func readMemory(ctx context.Context, a *analysis) ([]SuspiciousMemory, []vmem.Gap, error) {
	r, pods := memory.New(a.kernel, nil), indexPods(a.report)
	all, gaps := []SuspiciousMemory{}, []vmem.Gap{}
	for _, t := range a.tasks {
		found, lost, err := r.Suspicious(ctx, t)
		switch {
		case ctx.Err() != nil:
			return nil, nil, ctx.Err()
		case errors.Is(err, linux.ErrNone):
			continue
		case err != nil:
			gaps = append(gaps, gapsOf(err)...)
		}
		gaps = append(gaps, lost...)
		for _, f := range found {
			one := SuspiciousMemory{Finding: f}
			if p := pods.processes[t.PID]; p != nil {
				one.PodUID, one.ContainerID = p.PodUID, p.ContainerID
			}
			all = append(all, one)
		}
	}
	limitSection(a, &gaps, "suspicious memory", &all, sizeOfJSON[SuspiciousMemory])
	return all, gaps, nil
}

// sizeOfJSON returns how long a record is as JSON.
func sizeOfJSON[T any](t *T) int {
	text, err := jsonx.Marshal(t)
	if err != nil {
		return 0
	}
	return len(text)
}
