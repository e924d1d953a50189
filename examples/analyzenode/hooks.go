package main

import (
	"bufio"
	"fmt"

	"github.com/nodelens/nodelens/cos"
	"github.com/nodelens/nodelens/internal/text"
	"github.com/nodelens/nodelens/linux/integrity"
)

// ordinary are the tables of what modules are there to provide, such as protocols and file systems: that their functions are those of
// modules is only counted.
var ordinary = map[string]bool{
	integrity.ProcTable: true, integrity.IRQTable: true, integrity.KthreadTable: true, integrity.WorkTable: true, integrity.TimerTable: true,
	integrity.HRTimerTable: true, integrity.PacketTable: true, integrity.StaticCallTable: true,
	"superblocks": true, "filesystems": true, "protocols": true, "net_families": true, "inetsw": true, "inetsw6": true, "inet_protos": true,
	"inet6_protos": true, "inet_offloads": true, "inet6_offloads": true, "irq_chip": true, "tty": true, "tty_ldiscs": true, "input": true,
	"input_devices": true, "console": true, "pmu": true,
}

// printHooks says how many places call whose code, which call other code than the kernel's where that is not ordinary, and last what
// does not belong.
func printHooks(w *bufio.Writer, r *cos.NodeReport) {
	if r.Hooks == nil {
		return
	}
	var kinds [integrity.Trampoline + 1]int
	suspects := 0
	for i := range r.Hooks {
		h := &r.Hooks[i]
		if h.Verdict.Kind < integrity.Kind(len(kinds)) {
			kinds[h.Verdict.Kind]++
		}
		if h.Suspect {
			suspects++
		}
	}
	fmt.Fprintf(w, "hooks: %s", text.Count(len(r.Hooks), "place", "places"))
	for _, kind := range []integrity.Kind{integrity.Kernel, integrity.Module, integrity.BPF, integrity.Trampoline, integrity.Unknown} {
		if kinds[kind] > 0 {
			fmt.Fprintf(w, ", %d %v", kinds[kind], kind)
		}
	}
	fmt.Fprintln(w)
	for i := range r.Hooks {
		if h := &r.Hooks[i]; !h.Suspect && h.Verdict.Kind != integrity.Kernel && !ordinary[h.Table] {
			fmt.Fprintf(w, "  %s\n", text.Line(h.String()))
		}
	}
	if suspects == 0 {
		fmt.Fprintln(w, "  all of them belong")
		return
	}
	fmt.Fprintf(w, "  %d do not belong:\n", suspects)
	for i := range r.Hooks {
		if h := &r.Hooks[i]; h.Suspect {
			fmt.Fprintf(w, "    %s\n", text.Line(h.String()))
		}
	}
}
