package report_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/nodelens/nodelens/report"
)

// TestOCSF holds the events of the bundled node against the schema of OCSF.
func TestOCSF(t *testing.T) {
	if out, err := exec.CommandContext(t.Context(), "python3", "-c", "import jsonschema, ocsf_json_schema").CombinedOutput(); err != nil {
		t.Skipf("Python has no jsonschema or no ocsf-json-schema: %v: %s", err, out)
	}
	node := bundledNode(t)
	file := filepath.Join(t.TempDir(), "events.jsonl")
	out, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := report.WriteOCSF(out, node, judged(t, node), nil); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	said, err := exec.CommandContext(t.Context(), "python3", filepath.Join("interop", "report", "ocsf.py"), file).CombinedOutput()
	if err != nil {
		t.Fatalf("%v:\n%s", err, said)
	}
	t.Logf("%s", said)
}
