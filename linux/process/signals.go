package process

import (
	"context"
	"encoding/json"
	"fmt"
	"math/bits"

	"github.com/nodelens/nodelens/internal/jsonx"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/vmem"
)

// SignalSet is a set of signals: bit n-1 for signal n. In JSON it is the array of their names.
type SignalSet uint64

// signalNames are the signals of x86-64 by number less one; those from 32 on are real-time signals.
var signalNames = [...]string{
	"SIGHUP", "SIGINT", "SIGQUIT", "SIGILL", "SIGTRAP", "SIGABRT", "SIGBUS", "SIGFPE", "SIGKILL", "SIGUSR1", "SIGSEGV", "SIGUSR2",
	"SIGPIPE", "SIGALRM", "SIGTERM", "SIGSTKFLT", "SIGCHLD", "SIGCONT", "SIGSTOP", "SIGTSTP", "SIGTTIN", "SIGTTOU", "SIGURG",
	"SIGXCPU", "SIGXFSZ", "SIGVTALRM", "SIGPROF", "SIGWINCH", "SIGIO", "SIGPWR", "SIGSYS",
}

// SignalName returns the name of a signal by its number: SIGHUP, or SIGRTMIN+2 as the kernel counts (SIGRTMIN is 32).
func SignalName(n int) string {
	switch {
	case n >= 1 && n <= len(signalNames):
		return signalNames[n-1]
	case n == 32:
		return "SIGRTMIN"
	case n > 32 && n <= signals:
		return fmt.Sprintf("SIGRTMIN+%d", n-32)
	}
	return fmt.Sprintf("signal %d", n)
}

// Has reports whether the set has the signal of a number.
func (s SignalSet) Has(n int) bool { return n >= 1 && n <= signals && s>>(n-1)&1 != 0 }

// Names returns the names by ascending number.
func (s SignalSet) Names() []string {
	names := []string{}
	for ; s != 0; s &= s - 1 {
		names = append(names, SignalName(bits.TrailingZeros64(uint64(s))+1))
	}
	return names
}

// String returns the set as /proc/PID/status shows it: 16 hexadecimal digits.
func (s SignalSet) String() string { return fmt.Sprintf("%016x", uint64(s)) }

var _ = jsonx.Describe[SignalSet, []string]()

// MarshalJSON returns the names as an array.
func (s SignalSet) MarshalJSON() ([]byte, error) { return json.Marshal(s.Names()) }

// UnmarshalJSON takes what MarshalJSON gives.
func (s *SignalSet) UnmarshalJSON(b []byte) error {
	var names []string
	if err := json.Unmarshal(b, &names); err != nil {
		return err
	}
	*s = 0
	for _, name := range names {
		n := 1
		for n <= signals && SignalName(n) != name {
			n++
		}
		if n > signals {
			return fmt.Errorf("process: no signal %q", name)
		}
		*s |= 1 << (n - 1)
	}
	return nil
}

// Signals are what a task does about signals, and which wait for it.
type Signals struct {
	Pending       SignalSet     `json:"pending"`       // for this thread
	SharedPending SignalSet     `json:"sharedPending"` // for any thread of the process
	Blocked       SignalSet     `json:"blocked"`
	Ignored       SignalSet     `json:"ignored"`
	Caught        SignalSet     `json:"caught"`
	Handlers      []Handler     `json:"handlers"` // of those that are caught
	Queued        []Queued      `json:"queued"`   // what waits, with who sent it; the kernel need not keep it
	AltStack      vmem.VirtAddr `json:"altStack" jsonx:"null"`
	AltStackSize  uint64        `json:"altStackSize"`
}

// A Handler is what a process does on a signal.
type Handler struct {
	Signal   int           `json:"signal"`
	Address  vmem.VirtAddr `json:"address"` // of the function, in the process
	Flags    uint64        `json:"flags"`   // SA_ flags (include/uapi/asm-generic/signal-defs.h)
	Mask     SignalSet     `json:"mask"`    // blocked while it runs
	Restorer vmem.VirtAddr `json:"restorer" jsonx:"null"`
}

