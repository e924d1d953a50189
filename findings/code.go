package findings

import (
	"context"
	"fmt"

	"github.com/nodelens/nodelens/cos"
	"github.com/nodelens/nodelens/linux/memory"
)

func codeRules() []Rule {
	needs := Needs{Processes: true, Sections: cos.SectionMemory}
	return []Rule{
		{
			ID: "code-writable", Group: Processes, Severity: High, Techniques: []Technique{"T1055", "T1027.002"},
			Title:   "Memory can be written and executed",
			Meaning: "A mapping may be written and executed at once, so that code can be made while the process runs. Injected code lies in such memory; that of just-in-time compilers does, too.",
			Needs:   needs, Benign: []string{causeJIT}, Next: "nodelens maps --pid {pid}", Check: memoryOf(memory.WritableCode),
		},
	}
}

// levels are the severities of what package memory weighs.
var levels = map[memory.Level]Severity{memory.High: High, memory.Medium: Medium, memory.Low: Low}

// memoryOf returns a check for what package memory finds of a kind. What it takes for that of a just-in-time compiler is Low.
func memoryOf(kind memory.Kind) func(context.Context, *Node, *Reporter) error {
	return func(ctx context.Context, n *Node, r *Reporter) error {
		for i := range n.Report.Memory {
			m := &n.Report.Memory[i]
			if err := ctx.Err(); err != nil {
				return err
			}
			if m.Kind == kind {
				r.Found(n.suspicious(m))
			}
		}
		return nil
	}
}

// suspicious returns what package memory found as a finding.
func (n *Node) suspicious(m *cos.SuspiciousMemory) Finding {
	subject := n.OfContainer(m.PodUID, m.ContainerID)
	subject.PID = m.PID
	if p := n.Process(m.PID); p != nil {
		subject = n.OfProcess(p)
	}
	f := Finding{Subject: subject, Severity: levels[m.Level], Confidence: Likely, Object: fmt.Sprintf("%v+%#x", m.Address, m.Size), Summary: m.Why}
	at := Evidence{Type: "vm_area_struct", Addr: m.Address}
	for _, fact := range []struct{ field, value string }{{"flags", m.Flags}, {"path", m.Path}} {
		if fact.value != "" {
			at.Field, at.Value = fact.field, fact.value
			f.Evidence = append(f.Evidence, at)
		}
	}
	state := RuledOut
	if m.Level == memory.Low {
		state = Applies
	}
	f.Benign = []Benign{{causeJIT, state}}
	return f
}
