package cos

import (
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nodelens/nodelens/internal/smeartest"
)

// Where containerd's memory and files can't be read, pods have their names from other pages,
// and the report says so.
func TestPodsWithoutContainerd(t *testing.T) {
	t.Parallel()
	n := bundledNode(t)
	whole, err := n.Report(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	m := smeartest.New(n.image)
	for _, p := range whole.Processes {
		if path.Base(p.Exe) != "containerd" {
			continue
		}
		task := n.Kernel().Struct("task_struct", p.Address)
		for _, member := range []string{"mm->pgd", "files->fdt"} {
			at := task.At(member)
			page, err := n.Kernel().Space().Translate(at.Addr())
			if err != nil {
				t.Fatal(err)
			}
			m.PutUint64(page.At(at.Addr()), 0)
		}
	}
	r, err := AnalyzeNode(t.Context(), Memory(m), &Options{Symbols: n.Kernel().Symbols()})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(podNames(whole), podNames(r)); diff != "" {
		t.Errorf("pods (-whole +got):\n%s", diff)
	}
	carved := 0
	for _, p := range r.Pods {
		for _, e := range p.Evidence {
			if strings.HasSuffix(string(e.Source), "-memory") {
				carved++
			}
		}
	}
	if carved == 0 || r.Whole() {
		t.Errorf("%d facts from anywhere in memory, whole %v", carved, r.Whole())
	}
	for _, p := range whole.Pods {
		if slices.ContainsFunc(p.Evidence, func(e Evidence) bool { return strings.HasSuffix(string(e.Source), "-memory") }) {
			t.Errorf("of a whole node pages were searched: %+v", p)
		}
	}
}

// podNames returns the pods that have processes, with their names.
func podNames(r *NodeReport) map[string]string {
	names := map[string]string{}
	for _, p := range r.Pods {
		if slices.ContainsFunc(r.Processes, func(q Process) bool { return q.PodUID == p.UID }) {
			names[p.UID] = p.Namespace + "/" + p.Name
		}
	}
	return names
}
