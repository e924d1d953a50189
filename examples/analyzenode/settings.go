package main

import (
	"bufio"
	"fmt"
	"strings"

	"github.com/nodelens/nodelens/cos"
	"github.com/nodelens/nodelens/internal/text"
)

// The programs that kernels start if nobody tells them otherwise.
var usualModprobe = []string{"/sbin/modprobe", "/usr/sbin/modprobe", ""}

// printSettings says in a line how the kernel was set up, and what of it a responder should not overlook:
// taints, programs that the kernel starts, formats that run a program of someone's choice, other kernels.
func printSettings(w *bufio.Writer, r *cos.NodeReport) {
	s := r.Kernel.Settings
	if s == nil {
		return
	}
	var spaces, last = 0, ""
	for i := range s.Sysctls {
		if ns := s.Sysctls[i].Namespace; ns != last {
			spaces, last = spaces+1, ns
		}
	}
	fmt.Fprintf(w, "kernel settings: %s in %s", text.Count(len(s.Sysctls), "sysctl", "sysctls"), text.Count(spaces+1, "set of namespaces", "sets of namespaces"))
	if s.Configuration != "" {
		fmt.Fprintf(w, ", configuration of %s", text.Size(int64(len(s.Configuration))))
	}
	if len(s.LSMs) > 0 {
		fmt.Fprintf(w, ", security modules %s", text.Word(strings.Join(s.LSMs, ",")))
	}
	if s.Lockdown != "" {
		fmt.Fprintf(w, ", lockdown %s", text.Word(s.Lockdown))
	}
	if s.Taint.Value != 0 {
		printOdd(w, "TAINTED", []string{fmt.Sprintf("%d (%s)", s.Taint.Value, text.Line(strings.Join(s.Taint.Meanings, ", ")))})
	}
	var programs []string
	if strings.HasPrefix(s.CorePattern.Value, "|") {
		programs = append(programs, "for cores "+text.Word(s.CorePattern.Value[1:]))
	}
	usual := false
	for _, p := range usualModprobe {
		usual = usual || p == s.ModprobePath.Value
	}
	if !usual {
		programs = append(programs, "for modules "+text.Word(s.ModprobePath.Value))
	}
	if s.UeventHelper.Value != "" {
		programs = append(programs, "for events "+text.Word(s.UeventHelper.Value))
	}
	printOdd(w, "the kernel starts", programs)
	var formats []string
	for i := range s.BinfmtMisc {
		if f := &s.BinfmtMisc[i]; f.Enabled {
			formats = append(formats, text.Word(f.Name)+" by "+text.Word(f.Interpreter))
		}
	}
	printOdd(w, "binary formats", formats)
	if s.KexecImage != 0 {
		printOdd(w, "kexec", []string{"another kernel is loaded"})
	}
	var patches []string
	for _, p := range s.Livepatches {
		patches = append(patches, text.Word(p))
	}
	printOdd(w, "LIVEPATCHED", patches)
	fmt.Fprintln(w)
}
