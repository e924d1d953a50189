package process

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/linux/internal/syscalls"
	"github.com/nodelens/nodelens/vmem"
)

// A CallPolicy is what filters say of the system calls of 64-bit programs. Each call is in one of the lists, by its name, or gets
// the default. The calls of the kernel's own probes, uprobe and uretprobe, are in none.
type CallPolicy struct {
	// Default is what calls get that are in no list, and numbers that are no calls: an answer as [CallAnswer] names it.
	Default     string       `json:"default"`
	Allowed     []string     `json:"allowed"`     // whatever the arguments
	Conditional []string     `json:"conditional"` // allowed by some arguments and not by others, or what could not be told
	Others      []CallAnswer `json:"others"`      // not allowed, and with another answer than the default
}

// A CallAnswer is what a system call gets that is not made.
type CallAnswer struct {
	Name   string `json:"name"`
	Answer string `json:"answer"` // errno 1, kill-process, kill-thread, trap, trace, notify; several joined by "or"
}

// Answers of filters (include/uapi/linux/seccomp.h): the higher half is what happens, the lower half an argument.
const (
	answerMask  = 0xffff0000
	answerErrno = 0x00050000
	answerLog   = 0x7ffc0000
	answerAllow = 0x7fff0000
)

var answerNames = map[uint32]string{
	0x80000000: "kill-process", 0: "kill-thread", 0x00030000: "trap", answerErrno: "errno", 0x7fc00000: "notify",
	0x7ff00000: "trace", answerLog: "log", answerAllow: "allow",
}

func answerName(v uint32) string {
	name, ok := answerNames[v&answerMask]
	switch {
	case !ok:
		return "kill-process" // as the kernel takes unknown answers
	case v&answerMask == answerErrno:
		return fmt.Sprintf("errno %d", min(v&0xffff, 4095)) // MAX_ERRNO
	}
	return name
}

// noCall is a number that no system call has.
const noCall = 1<<20 - 1

// unfiltered are calls that no filter is asked of: the kernel's own probes make them (seccomp_uprobe_exception of kernel/seccomp.c).
var unfiltered = []string{"uretprobe", "uprobe"}

// policyOf asks filters of every system call. budget is how many steps may be made.
func policyOf(filters []SeccompFilter, budget *int) *CallPolicy {
	calls := syscalls.Names()[syscalls.ABI64]
	p := &CallPolicy{Default: answerText(askAll(filters, noCall, budget)), Allowed: []string{}, Conditional: []string{}, Others: []CallAnswer{}}
	for _, nr := range slices.Sorted(maps.Keys(calls)) {
		name := calls[nr].Name
		if slices.Contains(unfiltered, name) {
			continue
		}
		v := askAll(filters, uint32(nr), budget)
		text := answerText(v)
		switch {
		case text == p.Default:
		case v.only(allowed):
			p.Allowed = append(p.Allowed, name)
		case v.unknown || v.any(allowed):
			p.Conditional = append(p.Conditional, name)
		default:
			p.Others = append(p.Others, CallAnswer{name, text})
		}
	}
	return p
}

func allowed(v uint32) bool { return v&answerMask == answerAllow || v&answerMask == answerLog }

func answerText(v verdict) string {
	if v.unknown {
		return "unknown"
	}
	var text strings.Builder
	for i, answer := range slices.Sorted(maps.Keys(v.answers)) {
		if i > 0 {
			text.WriteString(" or ")
		}
		text.WriteString(answerName(answer))
	}
	return text.String()
}

// A verdict is all the answers that a call can get, by its arguments.
type verdict struct {
	answers map[uint32]bool
	unknown bool // there may be others
	reads   bool // more than the number and the architecture was looked at
}

func (v *verdict) only(is func(uint32) bool) bool {
	return !v.unknown && len(v.answers) > 0 && !slices.ContainsFunc(slices.Collect(maps.Keys(v.answers)), func(a uint32) bool { return !is(a) })
}

func (v *verdict) any(is func(uint32) bool) bool {
	return slices.ContainsFunc(slices.Collect(maps.Keys(v.answers)), is)
}

// askAll asks all filters: of their answers the strictest counts (seccomp_run_filters of kernel/seccomp.c).
func askAll(filters []SeccompFilter, nr uint32, budget *int) verdict {
	all := verdict{answers: map[uint32]bool{answerAllow: true}}
	for _, f := range filters {
		one := ask(f.Instructions, nr, budget)
		if len(all.answers)*len(one.answers) > maxAnswers {
			return verdict{answers: map[uint32]bool{}, unknown: true}
		}
		both := map[uint32]bool{}
		for a := range all.answers {
			for b := range one.answers {
				both[stricter(a, b)] = true
			}
		}
		all = verdict{both, all.unknown || one.unknown, all.reads || one.reads}
	}
	return all
}

// stricter compares answers as signed numbers (ACTION_ONLY of kernel/seccomp.c); of two equal ones the first counts, that of the newer filter.
func stricter(a, b uint32) uint32 {
	if int32(b&answerMask) < int32(a&answerMask) {
		return b
	}
	return a
}

const (
	// maxAnswers is how many answers of filters are held against each other: filters in use have some ten.
	maxAnswers = 4096
	// maxPolicySteps is how many steps are made for the filters of one process, and maxReaderSteps for those of all: a filter of a
	// container runtime takes some hundred for each call.
	maxPolicySteps, maxReaderSteps = 1 << 22, 1 << 26
)

// errFilters says that filters take too long to be followed.
var errFilters = fmt.Errorf("%w: filters of system calls that are followed for more than %d steps", kstruct.ErrTooLong, maxPolicySteps)

// A policyCache keeps what was found of filters, by the newest of them: the threads of a process, and its children, have the same.
type policyCache struct {
	mu    sync.Mutex // guards what follows
	known map[vmem.VirtAddr]knownPolicy
	steps int // that were made
}

// of returns what filters say, and an error where they could not be followed to their ends. On a live machine a filter's
// memory may be another's by now.
func (p *policyCache) of(filters []SeccompFilter, live bool) (*CallPolicy, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	at := filters[0].Address
	if known, ok := p.known[at]; ok && !live {
		return known.policy, known.err
	}
	budget := min(maxPolicySteps, maxReaderSteps-p.steps)
	before := budget
	k := knownPolicy{policy: policyOf(filters, &budget)}
	if p.steps += before - budget; budget <= 0 {
		k.err = errFilters
	}
	if p.known == nil {
		p.known = map[vmem.VirtAddr]knownPolicy{}
	}
	p.known[at] = k
	return k.policy, k.err
}

type knownPolicy struct {
	policy *CallPolicy
	err    error
}
