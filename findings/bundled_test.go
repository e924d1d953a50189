package findings_test

import (
	"context"
	"sync"
	"testing"

	"github.com/nodelens/nodelens/cos"
	"github.com/nodelens/nodelens/findings"
	"github.com/nodelens/nodelens/internal/testimages"
)

// openBundled opens the node that comes with the repository.
var openBundled = sync.OnceValues(func() (*cos.Node, error) {
	img, err := testimages.Bundled()
	if err != nil {
		return nil, err
	}
	return cos.OpenNode(context.Background(), cos.File(img.Path), &cos.Options{Sections: cos.AllSections})
})

// bundled is the report of that node, with all sections.
var bundled = sync.OnceValues(func() (*cos.NodeReport, error) {
	n, err := openBundled()
	if err != nil {
		return nil, err
	}
	return n.Report(context.Background())
})

// runBundled runs the catalogue over the bundled node.
func runBundled(t *testing.T) *findings.Result {
	t.Helper()
	report, err := bundled()
	if err != nil {
		t.Fatal(err)
	}
	result, err := findings.Run(t.Context(), findings.NewNode(report, nil), nil)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

// The intruder of the bundled node is found by each of the signs that the lab gave it, and comes first.
func TestIntruder(t *testing.T) {
	result := runBundled(t)
	found := map[string]bool{}
	for _, f := range result.Findings {
		if f.Subject.PID == 748 {
			found[f.Rule] = true
			if f.Subject.Pod != "image-resizer-5d8c7b9f6-zt4hn" || f.Subject.Container != "resizer" || f.Subject.Namespace != "shop" {
				t.Errorf("%s: of %v", f.Rule, f.Subject)
			}
		}
	}
	for _, rule := range []string{"process-kernel-name", "process-memfd-program", "code-writable"} {
		if !found[rule] {
			t.Errorf("%s did not find the intruder", rule)
		}
	}
	if len(result.Findings) == 0 || result.Findings[0].Subject.PID != 748 {
		t.Error("the intruder is not the first finding")
	}
	for _, c := range result.NotChecked {
		if c.Reason == "" || len(c.Reason) > 13 && c.Reason[:13] == "the rule fail" {
			t.Errorf("not checked: %+v", c)
		}
	}
}
