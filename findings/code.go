package findings

import (
	"context"
	"fmt"
	"regexp"

	"github.com/nodelens/nodelens/cos"
	"github.com/nodelens/nodelens/linux/memory"
)

func codeRules() []Rule {
	rule := func(id string, severity Severity, kind memory.Kind, title, meaning string, benign []string, techniques ...Technique) Rule {
		return Rule{ID: id, Group: Processes, Severity: severity, Techniques: techniques, Title: title, Meaning: meaning, Benign: benign,
			Needs: Needs{Processes: true, Sections: cos.SectionMemory}, Next: "nodelens maps IMAGE --pid {pid}", Check: memoryOf(kind)}
	}
	return []Rule{
		rule("code-writable", High, memory.WritableCode, "Memory can be written and executed",
			"A mapping may be written and executed at once, so that code can be made while the process runs. Injected code lies in such memory; that of just-in-time compilers does, too.",
			[]string{causeJIT}, "T1055", "T1027.002"),
		rule("code-anonymous", Medium, memory.AnonymousCode, "Code is executed that is of no file",
			"A mapping without a file may be executed. Injected code lies in such memory once it was written; that of just-in-time compilers does, too.",
			[]string{causeJIT}, "T1055", "T1620"),
		rule("code-gone-file", High, memory.GoneCode, "Code is mapped from a file that is in no directory",
			"A library was mapped whose file was deleted, or was only ever in memory. Libraries that were upgraded look so on the node, and in images they are not upgraded.",
			[]string{causeUpgraded, causeUnpacked}, "T1574", "T1620"),
		rule("code-changed", High, memory.ChangedCode, "Code was changed in a process",
			"Pages of code differ from those of their file: somebody wrote to them in this process. Debuggers and probes change single bytes so, hooks of malware whole instructions.",
			[]string{causeDebugger}, "T1055", "T1574"),
		rule("code-hidden-program", High, memory.HiddenProgram, "A program lies in memory that is of no file",
			"The head of an ELF file is in memory that no file is mapped to. A loader that puts programs into memory past the kernel leaves that, and so do packers.",
			[]string{"a program that was packed"}, "T1620", "T1027.002"),
		rule("code-stray-thread", High, memory.StrayThread, "A thread executes what is of no file",
			"The instruction that a thread was at is in memory without a file. Injected code runs so, and that of just-in-time compilers.",
			[]string{causeJIT}, "T1055"),
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
			if m.Kind == kind && !n.ownProgram(m) {
				r.Found(n.suspicious(m, r.rule.Benign))
			}
		}
		return nil
	}
}

// ownProgram reports whether what was found is of the process's own program: that its file is gone says a rule of its own.
func (n *Node) ownProgram(m *cos.SuspiciousMemory) bool {
	p := n.Process(m.PID)
	return m.Kind == memory.GoneCode && p != nil && m.Path != "" && m.Path == p.Exe
}

// suspicious returns what package memory found as a finding. It knows of no cause without harm but just-in-time compilers.
func (n *Node) suspicious(m *cos.SuspiciousMemory, causes []string) Finding {
	subject := n.OfContainer(m.PodUID, m.ContainerID)
	subject.PID = m.PID
	if p := n.Process(m.PID); p != nil {
		subject = n.OfProcess(p)
	}
	f := Finding{Subject: subject, Severity: levels[m.Level], Confidence: Likely, Object: fmt.Sprintf("%v+%#x", m.Address, m.Size), Summary: m.Why}
	if n.lossy[m.PID] && (m.Kind == memory.AnonymousCode || m.Kind == memory.StrayThread || m.Kind == memory.HiddenProgram) {
		// The file that it is of may be what was lost.
		f.Severity, f.Confidence = min(f.Severity, Low), Possible
	}
	at := Evidence{Type: "vm_area_struct", Addr: m.Address}
	for _, fact := range []struct{ field, value string }{{"flags", m.Flags}, {"path", m.Path}} {
		if fact.value != "" {
			at.Field, at.Value = fact.field, fact.value
			f.Evidence = append(f.Evidence, at)
		}
	}
	for _, cause := range causes {
		state := Unchecked
		switch {
		case cause == causeJIT && m.Level == memory.Low:
			state = Applies
		case cause == causeJIT:
			state = RuledOut
		case cause == causeUnpacked:
			state = n.unpacked(m)
		}
		f.Benign = append(f.Benign, Benign{cause, state})
	}
	return f
}

const causeUnpacked = "a runtime unpacks libraries of its own, and deletes them once they are loaded"

// unpackers are runtimes whose libraries are in archives, and unpackedFile what these call what they unpack.
var (
	unpackers    = regexp.MustCompile(`^(java|jsvc|dotnet|bun)$`)
	unpackedFile = regexp.MustCompile(`^/(tmp|var/tmp|var/cache/\S+)/(\S+/)?\.?(jna|JNA|libnetty|netty|snappy|libsnappy|libjansi|jansi|liblz4|libzstd|librocksdb|libleveldbjni|sqlite|libsqlitejdbc|libbrotli|libconscrypt|conscrypt|libtcnative|libcrc32c|libwhisper|native)[\w.-]*(\.so|\.tmp|\.node)?[\w.-]* \(deleted\)$`)
)

// unpacked reports whether a library that is gone is one that its runtime unpacked. Names alone do not explain it: it must be a runtime that does
// that, and the library one that was on a disk.
func (n *Node) unpacked(m *cos.SuspiciousMemory) BenignState {
	p := n.Process(m.PID)
	if p == nil || !unpackers.MatchString(program(p)) || !unpackedFile.MatchString(m.Path) || m.Level == memory.High {
		return RuledOut
	}
	return Applies
}
