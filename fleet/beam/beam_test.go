package beam

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	sdk "github.com/apache/beam/sdks/v2/go/pkg/beam"
	_ "github.com/apache/beam/sdks/v2/go/pkg/beam/io/filesystem/local"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/runners/prism"

	"github.com/nodelens/nodelens/fleet"
)

// The test program is the pipeline, its worker and the children.
func TestMain(m *testing.M) {
	Init(&fleet.Analyser{Version: "test"})
	os.Exit(m.Run())
}

// Three images and one that is none end well, with three reports and a failure. Nothing of the images is made here: they are the bundled one under three names.
func TestPrism(t *testing.T) {
	dir, out := t.TempDir(), t.TempDir()
	bundled, err := filepath.Abs("../../lab/node/node.lime.lz4")
	if err != nil {
		t.Fatal(err)
	}
	poison := filepath.Join(dir, "poison")
	if err := os.WriteFile(poison, []byte(strings.Repeat("no memory of any machine ", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	items := []fleet.Item{{URI: bundled, As: "a"}, {URI: poison, As: "poison"}, {URI: bundled, As: "b"}, {URI: bundled, As: "c"}}
	var lines []string
	for _, it := range items {
		line, err := json.Marshal(it)
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, string(line))
	}

	p, s := sdk.NewPipelineWithRoot()
	fn := &AnalyzeFn{Limits: fleet.Limits{Memory: 1 << 30, Deadline: 5 * time.Minute}}
	reports, failures := Analyze(s, fn, sdk.CreateList(s, lines))
	Write(s, out, reports)
	Write(s, out, failures)
	if _, err := prism.Execute(t.Context(), p); err != nil {
		t.Fatalf("the job failed: %v", err)
	}

	results, err := fleet.OpenResults(out)
	if err != nil {
		t.Fatal(err)
	}
	sum, entries, errs := fleet.Summarize(items, results)
	if len(errs) != 0 || sum.Whole != 3 || sum.Failed != 1 || sum.Items() != 4 {
		t.Fatalf("results are %v, %v", sum, errs)
	}
	for i, e := range entries {
		if failed := i == 1; failed != (e.Result.Status == fleet.Failed) || failed != (e.Result.Failure != nil && e.Result.Failure.Cause == fleet.CausePoison) {
			t.Errorf("%s is %+v", items[i].As, e.Result)
		}
	}
	files, err := results.Files()
	if err != nil || len(files) != 4 {
		t.Fatalf("files are %v, %v", files, err)
	}
	for _, name := range files {
		head, report, _, err := fleet.Read(name)
		if err != nil || head.Status == fleet.Whole && len(report.Processes) < 100 {
			t.Errorf("%s: %+v, %v", name, head, err)
		}
	}
}
