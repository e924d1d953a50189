package integrity

import (
	"github.com/nodelens/nodelens/vmem"
)

// readKprobes yields what kprobes and kretprobes call.
func readKprobes(r *reader) {
	p := r.probes
	for _, err := range p.gaps {
		r.lost("kprobes", 0, err)
	}
	for i := range p.list {
		if !r.probe(p, &p.list[i]) {
			return
		}
	}
}

// probe yields the functions of a kprobe.
func (r *reader) probe(p *probes, k *probe) bool {
	table := "kprobes"
	type handler struct {
		name   string
		at     vmem.VirtAddr
		target vmem.VirtAddr
	}
	at := func(base vmem.VirtAddr, off uint64, ok bool) vmem.VirtAddr {
		if !ok {
			return 0
		}
		return base + vmem.VirtAddr(off)
	}
	preOff, preOK := p.views.probe.Offset("Pre")
	postOff, postOK := p.views.probe.Offset("Post")
	faultOff, faultOK := p.views.probe.Offset("Fault")
	handlers := []handler{
		{"", at(k.at, preOff, preOK), k.Pre}, {" after", at(k.at, postOff, postOK), k.Post}, {" fault", at(k.at, faultOff, faultOK), k.Fault},
	}
	if k.ret != nil {
		table = "kretprobes"
		ret := p.views.kp.Container(k.at)
		leaveOff, _ := p.views.ret.Offset("Handler")
		enterOff, _ := p.views.ret.Offset("Entry")
		handlers = []handler{{"", at(ret, leaveOff, true), k.ret.Handler}, {" entry", at(ret, enterOff, true), k.ret.Entry}}
	}
	for _, h := range handlers {
		if h.target == 0 {
			continue
		}
		hook := r.Hook(table, r.symbols.Describe(k.Addr)+h.name, h.at, h.target)
		if text := flagNames(uint64(k.Flags&^(probeOptimized|probeFtrace)|k.shared&(probeOptimized|probeFtrace)), probeFlags[:]); text != "" {
			hook.add("%s", text)
		}
		if r.Verdict(k.Addr).Kind == Unknown && k.Flags&probeGone == 0 {
			hook.suspect("what is probed is in no code")
		}
		if !r.found(hook) {
			return false
		}
	}
	return true
}

var probeFlags = [...]string{"gone", "disabled", "optimized", "ftrace"}
