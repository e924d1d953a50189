package main

import (
	"bufio"
	"cmp"
	"fmt"
	"strings"

	"github.com/nodelens/nodelens/cos"
	"github.com/nodelens/nodelens/internal/text"
	"github.com/nodelens/nodelens/linux/printk"
)

// printModules says in a line how many modules there are, and names those that do not belong:
// what is hidden, and what is not of the kernel's own making.
func printModules(w *bufio.Writer, r *cos.NodeReport) {
	if r.Modules == nil {
		return
	}
	var hidden, foreign []string
	sum := uint64(0)
	for i := range r.Modules {
		m := &r.Modules[i]
		sum += m.Size
		if m.Taints != 0 {
			foreign = append(foreign, fmt.Sprintf("%s (%v)", text.Word(m.Name), m.Taints))
		}
		if m.Hidden() {
			hidden = append(hidden, fmt.Sprintf("%s, which %s lack", cmp.Or(text.Word(m.Name), m.Address.String()), strings.Join(m.Missing.Names(), " and ")))
		}
	}
	fmt.Fprintf(w, "modules: %d, %s", len(r.Modules), text.Size(int64(sum)))
	printOdd(w, "that taint the kernel", foreign)
	printOdd(w, "HIDDEN", hidden)
	fmt.Fprintln(w)
}

// maxNamed is how many odd things of a kind a summary names.
const maxNamed = 8

// printOdd adds to a summary what does not belong, if there is any.
func printOdd(w *bufio.Writer, what string, names []string) {
	if len(names) == 0 {
		return
	}
	more := ""
	if n := len(names) - maxNamed; n > 0 {
		names, more = names[:maxNamed], fmt.Sprintf(" and %d more", n)
	}
	fmt.Fprintf(w, "; %s: %s%s", what, strings.Join(names, "; "), more)
}

// printLog says in a line how much of the kernel log there is, and what is not.
func printLog(w *bufio.Writer, r *cos.NodeReport) {
	if r.Log == nil {
		return
	}
	fmt.Fprintf(w, "kernel log: %s", text.Count(len(r.Log), "record", "records"))
	if len(r.Log) == 0 {
		fmt.Fprintln(w)
		return
	}
	first, last := &r.Log[0], &r.Log[len(r.Log)-1]
	fmt.Fprintf(w, " from %s to %s", uptime(first.Time), uptime(last.Time))
	grave, lost, next := 0, uint64(0), first.Sequence
	for i := range r.Log {
		if r.Log[i].Level <= 3 { // err
			grave++
		}
		if s := r.Log[i].Sequence; s >= next {
			lost += s - next
			next = s + 1
		}
	}
	if grave > 0 {
		fmt.Fprintf(w, ", %d of level err or worse", grave)
	}
	if first.Sequence > 0 {
		fmt.Fprintf(w, "; %s before that overwritten", text.Count(int(first.Sequence), "record", "records"))
	}
	if lost > 0 {
		fmt.Fprintf(w, "; LOST in between: %d", lost)
	}
	fmt.Fprintln(w)
}

// uptime returns when a record was written, in seconds since boot.
func uptime(t printk.Time) string { return fmt.Sprintf("%d.%03d s", t/1e9, t%1e9/1e6) }
