package main

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/nodelens/nodelens/cos"
	"github.com/nodelens/nodelens/internal/text"
	"github.com/nodelens/nodelens/linux"
)

// tree prints the processes as trees: a process under its parent, if that is among them.
// indent is the depth of the roots.
func (p *printer) tree(processes []*cos.Process, indent int) {
	t := tree{printer: p, children: map[int32][]*cos.Process{}, printed: map[*cos.Process]bool{}}
	here := map[int32]bool{}
	for _, proc := range processes {
		here[proc.PID] = true
		t.children[proc.PPID] = append(t.children[proc.PPID], proc)
	}
	for _, proc := range processes {
		if !here[proc.PPID] {
			t.print(proc, indent)
		}
	}
	// In a damaged image processes can be each other's parents.
	for _, proc := range processes {
		t.print(proc, indent)
	}
}

type tree struct {
	printer  *printer
	children map[int32][]*cos.Process // by PID of the parent
	printed  map[*cos.Process]bool
}

// maxIndent keeps deep trees, which hostile processes can make, from running off.
const maxIndent = 40

func (t *tree) print(p *cos.Process, indent int) {
	if t.printed[p] {
		return
	}
	t.printed[p] = true
	fmt.Fprintf(t.printer.w, "%*s%d %s\n", 2*min(indent, maxIndent), "", p.PID, describe(t.printer.views, p))
	for _, child := range t.children[p.PID] {
		t.print(child, indent+1)
	}
}

// maxLine is how much of a process's arguments is printed, in characters.
const maxLine = 140

// describe says what a process is: its name and arguments, and whatever of it a
// responder should not overlook.
func describe(v *cos.Views, p *cos.Process) string {
	line := text.Word(p.Comm)
	if p.KernelThread {
		line = "[" + line + "]"
	}
	if len(p.Args) > 0 {
		line += ": " + text.Words(p.Args, maxLine)
	}
	if remarks := remarks(v, p); len(remarks) > 0 {
		line += "  (" + strings.Join(remarks, ", ") + ")"
	}
	return line
}

func remarks(v *cos.Views, p *cos.Process) []string {
	var all []string
	if p.KernelThread {
		return v.Listed(p)
	}
	if p.Exe != "" && !names(p.Args, p.Exe) {
		all = append(all, "runs "+text.Word(p.Exe))
	}
	if p.Cred != nil && p.Cred.UID != 0 {
		all = append(all, fmt.Sprintf("uid %d", p.Cred.UID))
	}
	if p.Cred != nil && p.Cred.EUID != p.Cred.UID {
		all = append(all, fmt.Sprintf("euid %d", p.Cred.EUID))
	}
	if n := len(p.Threads); n > 1 {
		all = append(all, fmt.Sprintf("%d threads", n))
	}
	if !slices.Contains([]linux.State{linux.Running, linux.Sleeping, linux.Idle}, p.State) {
		all = append(all, strings.Trim(p.State.String()[1:], " ()"))
	}
	return append(all, v.Listed(p)...)
}

// names reports whether the first argument names the program, by its path or its base
// name.
func names(args []string, exe string) bool {
	return len(args) > 0 && path.Base(strings.TrimPrefix(args[0], "-")) == path.Base(exe)
}
