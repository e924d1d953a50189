package findings

import (
	"fmt"
	"regexp"

	"github.com/nodelens/nodelens/cos"
)

// environmentRules are about variables of environments. Of these the names are evidence, and never the values.
var environmentRules = []Rule{
	{
		ID: "process-preload", Group: Processes, Severity: Medium, Techniques: []Technique{"T1574.006"},
		Title:   "A process loads a library that its program does not ask for",
		Meaning: "A variable of its environment makes the loader put a library before all others, where it can replace what they do. Allocators and agents for metrics are loaded so, and rootkits of processes.",
		Needs:   Needs{Processes: true}, Benign: []string{"an allocator of memory, or an agent for metrics"}, Next: "nodelens maps IMAGE --pid {pid}", Check: perProcess(preload),
	},
	{
		ID: "process-history-off", Group: Processes, Severity: Medium, Techniques: []Technique{"T1070.003"},
		Title:   "A shell keeps no history",
		Meaning: "Variables of its environment say that nothing of what is typed is kept. Images that were hardened do that, and who does not want to be seen.",
		Needs:   Needs{Processes: true}, Benign: []string{"an image that was hardened"}, Next: "nodelens env IMAGE --pid {pid}", Check: perProcess(historyOff),
	},
}

var preloadVariables = regexp.MustCompile(`^LD_(PRELOAD|AUDIT)$`)

func ofVariable(s *cos.Secret) Evidence {
	return Evidence{Type: "mm_struct", Field: "variable " + s.Name, Value: fmt.Sprintf("%d bytes", s.Length)}
}

func preload(_ *Node, p *cos.Process, found func(Finding)) {
	for i := range p.Env {
		s := &p.Env[i]
		if !preloadVariables.MatchString(s.Name) || s.Length == 0 {
			continue
		}
		f := Finding{Confidence: Likely, Object: s.Name, Evidence: []Evidence{ofVariable(s), ofTask(p, "exe", p.Exe)}, Summary: s.Name + " is set"}
		if s.Value != nil && temporaryPlace.MatchString(*s.Value) {
			f.Severity, f.Summary = High, s.Name+" names a file in a directory that everybody can write to"
		}
		found(f)
	}
}

func historyOff(_ *Node, p *cos.Process, found func(Finding)) {
	for i := range p.Env {
		s := &p.Env[i]
		confidence := Certain
		switch {
		case s.Name == "HISTFILE" && s.Length == 0, s.Name == "HISTFILE" && s.Value != nil && *s.Value == "/dev/null":
		case (s.Name == "HISTSIZE" || s.Name == "HISTFILESIZE") && s.Value != nil && *s.Value == "0":
		case s.Name == "HISTFILE" && s.Value == nil && s.Length == len("/dev/null"):
			confidence = Possible // the value is hidden
		default:
			continue
		}
		found(Finding{Confidence: confidence, Object: s.Name, Evidence: []Evidence{ofVariable(s), ofTask(p, "exe", p.Exe)}, Summary: s.Name + " says so"})
	}
}
