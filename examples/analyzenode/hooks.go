package main

import (
	"bufio"
	"fmt"

	"github.com/nodelens/nodelens/cos"
	"github.com/nodelens/nodelens/internal/text"
	"github.com/nodelens/nodelens/linux/integrity"
)

// printHooks says how many places call whose code, which call other code than the kernel's, and last what does not belong.
// The files of /proc that modules have call these modules: they are only counted.
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
	fmt.Fprintf(w, "hooks: %s", counted(len(r.Hooks), "place", "places"))
	for _, kind := range []integrity.Kind{integrity.Kernel, integrity.Module, integrity.BPF, integrity.Trampoline, integrity.Unknown} {
		if kinds[kind] > 0 {
			fmt.Fprintf(w, ", %d %v", kinds[kind], kind)
		}
	}
	fmt.Fprintln(w)
	for i := range r.Hooks {
		if h := &r.Hooks[i]; !h.Suspect && h.Verdict.Kind != integrity.Kernel && h.Table != integrity.ProcTable {
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
