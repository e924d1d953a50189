package report

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"io"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nodelens/nodelens/cos"
	"github.com/nodelens/nodelens/findings"
	"github.com/nodelens/nodelens/internal/nodetest"
)

func jsonLines(t *testing.T, write func(io.Writer) error) (all []map[string]any) {
	t.Helper()
	var b bytes.Buffer
	if err := write(&b); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(b.String()) {
		var one map[string]any
		if err := json.Unmarshal([]byte(line), &one); err != nil {
			t.Fatalf("%v in %.200s", err, line)
		}
		all = append(all, one)
	}
	return all
}

// TestJSONL: the lines are the records of the report's JSON, and all of them but what is a secret.
func TestJSONL(t *testing.T) {
	s, err := bundled()
	if err != nil {
		t.Fatal(err)
	}
	node, result := s.node, s.result
	var report map[string]any
	if err := json.Unmarshal(s.text, &report); err != nil {
		t.Fatal(err)
	}
	got := map[string][]any{}
	for _, line := range jsonLines(t, func(w io.Writer) error { return WriteJSONL(w, node, result, &Options{Secrets: true}) }) {
		kind := line["record"].(string)
		delete(line, "record")
		got[kind] = append(got[kind], line)
	}
	inside := func(section, member string) any { return report[section].(map[string]any)[member] }
	for kind, want := range map[string]any{"pod": report["pods"], "process": report["processes"], "container": report["containers"], "security": report["security"],
		"memory": report["memory"], "socket": inside("network", "sockets"), "file": inside("files", "nameless"), "module": report["modules"],
		"bpf-program": inside("bpf", "programs"), "bpf-map": inside("bpf", "maps"), "hook": report["hooks"], "log": report["log"]} {
		if !reflect.DeepEqual(want, any(got[kind])) { // which is faster than a difference of thousands
			t.Errorf("%s (-JSON +lines):\n%.2000s", kind, cmp.Diff(want, any(got[kind])))
		}
	}
	head := got["node"][0].(map[string]any)
	for _, member := range []string{"schema", "whole", "provenance", "kernel", "hostname", "bootTime", "consistency", "notes"} {
		if diff := cmp.Diff(report[member], head[member]); diff != "" {
			t.Errorf("%s (-JSON +lines):\n%.2000s", member, diff)
		}
	}
	if len(got["finding"]) != len(result.Findings) || len(result.Findings) == 0 {
		t.Errorf("%d findings of %d", len(got["finding"]), len(result.Findings))
	}
}

// TestExportSecrets: no export has a secret that it was not asked for.
func TestExportSecrets(t *testing.T) {
	const secret = "correct-horse-battery"
	node := nodetest.Big(1, 40)
	last := &node.Processes[len(node.Processes)-1]
	last.Args = []string{"psql", "postgres://app:" + secret + "@db/app", "--password", secret}
	result := &findings.Result{Findings: []findings.Finding{{Rule: "r", Summary: "runs with postgres://a:" + secret + "@b/", Evidence: []findings.Evidence{{Value: "https://u:" + secret + "@h/"}}}}}
	for name, write := range map[string]func(io.Writer, *Options) error{
		"JSONL":      func(w io.Writer, o *Options) error { return WriteJSONL(w, node, nil, o) },
		"OCSF":       func(w io.Writer, o *Options) error { return WriteOCSF(w, node, result, o) },
		"Timesketch": func(w io.Writer, o *Options) error { return WriteTimesketch(w, node, result, o) },
		"processes":  func(w io.Writer, o *Options) error { return WriteCSV(w, node, result, TableProcesses, o) },
		"findings":   func(w io.Writer, o *Options) error { return WriteCSV(w, node, result, TableFindings, o) },
	} {
		var without, with bytes.Buffer
		if err := write(&without, nil); err != nil {
			t.Fatal(err)
		}
		if err := write(&with, &Options{Secrets: true}); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(without.String(), secret) {
			t.Errorf("%s has a secret", name)
		}
		if !strings.Contains(with.String(), secret) {
			t.Errorf("%s has no secret though it was asked for", name)
		}
	}
}

// TestCSV: every table is CSV, and no cell of it a formula, whatever the names are.
func TestCSV(t *testing.T) {
	shared, result := get(t, hostile)
	copied := *shared
	node := &copied
	node.Processes = slices.Clone(shared.Processes)
	for i := range node.Processes {
		node.Processes[i].Comm = string("=+-@\t\r|%"[i%8]) + "cmd|' /C calc'!A0"
		node.Processes[i].Args = []string{"=1+1"}
	}
	rows := map[Table]int{TableFindings: len(result.Findings), TableProcesses: len(node.Processes), TableSockets: len(node.Network.Sockets),
		TableFiles: len(node.Files.Nameless), TableTimeline: len(Timeline(node)), TableGaps: len(node.Gaps), TablePods: 6}
	for _, table := range Tables {
		var b bytes.Buffer
		if err := WriteCSV(&b, node, result, table, nil); err != nil {
			t.Fatal(err)
		}
		all, err := csv.NewReader(&b).ReadAll() // which wants the same number of cells in each
		if err != nil {
			t.Fatal(err)
		}
		if len(all) != rows[table]+1 {
			t.Errorf("%s: %d rows, want %d and a head", table, len(all), rows[table])
		}
		for _, row := range all {
			for _, cell := range row {
				if cell != "" && cell != "-1" && strings.ContainsRune("=+-@\t\r|%", rune(cell[0])) {
					t.Errorf("%s: a cell that may be a formula: %q", table, cell)
				}
			}
		}
	}
	if err := WriteCSV(io.Discard, node, nil, "nothing", nil); err == nil {
		t.Error("there is a table that is none")
	}
}

