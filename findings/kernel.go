package findings

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/nodelens/nodelens/cos"
	"github.com/nodelens/nodelens/linux/integrity"
	"github.com/nodelens/nodelens/linux/module"
	"github.com/nodelens/nodelens/vmem"
)

func kernelRules() []Rule {
	return slices.Concat(hookRules(), moduleRules, bpfRules, settingRules(), logRules)
}

// A hookSign is a group of places where the kernel can be made to run other code.
type hookSign struct {
	id, what string
	tables   []string // of package integrity
	severity Severity
	// techniques beside T1014.
	techniques []Technique
	meaning    string
}

const hooked = " is code that does not belong to it. "

var hookSigns = []hookSign{
	{"kernel-syscall-hook", "system calls", []string{"sys_call_table", "ia32_sys_call", "x64_sys_call", "x32_sys_call", "ia32_sys_call_table", "x32_sys_call_table", "syscall_entry"}, Critical, nil, "Rootkits change what programs are told there."},
	{"kernel-interrupt-hook", "interrupts", []string{"idt", "irq", "irq_chip", "softirq"}, Critical, nil, "Whoever is there runs before everything else."},
	{"kernel-ftrace-hook", "traced functions", []string{"ftrace"}, Critical, nil, "Most of today's rootkits change functions of the kernel by its own tracer."},
	{"kernel-probe-hook", "probes", []string{"kprobes", "uprobes", "optimized_kprobes"}, High, nil, "Probes see and change what functions do; tracers use them as well, from code that is known."},
	{"kernel-tracepoint-hook", "tracepoints and events", []string{"tracepoints", "events", "trace_events", "pmu", "perf_handlers", "perf_events"}, High, nil, "Tracers listen there, from code that is known."},
	{"kernel-security-hook", "security modules", []string{"lsm"}, Critical, []Technique{"T1685"}, "What asks whether something is allowed asks the intruder."},
	{"kernel-proc-hook", "files of /proc", []string{"proc"}, Critical, []Technique{"T1564"}, "Lists of processes, modules and connections are made there."},
	{"kernel-filesystem-hook", "file systems and formats of programs", []string{"superblocks", "filesystems", "binfmt"}, Critical, []Technique{"T1564"}, "Files are hidden there, and programs replaced."},
	{"kernel-network-hook", "the network", []string{"netfilter", "packet_types", "protocols", "inet_protos", "inet6_protos", "inet_offloads", "inet6_offloads", "inetsw", "inetsw6", "net_families"}, Critical, []Technique{"T1205"}, "Packets are watched for and connections hidden there."},
	{"kernel-input-hook", "keyboards and terminals", []string{"tty", "tty_ldiscs", "keyboard", "console", "input", "input_devices", "sysrq"}, Critical, []Technique{"T1056.001"}, "What is typed is recorded there."},
	{"kernel-notifier-hook", "notifications", []string{"notifiers", "power"}, High, nil, "Whoever is there is told of what happens, such as keys, ends of processes and modules."},
	{"kernel-timer-hook", "timers and work", []string{"timers", "hrtimers", "workqueue", "timer_bases"}, High, nil, "What is hidden comes back to life there."},
	{"kernel-thread-hook", "threads of the kernel", []string{"kthreads"}, Critical, nil, "A rootkit has a thread of its own."},
	{"kernel-patched-branch", "branches that the kernel patches itself", []string{"static_calls", "jump_labels"}, Critical, nil, "The kernel's own patching leads elsewhere."},
}

