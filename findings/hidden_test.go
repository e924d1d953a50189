package findings_test

import (
	"testing"

	"github.com/nodelens/nodelens/cos"
	"github.com/nodelens/nodelens/findings"
	"github.com/nodelens/nodelens/internal/smeartest"
	"github.com/nodelens/nodelens/internal/testimages"
	"github.com/nodelens/nodelens/lime"
	"github.com/nodelens/nodelens/vmem"
)

// A process that was taken out of the task list is found to be hidden, by a report that says that views disagree.
func TestHiddenProcess(t *testing.T) {
	img, err := testimages.Bundled()
	if err != nil {
		t.Fatal(err)
	}
	mem, err := lime.Open(img.Path)
	if err != nil {
		t.Fatal(err)
	}
	node, err := openBundled()
	if err != nil {
		t.Fatal(err)
	}
	whole, err := bundled()
	if err != nil {
		t.Fatal(err)
	}
	k := node.Kernel()
	tasks, err := k.Symbols().Field("task_struct", "tasks")
	if err != nil {
		t.Fatal(err)
	}
	var victim *cos.Process
	for i := range whole.Processes {
		if whole.Processes[i].PID == 748 {
			victim = &whole.Processes[i]
		}
	}
	at := victim.Address + vmem.VirtAddr(tasks.Offset)
	hidden := smeartest.New(mem)
	put := func(at, value vmem.VirtAddr) {
		to, err := k.Space().Translate(at)
		if err != nil {
			t.Fatal(err)
		}
		hidden.PutUint64(to.At(at), uint64(value))
	}
	word := func(at vmem.VirtAddr) vmem.VirtAddr {
		v, err := k.Space().Uint64(at)
		if err != nil {
			t.Fatal(err)
		}
		return vmem.VirtAddr(v)
	}
	next, prev := word(at), word(at+8)
	put(prev, next)
	put(next+8, prev)

	report, err := cos.AnalyzeNode(t.Context(), cos.Memory(hidden), &cos.Options{Symbols: k.Symbols()})
	if err != nil {
		t.Fatal(err)
	}
	result, err := findings.Run(t.Context(), findings.NewNode(report, nil), nil)
	if err != nil {
		t.Fatal(err)
	}
	var found []int32
	for _, f := range result.Findings {
		if f.Rule == "process-hidden" {
			found = append(found, f.Subject.PID)
		}
	}
	if len(found) != 1 || found[0] != victim.PID {
		t.Errorf("hidden: %v, want %d; gaps %v", found, victim.PID, report.Gaps)
	}
}