// TestTimesketch holds the lines against what Timesketch asks for of them, and the times against the report's.
func TestTimesketch(t *testing.T) {
	node, result := get(t, bundled)
	lines := jsonLines(t, func(w io.Writer) error { return WriteTimesketch(w, node, result, nil) })
	if want := len(Timeline(node)); len(lines) != want {
		t.Fatalf("%d lines, want %d", len(lines), want)
	}
	starts, last := map[float64]time.Time{}, ""
	for _, line := range lines {
		at, err := time.Parse("2006-01-02T15:04:05.999999-07:00", line["datetime"].(string))
		if err != nil {
			t.Fatal(err)
		}
		if at.UnixMicro() != int64(line["timestamp"].(float64)) || line["message"] == "" || line["timestamp_desc"] == "" || line["datetime"].(string) < last {
			t.Errorf("a line that is wrong, or out of order: %v", line)
		}
		last = line["datetime"].(string)
		if line["data_type"] == "nodelens:process:start" {
			starts[line["pid"].(float64)] = at
		}
		if line["pid"] == float64(748) && !slices.Contains(line["tag"].([]any), any("finding")) {
			t.Errorf("process 748 without its findings: %v", line)
		}
	}
	for i := range node.Processes {
		if p := &node.Processes[i]; !starts[float64(p.PID)].Equal(p.StartTime.Truncate(time.Microsecond)) {
			t.Errorf("process %d started %v, in the timeline %v", p.PID, p.StartTime, starts[float64(p.PID)])
		}
	}
}

// TestTalks: who listens is who was spoken to, whichever of the two ends is seen.
func TestTalks(t *testing.T) {
	node := nodetest.Big(4, 60)
	var got []string
	for _, talk := range Talks(node) {
		got = append(got, talk.From.Name+" > "+talk.To.Name+" "+strings.Join(talk.Ports, ","))
	}
	name := func(i int) string { return node.Pods[i].Namespace + "/" + node.Pods[i].Name }
	for _, want := range []string{name(1) + " > " + name(0) + " tcp/8080", name(3) + " > " + name(1) + " tcp/8080", name(3) + " > " + name(2) + " tcp/8080"} {
		if !slices.Contains(got, want) {
			t.Errorf("%q is not among %q", want, got)
		}
	}
	if len(Talks(&cos.NodeReport{})) != 0 {
		t.Error("somebody talks in a report without network")
	}
}

// TestGraphText: no name ends its string, or is markup, in a graph.
func TestGraphText(t *testing.T) {
	node := nodetest.Big(4, 60)
	nodetest.Poison(node)
	var mermaid, dot bytes.Buffer
	if err := WriteMermaid(&mermaid, node); err != nil {
		t.Fatal(err)
	}
	if err := WriteDot(&dot, node); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(mermaid.String()) {
		if strings.Count(line, `"`)%2 != 0 || strings.Count(line, `"`) > 2 || strings.ContainsAny(strings.ReplaceAll(line, "-->", ""), "<>`\\") {
			t.Errorf("Mermaid: %q", line)
		}
	}
	if !strings.Contains(mermaid.String(), "-->") || !strings.Contains(dot.String(), "->") {
		t.Error("nobody talks")
	}
	for line := range strings.Lines(dot.String()) {
		if plain := strings.NewReplacer(`\\`, "", `\"`, "").Replace(line); strings.Count(plain, `"`)%2 != 0 || strings.Contains(plain, `\`) {
			t.Errorf("Graphviz: %q", line)
		}
	}
}

// TestMask: what is hidden, and what is not.
func TestMask(t *testing.T) {
	m := newMasker(nil)
	for _, test := range []struct{ name, value, want string }{
		{"LANG", "C.UTF-8", "LANG=C.UTF-8"}, {"DB_PASSWORD", "abc", "DB_PASSWORD=[hidden, 3 bytes]"}, {"GITHUB_TOKEN", "", "GITHUB_TOKEN="},
		{"URL", "redis://:pw@host", "URL=[hidden, 16 bytes]"}, {"", "a text that is no variable", "[hidden, 26 bytes]"},
	} {
		if got := m.secret(&cos.Secret{Name: test.name, Length: len(test.value), Value: &test.value}); got != test.want {
			t.Errorf("%s: %s, want %s", test.name, got, test.want)
		}
	}
	if got := m.secret(&cos.Secret{Name: "LANG", Length: 7}); got != "LANG=[hidden, 7 bytes]" {
		t.Errorf("what the report hides: %s", got)
	}
	got := m.arguments([]string{"x", "--token", "abcdefgh", "--password=de", "-v", "plain"})
	if diff := cmp.Diff([]string{"x", "--token", "[hidden, 8 bytes]", "--password=[hidden, 2 bytes]", "-v", "plain"}, got); diff != "" {
		t.Errorf("arguments (-want +got):\n%s", diff)
	}
}
