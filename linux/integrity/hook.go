package integrity

import (
	"fmt"
	"strings"

	"github.com/nodelens/nodelens/vmem"
)

// A Hook is a place where code is called through a pointer, or at which calls were put, and
// what is called there.
type Hook struct {
	Table   string        `json:"table"`               // what the place is of, such as sys_call_table, idt or kprobes
	Entry   string        `json:"entry"`               // which place of it, under the kernel's name where it has one
	Address vmem.VirtAddr `json:"address"`             // of what holds the pointer; 0 where code holds it
	Target  vmem.VirtAddr `json:"target"`              // what is called
	Symbol  string        `json:"symbol" jsonx:"null"` // of the target, with the offset where it is not the symbol's start
	Owner   string        `json:"owner" jsonx:"null"`  // what the symbol is of, as kallsyms has it in brackets; empty for the kernel itself
	Verdict Verdict       `json:"verdict"`
	// Suspect says that the hook does not belong: the last of Evidence says why.
	Suspect bool `json:"suspect"`
	// Evidence is what bears the verdict out, in words that may change.
	Evidence []string `json:"evidence"`
}

// String returns the hook on one line.
func (h Hook) String() string {
	target := h.Target.String()
	if h.Symbol != "" {
		target = h.Symbol
	}
	text := fmt.Sprintf("%s %s: %s, %v", h.Table, h.Entry, target, h.Verdict)
	if len(h.Evidence) > 0 {
		text += " (" + strings.Join(h.Evidence, "; ") + ")"
	}
	return text
}

// add adds evidence.
func (h *Hook) add(format string, args ...any) {
	h.Evidence = append(h.Evidence, fmt.Sprintf(format, args...))
}

// suspect says why the hook does not belong.
func (h *Hook) suspect(format string, args ...any) {
	h.Suspect = true
	h.add(format, args...)
}

// mustBeKernel is for places that hold code of the kernel itself, whatever is loaded.
func (h *Hook) mustBeKernel() {
	if h.Verdict.Kind != Kernel && !h.Suspect {
		h.suspect("the kernel itself is called here, and nothing else")
	}
}
