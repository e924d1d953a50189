package findings

import (
	"errors"
	"regexp"
	"strconv"
	"strings"

	"github.com/nodelens/nodelens/cos"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/linux/network"
	"github.com/nodelens/nodelens/vmem"
)

// lossesOf are whom losses concern, by how the text of their object begins: the longest beginning counts. A loss of any other object
// concerns all.
var lossesOf = []struct {
	prefix    string
	sections  cos.Sections
	processes bool
}{
	{"task", 0, true}, {"count of", 0, true}, {"PID IDR", 0, true}, {"args", 0, true}, {"cgroup of", 0, true}, {"threads of", 0, true}, {"traced by", 0, true},
	{"pods", 0, true}, {"pod ", 0, true}, {"database", 0, true}, {"host name", 0, true}, {"boot time", 0, true},
	{"image", cos.AllSections, true},
	{"mounts", cos.SectionContainers, true}, {"container", cos.SectionContainers, true}, {"/", cos.SectionContainers, false}, {"/proc/net of", cos.SectionHooks, false}, {"bundles", cos.SectionContainers, false},
	{"layers of containers", cos.SectionContainers, false}, {"what container", cos.SectionContainers, false},
	{"namespaces of process 1", cos.SectionContainers, false},
	{"socket", cos.SectionNetwork, false}, {"network", cos.SectionNetwork, false}, {"network namespaces", cos.SectionNetwork | cos.SectionHooks, false}, {"network namespaces with BPF", cos.SectionBPF, false},
	{"descriptor", cos.SectionNetwork | cos.SectionBPF, true}, {"cgroup of a socket", cos.SectionNetwork, false}, {"queue of a listening socket", cos.SectionNetwork, false},
	{"nftables", cos.SectionNetwork, false}, {"iptables", cos.SectionNetwork, false}, {"ipset", cos.SectionNetwork, false}, {"IPVS", cos.SectionNetwork, false},
	{"netfilter", cos.SectionNetwork | cos.SectionHooks, false}, {"connection tracking", cos.SectionNetwork, false}, {"expected connections", cos.SectionNetwork, false},
	{"pod of", cos.SectionNetwork, false}, {"services of", cos.SectionNetwork, false},
	{"timers", cos.SectionHooks, false}, {"hrtimers", cos.SectionHooks, false}, {"notifier", cos.SectionHooks, false}, {"workqueue", cos.SectionHooks, false}, {"interrupt", cos.SectionHooks, false}, {"idt", cos.SectionHooks, false},
	{"sys_call", cos.SectionHooks, false}, {"tracepoints", cos.SectionHooks, false}, {"tracepoints of module", cos.SectionHooks | cos.SectionModules, false}, {"tracepoints with BPF", cos.SectionBPF, false}, {"tty", cos.SectionHooks, false},
	{"files of /proc", cos.SectionHooks, false}, {"file in /proc/", cos.SectionHooks, false}, {"directory /proc/", cos.SectionHooks, false}, {"kernel thread", cos.SectionHooks, false},
	{"hooks", cos.SectionHooks, false}, {"ftrace", cos.SectionHooks | cos.SectionBPF, false}, {"functions of ftrace", cos.SectionHooks, false}, {"subops", cos.SectionHooks, false},
	{"kprobe", cos.SectionHooks | cos.SectionBPF, false}, {"kernel text", cos.SectionHooks, false}, {"code", cos.SectionHooks | cos.SectionBPF, false}, {"code of task", cos.SectionMemory, false},
	{"BPF", cos.SectionBPF | cos.SectionHooks, false}, {"instructions of program", cos.SectionBPF, false}, {"seccomp filters", cos.SectionBPF, false}, {"cgroups with BPF", cos.SectionBPF, false},
	{"module", cos.SectionModules | cos.SectionHooks, false}, {"types of module", cos.SectionModules, false}, {"BTF of modules", cos.SectionModules, false},
	{"kernel log", cos.SectionLog, false},
	{"sysctl", cos.SectionKernel, false}, {"security modules", cos.SectionKernel, false}, {"command line", cos.SectionKernel, false}, {"taint", cos.SectionKernel, false}, {"livepatches", cos.SectionKernel, false}, {"binfmt_misc", cos.SectionKernel, false},
	{"file systems", cos.SectionFiles | cos.SectionContainers, false}, {"inodes", cos.SectionFiles | cos.SectionContainers, false}, {"contents of", cos.SectionFiles, false}, {"directory", cos.SectionFiles | cos.SectionContainers, false},
	{"security", cos.SectionSecurity, false}, {"user namespace", cos.SectionSecurity, false}, {"signals of", cos.SectionSecurity, false}, {"timers of task", cos.SectionSecurity, false},
	{"suspicious memory", cos.SectionMemory, false}, {"mappings", cos.SectionMemory, false}, {"registers of", cos.SectionMemory, false}, {"suspicious pages", cos.SectionMemory, false},
}