func hookRules() (all []Rule) {
	known := map[string]bool{}
	for _, s := range hookSigns {
		tables := map[string]bool{}
		for _, t := range s.tables {
			tables[t], known[t] = true, true
		}
		all = append(all, Rule{ID: s.id, Group: KernelNode, Severity: s.severity, Techniques: append([]Technique{"T1014"}, s.techniques...),
			Title: "The kernel calls foreign code for " + s.what, Meaning: "What the kernel calls for " + s.what + hooked + s.meaning,
			Needs: Needs{Sections: cos.SectionHooks}, Benign: []string{"a module or a live patch whose code was not found"}, Next: "nodelens modules IMAGE", Check: hooksOf(func(t string) bool { return tables[t] })})
	}
	return append(all,
		Rule{ID: "kernel-other-hook", Group: KernelNode, Severity: High, Techniques: []Technique{"T1014"}, Title: "The kernel calls foreign code",
			Meaning: "What the kernel calls at some place" + hooked + "It is of none of the tables that have rules of their own.",
			Needs:   Needs{Sections: cos.SectionHooks}, Benign: []string{"a module or a live patch whose code was not found"}, Next: "nodelens modules IMAGE", Check: hooksOf(func(t string) bool { return !known[t] })},
		Rule{ID: "kernel-code-modified", Group: KernelNode, Severity: Critical, Techniques: []Technique{"T1014"}, Title: "The kernel's code was changed",
			Meaning: "Code of the kernel or of a module is neither what its file has nor what the kernel itself patches there. Somebody wrote to it.",
			Needs:   Needs{Sections: cos.SectionHooks}, Next: "nodelens modules IMAGE", Check: codeModified})
}

// lostCode returns the losses for which code may be unknown.
func (n *Node) lostCode() (all []vmem.Gap) {
	for _, g := range n.Report.Gaps {
		for _, object := range []string{"image", "module", "types of module", "symbols", "kallsyms", "BPF", "code"} {
			if strings.HasPrefix(g.Object, object) {
				all = append(all, g)
				break
			}
		}
	}
	return all
}

// hooksOf looks at what does not belong in some tables. That code is unknown is a sign where none of what is known of code was lost.
func hooksOf(of func(table string) bool) check {
	return func(ctx context.Context, n *Node, r *Reporter) error {
		lost, unknown := n.lostCode(), 0
		for i := range n.Report.Hooks {
			h := &n.Report.Hooks[i]
			if !h.Suspect || !of(h.Table) {
				continue
			}
			if len(lost) > 0 && h.Verdict.Kind == integrity.Unknown {
				unknown++
				continue
			}
			r.Found(foreignHook(h))
		}
		if unknown > 0 {
			r.Lost(fmt.Sprintf("%d places lead to code that is not known, which may be of what was lost", unknown), lost...)
		}
		return ctx.Err()
	}
}

func foreignHook(h *integrity.Hook) Finding {
	f := Finding{Object: h.Table + " " + h.Entry, Confidence: Likely, Summary: h.Table + " " + quote(h.Entry) + " leads to " + h.Target.String(),
		Evidence: []Evidence{{"pointer", h.Address, "target", h.Target.String()}, {"pointer", h.Address, "whose code", h.Verdict.String()}}}
	if h.Verdict.Kind == integrity.Module {
		f.Confidence = Certain // and the module is hidden
	}
	for _, e := range h.Evidence {
		f.Evidence = append(f.Evidence, Evidence{"pointer", h.Address, "reason", e})
	}
	return f
}

var moduleRules = []Rule{
	{
		ID: "kernel-hidden-module", Group: KernelNode, Severity: Critical, Techniques: []Technique{"T1014", "T1547.006"},
		Title:   "A module is hidden",
		Meaning: "It is loaded, and a view of the kernel's modules that is whole lacks it. Rootkits take themselves out of the list that lsmod reads.",
		Needs:   Needs{Sections: cos.SectionModules}, Benign: []string{"it was being loaded or unloaded"}, Next: "nodelens modules IMAGE -o wide", Check: perNode(hiddenModule),
	},
	{
		ID: "kernel-unsigned-module", Group: KernelNode, Severity: Medium, Techniques: []Technique{"T1547.006"},
		Title:   "A module is not signed, or not of the kernel",
		Meaning: "A module that is loaded was built out of the kernel's tree, has no valid signature, or was forced in. Drivers of graphics cards and tools for captures are so, and rootkits.",
		Needs:   Needs{Sections: cos.SectionModules}, Benign: []string{"a driver of the node's hardware", "the module by which memory was captured"}, Next: "nodelens modules IMAGE -o wide", Check: perNode(unsignedModule),
	},
	{
		ID: "kernel-taint-without-module", Group: KernelNode, Severity: High, Techniques: []Technique{"T1014", "T1547.006"},
		Title:   "The kernel had a module that is not there",
		Meaning: "The kernel is marked for a module from elsewhere or without a signature, and no module that is loaded is one. It was unloaded, or it is hidden.",
		Needs:   Needs{Sections: cos.SectionModules | cos.SectionKernel, Whole: true}, Benign: []string{"the module was unloaded"}, Next: "nodelens dmesg IMAGE", Check: perNode(taintAlone),
	},
	{
		ID: "kernel-module-unloading-state", Group: KernelNode, Severity: Low, Techniques: []Technique{"T1547.006"},
		Title:   "A module is being loaded or unloaded",
		Meaning: "A module was neither in use nor gone when the image was taken. That takes moments; one that stays so can't be unloaded.",
		Needs:   Needs{Sections: cos.SectionModules}, Benign: []string{"it was being loaded or unloaded"}, Next: "nodelens modules IMAGE -o wide", Check: perNode(movingModule),
	},
}

