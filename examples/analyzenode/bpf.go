package main

import (
	"bufio"
	"fmt"
	"strings"

	"github.com/nodelens/nodelens/cos"
	"github.com/nodelens/nodelens/internal/text"
)

// printBPF says how many programs there are and of what kinds, and last what does not belong: programs that are hidden, that
// nobody has and nothing is attached to, or that change what processes see.
func printBPF(w *bufio.Writer, r *cos.NodeReport) {
	if r.BPF == nil {
		return
	}
	counts, order := map[string]int{}, []string(nil)
	for i := range r.BPF.Programs {
		kind := r.BPF.Programs[i].Type.String()
		if counts[kind]++; counts[kind] == 1 {
			order = append(order, kind)
		}
	}
	fmt.Fprintf(w, "BPF: %s, %s, %s, %s of system calls", text.Count(len(r.BPF.Programs), "program", "programs"), text.Count(len(r.BPF.Maps), "map", "maps"),
		text.Count(len(r.BPF.Links), "link", "links"), text.Count(len(r.BPF.Filters), "filter", "filters"))
	for i, kind := range order {
		separator := ", "
		if i == 0 {
			separator = "; "
		}
		fmt.Fprintf(w, "%s%s: %d", separator, text.Line(kind), counts[kind])
	}
	fmt.Fprintln(w)
	for i := range r.BPF.Programs {
		p := &r.BPF.Programs[i]
		if remarks := bpfRemarks(p); len(remarks) > 0 {
			fmt.Fprintf(w, "  program %d %s %s, loaded %s by user %d (%s)%s\n", p.ID, text.Line(p.Type.String()), text.Word(p.FullName),
				p.LoadTime.UTC().Format("2006-01-02 15:04:05"), p.UID, strings.Join(remarks, ", "), bpfPlaces(p))
		}
	}
	for i := range r.BPF.Maps {
		if m := &r.BPF.Maps[i]; m.Hidden {
			fmt.Fprintf(w, "  map %d %s %s (HIDDEN: found by %v)\n", m.ID, text.Line(m.Type.String()), text.Word(m.Name), m.Sources)
		}
	}
	for i := range r.BPF.Links {
		if l := &r.BPF.Links[i]; l.Hidden {
			fmt.Fprintf(w, "  link %d %s of program %d (HIDDEN: found by %v)\n", l.ID, text.Line(l.Type.String()), l.Program, l.Sources)
		}
	}
}

// suspectHelpers are functions by which a program changes what processes see or do.
var suspectHelpers = []string{"bpf_probe_write_user", "bpf_override_return", "bpf_send_signal", "bpf_send_signal_thread"}

// bpfRemarks says what of a program does not belong.
func bpfRemarks(p *cos.BPFProgram) (remarks []string) {
	if p.Hidden {
		remarks = append(remarks, "HIDDEN: found by "+p.Sources.String())
	}
	for _, a := range p.Attachments {
		if a.Flags == "effective alone" {
			remarks = append(remarks, "IN FORCE WITHOUT BEING ATTACHED")
		}
	}
	for _, h := range p.Helpers {
		for _, s := range suspectHelpers {
			if strings.HasPrefix(h, s) {
				remarks = append(remarks, "calls "+s)
			}
		}
	}
	if len(p.Owners) == 0 && len(p.Attachments) > 0 && len(p.Pins) > 0 {
		remarks = append(remarks, "pinned, no process has it")
	}
	if len(p.Owners) == 0 && len(p.Attachments) == 0 && len(p.Pins) == 0 && len(p.Links) == 0 {
		remarks = append(remarks, "nothing is known to hold it")
	}
	return remarks
}

// bpfPlaces says where a program is attached, the first few places.
func bpfPlaces(p *cos.BPFProgram) string {
	var all []string
	for i := range p.Attachments {
		if i == maxOwners {
			all = append(all, fmt.Sprintf("and %d more", len(p.Attachments)-i))
			break
		}
		a := &p.Attachments[i]
		all = append(all, strings.TrimSpace(a.Kind+" "+text.Line(a.Type)+" "+text.Word(a.Target)))
	}
	if len(all) == 0 {
		return ""
	}
	return ": " + strings.Join(all, ", ")
}