// A loss is a gap of the report, and whom it concerns.
type loss struct {
	gap       *vmem.Gap
	sections  cos.Sections
	processes bool
}

// Lost returns the losses of the report that concern a rule with these needs.
func (n *Node) Lost(needs Needs) (all []vmem.Gap) {
	for _, l := range n.losses {
		if l.sections&needs.Sections != 0 || l.processes && needs.Processes {
			all = append(all, *l.gap)
		}
	}
	return all
}

// newLoss says whom a gap concerns: all, where its object is none that is known.
func newLoss(g *vmem.Gap) loss {
	out, longest := loss{g, cos.AllSections, true}, 0
	if strings.Contains(g.Object, " of task ") { // a part of a task, such as "env of task 12 (sh)"
		out.sections = cos.SectionMemory | cos.SectionSecurity
	}
	for _, l := range lossesOf {
		if len(l.prefix) > longest && strings.HasPrefix(g.Object, l.prefix) {
			out, longest = loss{g, l.sections, l.processes}, len(l.prefix)
		}
	}
	return out
}

// signOfHiding reports whether a gap says that a view lacks an object which others have: nothing was lost then, and a rule tells
// of it. hidden are the places of such objects. That a task is hidden is said where the views are whole around it.
func signOfHiding(g *vmem.Gap, hidden map[vmem.Place]bool) bool {
	return errors.Is(g.Err, linux.ErrHidden) || errors.Is(g.Err, linux.ErrDisagree) && hidden[g.Place]
}

// hiddenObjects are the places of processes and devices that a view lacks.
func (n *Node) hiddenObjects() map[vmem.Place]bool {
	hidden := map[vmem.Place]bool{}
	for i := range n.Report.Processes {
		if p := &n.Report.Processes[i]; linux.LeaderSources&^p.Sources != 0 {
			hidden[vmem.KernelPlace(p.Address)] = true
		}
	}
	n.eachHiddenDevice(func(_ *cos.NetworkNamespace, d *network.Device, _ network.DeviceSources) {
		hidden[vmem.KernelPlace(d.Addr)] = true
	})
	return hidden
}

// ofTaskObject is how the objects of losses name a task.
var ofTaskObject = regexp.MustCompile(`\btask (\d+)\b`)

// indexLosses finds whom losses concern, and of which processes something was lost.
func (n *Node) indexLosses() {
	hidden := n.hiddenObjects()
	n.lossy = map[int32]bool{}
	for i := range n.Report.Gaps {
		g := &n.Report.Gaps[i]
		if signOfHiding(g, hidden) {
			continue
		}
		n.losses = append(n.losses, newLoss(g))
		if m := ofTaskObject.FindStringSubmatch(g.Object); m != nil {
			if pid, err := strconv.ParseInt(m[1], 10, 32); err == nil {
				n.lossy[int32(pid)] = true
			}
		}
		if g.Place.Kind == vmem.InUser {
			n.lossy[g.Place.PID] = true
		}
	}
}

// TasksWhole reports whether the views of the set of tasks are whole, so that what one of them lacks was taken out of it.
func (n *Node) TasksWhole() bool {
	for _, l := range n.losses {
		for _, view := range []string{"task", "PID IDR", "image", "count of"} {
			if strings.HasPrefix(l.gap.Object, view) {
				return false
			}
		}
	}
	return true
}
