package findings

import (
	"context"
	"fmt"
	"regexp"

	"github.com/nodelens/nodelens/cos"
	"github.com/nodelens/nodelens/linux/printk"
)

// check looks at a setting of the kernel.
func (s *sysctlSign) check(_ context.Context, n *Node, r *Reporter) error {
	c := n.sysctl(s.name)
	if c == nil {
		r.NotChecked("the kernel has no " + s.name)
		return nil
	}
	v, err := number(c)
	if err != nil {
		r.NotChecked(err.Error())
		return nil
	}
	if s.bad(v) {
		r.Found(Finding{Object: s.name, Confidence: Certain, Evidence: []Evidence{{"ctl_table", c.Address, s.name, fmt.Sprint(v)}}, Summary: fmt.Sprintf("%s is %d", s.name, v)})
	}
	return nil
}

var logNeeds = Needs{Sections: cos.SectionLog}

func logRule(id string, severity Severity, title, meaning, expr string, least int, benign []string, techniques ...Technique) Rule {
	return Rule{ID: id, Group: KernelNode, Severity: severity, Techniques: techniques, Title: title, Meaning: meaning, Needs: logNeeds, Benign: benign, Next: "nodelens dmesg IMAGE",
		Check: perNode(logged(regexp.MustCompile(expr), least))}
}

// logRules are about what the kernel has written down. Programs can write to its log, too; what they write has another facility.
var logRules = []Rule{
	logRule("kernel-log-fault", Medium, "The kernel has met a fault of its own", "The log tells of an oops, a warning of damage, or a fault that the kernel should not have had. Exploits that fail leave that, and bugs.",
		`^(Oops:|BUG: |kernel BUG at|general protection fault|Unable to handle kernel|stack segment:|UBSAN: |KASAN: |list_(add|del) corruption|refcount_t: |usercopy: Kernel memory|kernel tried to execute NX)`, 1, []string{"a bug"}, "T1068"),
	logRule("kernel-log-unsigned-module", Medium, "A module without a signature was loaded", "The log tells of a module whose signature was missing or wrong, or that is from out of the kernel's tree. It may have been unloaded or hidden since.",
		`module verification failed|loading out-of-tree module taints kernel|module license .* taints kernel`, 1, []string{"a driver of the node's hardware", "the module by which memory was captured"}, "T1547.006"),
	logRule("kernel-log-bpf-write", High, "A BPF program was loaded that writes to the memory of processes", "The kernel warned of a program with that helper when it was loaded, with the name and PID of who did it.",
		`is installing a program with bpf_probe_write_user helper`, 1, []string{causeAgent}, "T1014"),
	logRule("kernel-log-crashes", Low, "A program crashes over and over", "The log tells of more than twenty faults of programs. Whoever tries an exploit makes a program crash until it works.",
		`(segfault at|general protection fault ip|traps: .* (general protection|trap)) .*`, 21, []string{"a bug"}, "T1190", "T1068"),
	logRule("kernel-log-out-of-memory", Low, "The kernel has killed processes for memory", "The log tells of processes that were killed as memory ran out. Miners and loops take what there is, and so do applications with leaks.",
		`^(Memory cgroup out of memory|Out of memory): Killed process`, 1, []string{"a container's limit is too small"}, "T1496"),
	logRule("kernel-log-promiscuous", Low, "A device took packets that were not for it", "The log tells of a device that became promiscuous. Bridges and network plugins do that, and tools for traces.",
		`entered promiscuous mode$`, 1, []string{"a bridge, or a plugin for networks"}, "T1040"),
}

// kernelFacility is that of records which the kernel itself wrote.
const kernelFacility = 0

// logged returns a check for records of the kernel that match, of which there are at least so many.
func logged(expr *regexp.Regexp, least int) func(*Node, func(Finding)) {
	return func(n *Node, found func(Finding)) {
		var first, last *printk.Record
		count := 0
		for i := range n.Report.Log {
			record := &n.Report.Log[i]
			if record.Facility != kernelFacility || !expr.MatchString(record.Text) {
				continue
			}
			if count++; first == nil {
				first = record
			}
			last = record
		}
		if count < least {
			return
		}
		evidence := []Evidence{{"printk_ringbuffer", 0, fmt.Sprintf("record %d", first.Sequence), first.Text}}
		if last != first {
			evidence = append(evidence, Evidence{"printk_ringbuffer", 0, fmt.Sprintf("record %d", last.Sequence), last.Text})
		}
		found(Finding{Confidence: Certain, Evidence: evidence, Summary: fmt.Sprintf("the log has %d such records", count)})
	}
}