func ofModule(m *cos.Module, field, value string) Evidence {
	return Evidence{"module", m.Address, field, value}
}

func eachModule(n *Node, do func(m *cos.Module)) {
	for i := range n.Report.Modules {
		do(&n.Report.Modules[i])
	}
}

func hiddenModule(n *Node, found func(Finding)) {
	eachModule(n, func(m *cos.Module) {
		if m.Missing == 0 {
			return
		}
		state := RuledOut
		if m.State != module.Live {
			state = Applies
		}
		found(Finding{Object: m.Name, Confidence: Certain, Evidence: []Evidence{ofModule(m, "found by", m.Sources.String()), ofModule(m, "missing from", m.Missing.String()), ofModule(m, "state", m.State.String())},
			Summary: "module " + quote(m.Name) + " is missing from " + m.Missing.String(), Benign: []Benign{{"it was being loaded or unloaded", state}}})
	})
}

func unsignedModule(n *Node, found func(Finding)) {
	eachModule(n, func(m *cos.Module) {
		if strings.ContainsAny(m.Taints.String(), "OEFR") {
			found(Finding{Object: m.Name, Confidence: Certain, Evidence: []Evidence{ofModule(m, "taints", m.Taints.String()), ofModule(m, "srcversion", m.SrcVersion), ofModule(m, "build ID", m.BuildID)},
				Summary: "module " + quote(m.Name) + " has the taints " + m.Taints.String()})
		}
	})
}

func taintAlone(n *Node, found func(Finding)) {
	t := &n.Report.Kernel.Settings.Taint
	for _, letter := range []string{"O", "E", "F", "R"} {
		if !strings.Contains(t.Letters, letter) {
			continue
		}
		there := slices.ContainsFunc(n.Report.Modules, func(m cos.Module) bool { return strings.Contains(m.Taints.String(), letter) })
		if !there {
			found(Finding{Object: letter, Confidence: Possible, Evidence: []Evidence{{"tainted_mask", t.Address, "letters", t.Letters}}, Summary: "the kernel has the taint " + letter + ", and no module has"})
		}
	}
}

func movingModule(n *Node, found func(Finding)) {
	eachModule(n, func(m *cos.Module) {
		if m.State != module.Live {
			found(Finding{Object: m.Name, Confidence: Certain, Evidence: []Evidence{ofModule(m, "state", m.State.String())}, Summary: "module " + quote(m.Name) + " is " + m.State.String()})
		}
	})
}

