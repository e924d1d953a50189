package findings_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nodelens/nodelens/cos"
	"github.com/nodelens/nodelens/findings"
	"github.com/nodelens/nodelens/internal/testimages"
)

var update = flag.Bool("update", false, "write docs/findings.md and testdata/hits.json anew")

// columns are the images whose hits are in the documentation.
var columns = []string{"bundled", "s-6.1", "s-6.12-la57"}

// hits are how often each rule finds something in an image, by image and rule.
type hits map[string]map[string]int

func readHits(t *testing.T) (all hits) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "hits.json"))
	if err == nil {
		err = json.Unmarshal(b, &all)
	}
	if err != nil && !*update {
		t.Fatal(err)
	}
	if all == nil {
		all = hits{}
	}
	return all
}

func count(r *findings.Result) map[string]int {
	all := map[string]int{}
	for _, f := range r.Findings {
		all[f.Rule]++
	}
	return all
}

// What rules find in the images is what the documentation says: in the one of the repository, and in others where they are.
func TestHits(t *testing.T) {
	all := readHits(t)
	found := hits{"bundled": count(runBundled(t))}
	if testimages.Have() {
		for _, img := range testimages.All(t) {
			if slices.Contains(columns, img.Name) {
				found[img.Name] = count(runImage(t, img.Path))
			}
		}
	}
	for name, got := range found {
		if *update {
			all[name] = got
		}
		if diff := cmp.Diff(all[name], got); diff != "" {
			t.Errorf("hits in %s (-documented +found):\n%s", name, diff)
		}
	}
	if *update {
		b, err := json.MarshalIndent(all, "", "\t")
		if err == nil {
			err = os.WriteFile(filepath.Join("testdata", "hits.json"), append(b, '\n'), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func runImage(t *testing.T, name string) *findings.Result {
	t.Helper()
	report, err := cos.AnalyzeNode(t.Context(), cos.File(name), &cos.Options{Sections: cos.AllSections})
	if err != nil {
		t.Fatal(err)
	}
	r, err := findings.Run(t.Context(), findings.NewNode(report, nil), nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

const docBegin, docEnd = "<!-- rules: made by go test ./findings -run Docs -update -->\n", "<!-- end of rules -->\n"

// The table of docs/findings.md is that of the catalogue.
func TestDocs(t *testing.T) {
	name := filepath.Join("..", "docs", "findings.md")
	doc, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok1 := strings.Cut(string(doc), docBegin)
	_, tail, ok2 := strings.Cut(rest, docEnd)
	if !ok1 || !ok2 {
		t.Fatal("docs/findings.md has no place for the rules")
	}
	want := head + docBegin + table(readHits(t)) + docEnd + tail
	if *update {
		if err := os.WriteFile(name, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, string(doc)); diff != "" {
		t.Errorf("docs/findings.md (-should be +is):\n%s", diff)
	}
}

// table is the table of rules, group by group.
func table(all hits) string {
	var b bytes.Buffer
	rules, group := findings.Catalogue(), findings.Group("")
	fmt.Fprintf(&b, "\n%d rules.\n", len(rules))
	slices.SortStableFunc(rules, func(x, y findings.Rule) int { return order(x.Group) - order(y.Group) })
	for i := range rules {
		r := &rules[i]
		if r.Group != group {
			group = r.Group
			fmt.Fprintf(&b, "\n### %s\n\n| rule | what it means | severity | ATT&CK | reads | found |\n| --- | --- | --- | --- | --- | --- |\n", strings.ToUpper(string(group[:1]))+string(group[1:]))
		}
		var found, techniques []string
		for _, c := range columns {
			found = append(found, fmt.Sprint(all[c][r.ID]))
		}
		for _, technique := range r.Techniques {
			techniques = append(techniques, string(technique))
		}
		reads := strings.ReplaceAll(r.Needs.Sections.String(), ",", ", ")
		if r.Needs.Processes {
			reads = strings.TrimSuffix("processes, "+reads, ", ")
		}
		fmt.Fprintf(&b, "| `%s` | **%s.** %s | %v | %s | %s | %s |\n", r.ID, r.Title, r.Meaning, r.Severity, strings.Join(techniques, ", "), reads, strings.Join(found, " / "))
	}
	b.WriteString("\n")
	return b.String()
}

func order(g findings.Group) int {
	return slices.Index([]findings.Group{findings.Processes, findings.Files, findings.Network, findings.KernelNode, findings.Orchestration}, g)
}

// README and CHANGELOG say how many rules there are.
func TestCount(t *testing.T) {
	for name, want := range map[string]string{"README.md": "[%d rules](docs/findings.md)", "CHANGELOG.md": "a catalogue of %d rules"} {
		text, err := os.ReadFile(filepath.Join("..", name))
		if want = fmt.Sprintf(want, len(findings.Catalogue())); err != nil || !strings.Contains(string(text), want) {
			t.Errorf("%s does not have %q; %v", name, want, err)
		}
	}
}
