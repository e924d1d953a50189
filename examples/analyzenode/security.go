package main

import (
	"bufio"
	"fmt"

	"github.com/nodelens/nodelens/cos"
	"github.com/nodelens/nodelens/internal/text"
	lp "github.com/nodelens/nodelens/linux/process"
)

// printSecurity says of the processes of pods what they may do.
func printSecurity(w *bufio.Writer, r *cos.NodeReport) {
	if r.Security == nil {
		return
	}
	fmt.Fprintf(w, "security: %d processes\n", len(r.Security))
	for i := range r.Security {
		s := &r.Security[i]
		if s.PodUID == "" {
			continue
		}
		confined := "unconfined"
		if s.AppArmor != nil {
			confined = fmt.Sprintf("%s (%s)", text.Line(s.AppArmor.Profile), text.Line(s.AppArmor.Mode))
		}
		may := fmt.Sprintf("%d capabilities", len(s.Effective.Names()))
		if s.Effective == lp.AllCapabilities {
			may = "all capabilities"
		}
		fmt.Fprintf(w, "  process %d: uid %d, %s, seccomp %s, AppArmor %s", s.PID, s.EUID, may, text.Line(s.Seccomp.Mode), confined)
		if s.NoNewPrivs {
			fmt.Fprint(w, ", no new privileges")
		}
		fmt.Fprintln(w)
	}
}

// printMemory lists what is suspicious in the memory of processes.
func printMemory(w *bufio.Writer, r *cos.NodeReport) {
	if r.Memory == nil {
		return
	}
	fmt.Fprintf(w, "memory: %d findings\n", len(r.Memory))
	for i := range r.Memory {
		m := &r.Memory[i]
		fmt.Fprintf(w, "  %s: process %d at %v: %s %s: %s\n", text.Line(string(m.Level)), m.PID, m.Address, text.Line(m.Flags), text.Line(m.Path), text.Line(m.Why))
		for _, line := range m.Code {
			fmt.Fprintf(w, "    %s\n", text.Line(line))
		}
	}
}

// printMaps lists the mappings of the processes of pods, with what is in memory of each.
func printMaps(w *bufio.Writer, r *cos.NodeReport) {
	if r.Maps == nil {
		return
	}
	fmt.Fprintf(w, "maps: %d processes\n", len(r.Maps))
	for i := range r.Maps {
		p := &r.Maps[i]
		if p.PodUID == "" {
			continue
		}
		fmt.Fprintf(w, "  process %d: %d mappings\n", p.PID, len(p.Mappings))
		for k := range p.Mappings {
			m := &p.Mappings[k]
			fmt.Fprintf(w, "    %08x-%08x %s %08x %02x:%02x %d %s: %d kB of %d\n", uint64(m.Start), uint64(m.End), text.Line(m.Flags), m.Offset, m.Major, m.Minor, m.Inode,
				text.Line(m.Path), m.Usage.RSS>>10, m.Usage.Size>>10)
		}
	}
}