var bpfRules = []Rule{
	{
		ID: "bpf-hidden", Group: KernelNode, Severity: Critical, Techniques: []Technique{"T1014", "T1205.002"},
		Title:   "A BPF object is hidden",
		Meaning: "A program, map or link of BPF is in use, and the table of IDs by which tools list them lacks it. Rootkits hide their programs so.",
		Needs:   Needs{Sections: cos.SectionBPF}, Benign: []string{"it was being freed"}, Next: "nodelens bpf IMAGE", Check: perNode(hiddenBPF),
	},
	{
		ID: "bpf-writes-user-memory", Group: KernelNode, Severity: High, Techniques: []Technique{"T1014", "T1055"},
		Title:   "A BPF program can change what processes see or do",
		Meaning: "It calls a helper that writes to the memory of processes, changes what functions return, or sends signals. Rootkits lie to programs so; few tools need that.",
		Needs:   Needs{Sections: cos.SectionBPF}, Benign: []string{causeAgent}, Next: "nodelens bpf IMAGE", Check: perNode(writingBPF),
	},
	{
		ID: "bpf-unowned", Group: KernelNode, Severity: Medium, Techniques: []Technique{"T1014", "T1205.002"},
		Title:   "Nothing is known to hold a BPF program",
		Meaning: "No process has it open, it is pinned nowhere, nothing is known that it is attached to, and it lives. What holds it was not found.",
		Needs:   Needs{Processes: true, Sections: cos.SectionBPF, Whole: true}, Benign: []string{"it was being freed"}, Next: "nodelens bpf IMAGE", Check: perNode(unownedBPF),
	},
	{
		ID: "bpf-detached-in-force", Group: KernelNode, Severity: High, Techniques: []Technique{"T1014"},
		Title:   "A BPF program is in force where it is not attached",
		Meaning: "The kernel runs it for a cgroup, and the list of what is attached there and above lacks it. Tools show the list.",
		Needs:   Needs{Sections: cos.SectionBPF, Whole: true}, Benign: []string{causeSmear}, Next: "nodelens bpf IMAGE", Check: perNode(effectiveAlone),
	},
	{
		ID: "bpf-kernel-program-of-pod", Group: KernelNode, Severity: High, Techniques: []Technique{"T1014"},
		Title:   "A pod has a BPF program in the kernel's functions",
		Meaning: "A process in a pod that is none of the cluster's own holds a program that sees what the whole node does. Agents for security and tracing are such; others have no reason.",
		Needs:   Needs{Processes: true, Sections: cos.SectionBPF}, Benign: []string{causeAgent}, Next: "nodelens bpf IMAGE --pod {pod}", Check: perNode(tracingOfPod),
	},
	{
		ID: "bpf-security-program", Group: KernelNode, Severity: Medium, Techniques: []Technique{"T1685"},
		Title:   "A BPF program decides for the security modules",
		Meaning: "It is attached to hooks of security modules, where it can refuse what others ask for. Agents protect nodes so; a rootkit hides files and processes so.",
		Needs:   Needs{Sections: cos.SectionBPF}, Benign: []string{causeAgent, "systemd restricts file systems of its services"}, Next: "nodelens bpf IMAGE", Check: perNode(securityBPF),
	},
	{
		ID: "bpf-network-pinned", Group: KernelNode, Severity: Low, Techniques: []Technique{"T1205.002"},
		Title:   "A BPF program sees packets, and no process holds it",
		Meaning: "It is attached to a device or to sockets, and lives by that or by a file alone. Network plugins leave programs so; a back door that waits for a packet does, too.",
		Needs:   Needs{Processes: true, Sections: cos.SectionBPF, Whole: true}, Benign: []string{"a plugin for networks"}, Next: "nodelens bpf IMAGE", Check: perNode(pinnedBPF),
	},
}

func eachProgram(n *Node, do func(p *cos.BPFProgram)) {
	for i := range n.Report.BPF.Programs {
		do(&n.Report.BPF.Programs[i])
	}
}

func (n *Node) ofBPF(p *cos.BPFProgram) Subject {
	for _, o := range p.Owners {
		if q := n.Process(o.PID); q != nil && q.PodUID == p.PodUID {
			return n.OfProcess(q)
		}
	}
	if p.PodUID != "" {
		return n.OfContainer(p.PodUID, p.ContainerID)
	}
	return Subject{}
}

func aboutProgram(n *Node, p *cos.BPFProgram, confidence Confidence, summary string, more ...Evidence) Finding {
	evidence := append([]Evidence{{"bpf_prog", p.Address, "type", p.Type.String()}, {"bpf_prog", p.Address, "name", p.FullName}, {"bpf_prog", p.Address, "tag", p.Tag}}, more...)
	for i := range p.Attachments {
		a := &p.Attachments[i]
		evidence = append(evidence, Evidence{"bpf_prog", p.Address, "attached to", strings.TrimSpace(a.Kind + " " + a.Type + " " + a.Target)})
	}
	return Finding{Subject: n.ofBPF(p), Object: fmt.Sprintf("program %d %s %s", p.ID, p.FullName, p.Tag), Confidence: confidence, Evidence: evidence, Summary: fmt.Sprintf("program %d %s %s", p.ID, quote(p.FullName), summary)}
}