// A Queued is a signal that waits (struct sigqueue).
type Queued struct {
	Signal int    `json:"signal"`
	Code   int32  `json:"code"`   // SI_ code: 0 of kill, -1 of sigqueue, 128 of the kernel
	PID    int32  `json:"pid"`    // the sender, in the namespace of the receiver, where a process sent it
	UID    uint32 `json:"uid"`    // likewise
	Shared bool   `json:"shared"` // for any thread of the process
}

// Values of sigaction.sa_handler that are no function.
const (
	handlerDefault = 0
	handlerIgnore  = 1
)

// Signals reads what the task does about signals. The error is a [vmem.Gap]; with it comes what could be read.
func (r *Reader) Signals(ctx context.Context, t *linux.Task) (Signals, error) {
	ts, s, err := r.signal(t)
	if err != nil {
		return Signals{}, lost(t, "signals", t.Addr, err)
	}
	out := Signals{
		Pending: SignalSet(ts.Pending), SharedPending: SignalSet(s.Pending), Blocked: SignalSet(ts.Blocked),
		AltStack: ts.AltStack, AltStackSize: ts.AltSize, Handlers: []Handler{}, Queued: []Queued{},
	}
	if ts.Sighand != 0 { // a task that was reaped has none
		err = r.handlers(ts.Sighand, &out)
	}
	for _, q := range []struct {
		head   vmem.VirtAddr
		shared bool
	}{{ts.Queue, false}, {s.Queue, true}} {
		if qErr := r.queued(ctx, t, q.head, q.shared, &out.Queued); err == nil {
			err = qErr
		}
	}
	return out, lost(t, "signals", ts.Sighand, err)
}

// handlers sorts the actions of a struct sighand_struct (collect_sigign_sigcatch of fs/proc/array.c).
func (r *Reader) handlers(at vmem.VirtAddr, out *Signals) error {
	if !plausible(at) {
		return corrupt("sighand_struct pointer %v", at)
	}
	s := new(sigHand)
	if err := r.views.sighand.Read(r.mem, at, s); err != nil {
		return cause(err, r.views.err)
	}
	for i, a := range s.Actions {
		bit := SignalSet(1) << i
		switch a.Handler {
		case handlerDefault:
		case handlerIgnore:
			out.Ignored |= bit
		default:
			out.Caught |= bit
			out.Handlers = append(out.Handlers, Handler{i + 1, a.Handler, a.Flags, SignalSet(a.Mask), a.Restorer})
		}
	}
	return nil
}

// SI_TIMER and SI_SIGIO: what stands where a sender does is of a timer, or of a file.
const (
	timerExpired = -2
	inputReady   = -5
)

// maxQueued bounds the signals that wait for a task: far above RLIMIT_SIGPENDING as it is in use.
const maxQueued = 1 << 16

// queued reads a list of struct sigqueue.
func (r *Reader) queued(ctx context.Context, t *linux.Task, head vmem.VirtAddr, shared bool, out *[]Queued) (first error) {
	w := r.objects.Walk(ctx, &kstruct.WalkOptions{Object: "signals of " + t.String(), Nodes: maxQueued})
	for node, err := range w.List(head) {
		var q sigQueue
		if err == nil {
			q, err = r.views.queue.Load(r.mem, r.views.queued.Container(node))
		}
		if err != nil {
			if first == nil {
				first = err
			}
			continue
		}
		one := Queued{Signal: int(q.Signo), Code: q.Code, Shared: shared}
		if q.Code <= 0 && q.Code != timerExpired && q.Code != inputReady { // a process sent it, not the kernel (SI_FROMUSER)
			one.PID, one.UID = q.PID, q.UID
		}
		*out = append(*out, one)
	}
	return first
}
