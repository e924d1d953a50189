package process

import (
	"fmt"
	"strings"

	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/vmem"
)

// Scheduling says how a task gets processors.
type Scheduling struct {
	Policy      string `json:"policy"`      // SCHED_OTHER and so on
	Priority    int32  `json:"priority"`    // as /proc/PID/stat shows it: 20+nice, or below 0 for real-time
	Nice        int32  `json:"nice"`        // -20 to 19
	RTPriority  uint32 `json:"rtPriority"`  // 0 unless real-time
	CPU         uint32 `json:"cpu"`         // where it runs, or ran last
	CPUs        []int  `json:"cpus"`        // where it may run (affinity)
	MemoryNodes []int  `json:"memoryNodes"` // of which it may have memory; empty where the kernel has no CONFIG_CPUSETS

	policy      uint32
	cpus, nodes []byte // the bits of both
}

// policies are the scheduling policies by number (include/uapi/linux/sched.h).
var policies = []string{"SCHED_OTHER", "SCHED_FIFO", "SCHED_RR", "SCHED_BATCH", "", "SCHED_IDLE", "SCHED_DEADLINE", "SCHED_EXT"}

const (
	maxRTPrio    = 100 // MAX_RT_PRIO of include/linux/sched/prio.h
	defaultPrio  = 120 // DEFAULT_PRIO
	maxCPUBytes  = 8192 / 8
	maxNodeBytes = 1024 / 8
)

// Scheduling reads how the task is scheduled. The error is a [vmem.Gap]; with it comes what could be read.
func (r *Reader) Scheduling(t *linux.Task) (Scheduling, error) {
	r.k.Physical().Refresh()
	s, err := r.views.run.Load(r.mem, t.Addr)
	if err != nil {
		return Scheduling{}, lost(t, "scheduling", t.Addr, cause(err, r.views.err))
	}
	out := Scheduling{
		Priority: s.Prio - maxRTPrio, Nice: s.StaticPrio - defaultPrio, RTPriority: s.RTPriority, CPU: s.CPU, policy: s.Policy,
		Policy: policyName(s.Policy), MemoryNodes: []int{},
	}
	if out.cpus, err = r.cpuMask(s.CPUs); err == nil {
		out.CPUs = bitNumbers(out.cpus)
	}
	if m := r.views.mems; err == nil && m.Ok() {
		out.nodes = make([]byte, min(m.Size(), maxNodeBytes))
		if _, err = r.mem.ReadVirt(out.nodes, m.Of(t.Addr)); err == nil {
			out.MemoryNodes = bitNumbers(out.nodes)
		}
	}
	return out, lost(t, "scheduling", t.Addr, err)
}

func policyName(n uint32) string {
	if n < uint32(len(policies)) && policies[n] != "" {
		return policies[n]
	}
	return fmt.Sprintf("policy %d", n)
}

// cpuMask reads a cpumask, up to the last CPU that there can be.
func (r *Reader) cpuMask(at vmem.VirtAddr) ([]byte, error) {
	if !plausible(at) {
		return nil, corrupt("cpumask pointer %v", at)
	}
	cpus, err := r.objects.CPUs()
	if err != nil {
		return nil, err
	}
	last := 0
	if len(cpus) > 0 {
		last = cpus[len(cpus)-1]
	}
	b := make([]byte, min(last/64*8+8, maxCPUBytes))
	if _, err := r.mem.ReadVirt(b, at); err != nil {
		return nil, err
	}
	for n := last + 1; n < 8*len(b); n++ { // nothing is said of those that can't be
		b[n/8] &^= 1 << (n % 8)
	}
	return b, nil
}

// bitNumbers returns the numbers of the bits that are set, in words as the kernel keeps them.
func bitNumbers(b []byte) []int {
	found := []int{}
	for i, v := range b {
		for bit := range 8 {
			if v>>bit&1 != 0 {
				found = append(found, 8*i+bit)
			}
		}
	}
	return found
}

// maskText writes a mask of so many bits as the kernel's %*pb does: hexadecimal, in groups of 32 bits.
func maskText(b []byte, bits int) string {
	var words []string
	for at := (bits - 1) / 32 * 32; at >= 0; at -= 32 {
		var v uint32
		for i := range 4 {
			if n := at/8 + i; n < len(b) {
				v |= uint32(b[n]) << (8 * i)
			}
		}
		words = append(words, fmt.Sprintf("%0*x", (min(bits-at, 32)+3)/4, v))
	}
	return strings.Join(words, ",")
}

// listText writes numbers as the kernel's %*pbl does: ranges, such as 0-3,8.
func listText(numbers []int) string {
	var parts []string
	for i := 0; i < len(numbers); {
		j := i
		for j+1 < len(numbers) && numbers[j+1] == numbers[j]+1 {
			j++
		}
		if i == j {
			parts = append(parts, fmt.Sprint(numbers[i]))
		} else {
			parts = append(parts, fmt.Sprintf("%d-%d", numbers[i], numbers[j]))
		}
		i = j + 1
	}
	return strings.Join(parts, ",")
}