func hiddenBPF(n *Node, found func(Finding)) {
	eachProgram(n, func(p *cos.BPFProgram) {
		if p.Hidden {
			found(aboutProgram(n, p, Certain, "is not in the table of IDs", Evidence{"bpf_prog", p.Address, "found by", p.Sources.String()}))
		}
	})
	for i := range n.Report.BPF.Maps {
		if m := &n.Report.BPF.Maps[i]; m.Hidden {
			found(Finding{Subject: n.OfContainer(m.PodUID, m.ContainerID), Object: fmt.Sprintf("map %d %s", m.ID, m.Name), Confidence: Certain, Evidence: []Evidence{{"bpf_map", m.Address, "found by", m.Sources.String()}}, Summary: fmt.Sprintf("map %d %s is not in the table of IDs", m.ID, quote(m.Name))})
		}
	}
	for i := range n.Report.BPF.Links {
		if l := &n.Report.BPF.Links[i]; l.Hidden {
			found(Finding{Object: fmt.Sprintf("link %d", l.ID), Confidence: Certain, Evidence: []Evidence{{"bpf_link", l.Address, "found by", l.Sources.String()}}, Summary: fmt.Sprintf("link %d of program %d is not in the table of IDs", l.ID, l.Program)})
		}
	}
}

// changingHelpers are functions by which a program changes what processes see or do.
var changingHelpers = []string{"bpf_probe_write_user", "bpf_override_return", "bpf_send_signal"}

func writingBPF(n *Node, found func(Finding)) {
	eachProgram(n, func(p *cos.BPFProgram) {
		for _, h := range p.Helpers {
			if slices.ContainsFunc(changingHelpers, func(c string) bool { return strings.HasPrefix(h, c) }) {
				found(aboutProgram(n, p, Certain, "calls "+h, Evidence{"bpf_prog", p.Address, "calls", h}))
				return
			}
		}
	})
}

func unownedBPF(n *Node, found func(Finding)) {
	eachProgram(n, func(p *cos.BPFProgram) {
		if len(p.Owners)+len(p.Pins)+len(p.Links)+len(p.Attachments) == 0 {
			found(aboutProgram(n, p, Possible, "is held by nothing that was found", Evidence{"bpf_prog", p.Address, "references", fmt.Sprint(p.References)}))
		}
	})
}

func effectiveAlone(n *Node, found func(Finding)) {
	eachProgram(n, func(p *cos.BPFProgram) {
		for i := range p.Attachments {
			if p.Attachments[i].Flags == "effective alone" {
				found(aboutProgram(n, p, Likely, "is in force for "+quote(p.Attachments[i].Target)+" without being attached"))
				return
			}
		}
	})
}

// tracingTypes are types of programs that see what the whole kernel does.
var tracingTypes = []string{"kprobe", "tracepoint", "raw_tracepoint", "raw_tracepoint_writable", "perf_event", "tracing", "lsm", "struct_ops", "ext"}

func tracingOfPod(n *Node, found func(Finding)) {
	eachProgram(n, func(p *cos.BPFProgram) {
		if pod := n.Pod(p.PodUID); p.PodUID != "" && (pod == nil || !System(pod.Namespace)) && slices.Contains(tracingTypes, p.Type.String()) {
			found(aboutProgram(n, p, Certain, "is of the type "+p.Type.String()))
		}
	})
}

func securityBPF(n *Node, found func(Finding)) {
	eachProgram(n, func(p *cos.BPFProgram) {
		if p.Type.String() != "lsm" || len(p.Attachments) == 0 {
			return
		}
		f := aboutProgram(n, p, Certain, "is of the type lsm")
		state := RuledOut
		if len(p.Owners) > 0 && p.Owners[0].PID == 1 && p.FullName == "restrict_filesystems" {
			state = Applies
		}
		f.Benign = []Benign{{"systemd restricts file systems of its services", state}}
		found(f)
	})
}

// packetTypes are types of programs that see packets.
var packetTypes = []string{"xdp", "sched_cls", "sched_act", "socket_filter", "sk_skb", "sk_msg", "sk_lookup", "flow_dissector", "netfilter"}

func pinnedBPF(n *Node, found func(Finding)) {
	eachProgram(n, func(p *cos.BPFProgram) {
		if len(p.Owners) == 0 && len(p.Attachments) > 0 && slices.Contains(packetTypes, p.Type.String()) {
			found(aboutProgram(n, p, Certain, "is held by no process"))
		}
	})
}
