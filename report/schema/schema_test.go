package schema_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nodelens/nodelens/cos"
	"github.com/nodelens/nodelens/diff"
	"github.com/nodelens/nodelens/findings"
	"github.com/nodelens/nodelens/internal/jsonx"
	"github.com/nodelens/nodelens/report/schema"
)

var update = flag.Bool("update", false, "write the schemas anew")

// base is where the schemas are published.
const base = "https://raw.githubusercontent.com/nodelens/nodelens/main/report/schema/"

// of makes the schema of a type.
func of[T any](name, title string) func(t *testing.T) *jsonx.Schema {
	return func(t *testing.T) *jsonx.Schema {
		t.Helper()
		s, err := jsonx.SchemaOf[T]()
		if err != nil {
			t.Fatal(err)
		}
		s.ID, s.Title = base+schema.File(name), title
		head := s.Property("schema")
		head.Type, head.Const = nil, name
		return s
	}
}

// made are the schemas by their names.
var made = map[string]func(t *testing.T) *jsonx.Schema{
	cos.Schema:      of[cos.NodeReport](cos.Schema, "What ran on a node when its memory was captured"),
	findings.Schema: of[findings.Result](findings.Schema, "What is wrong on a node"),
	diff.Schema:     of[diff.Result](diff.Schema, "In what two reports of nodes differ"),
}

// words are what docs/report.md says of members, by their paths.
func words(t *testing.T) map[string]string {
	t.Helper()
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "report.md"))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for line := range strings.Lines(string(page)) {
		if cells := strings.Split(strings.Trim(line, "|\n "), " | "); strings.HasPrefix(line, "| `") && len(cells) == 3 {
			all[strings.Trim(cells[0], "`")] = strings.TrimSpace(cells[2])
		}
	}
	return all
}

// explain gives the members of an object, and all below it, the words for them.
func explain(root, s *jsonx.Schema, path string, words map[string]string, seen map[*jsonx.Schema]bool) {
	for _, either := range s.AnyOf {
		explain(root, either, path, words, seen)
	}
	if name, ok := strings.CutPrefix(s.Ref, "#/$defs/"); ok {
		s = root.Defs[name]
	}
	if s.Items != nil {
		explain(root, s.Items, path+"[]", words, seen)
	}
	if seen[s] {
		return
	}
	seen[s] = true
	for _, member := range s.Properties {
		at := strings.TrimPrefix(path+"."+member.Name, ".")
		for _, path := range []string{at, at + "[]"} {
			if text := words[path]; text != "" && member.Schema.Description == "" {
				member.Schema.Description = text
			}
		}
		explain(root, member.Schema, at, words, seen)
	}
}

// TestUpToDate holds the files against the types.
func TestUpToDate(t *testing.T) {
	t.Parallel()
	words := words(t)
	if len(words) < 300 {
		t.Errorf("docs/report.md has words for %d members", len(words))
	}
	for name, make := range made {
		s := make(t)
		if name == cos.Schema {
			explain(s, s, "", words, map[*jsonx.Schema]bool{})
		}
		var b bytes.Buffer
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(false)
		e.SetIndent("", " ")
		if err := e.Encode(s); err != nil {
			t.Fatal(err)
		}
		if *update {
			if err := os.WriteFile(schema.File(name), b.Bytes(), 0o600); err != nil {
				t.Fatal(err)
			}
			continue
		}
		got, err := schema.Of(name)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(b.String(), string(got)); d != "" {
			t.Errorf("%s is not up to date: go test ./report/schema -update (-types +file):\n%s", name, d)
		}
	}
	if got := schema.Names(); len(got) != len(made) && !*update {
		t.Errorf("there are %q, and %d are made", got, len(made))
	}
}

func TestUnknown(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"", "nodelens/node/v2", "../schema.go", "nodelens-node-v3"} {
		if _, err := schema.Of(name); !errors.Is(err, schema.ErrUnknown) {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func ExampleOf() {
	text, err := schema.Of(cos.Schema)
	if err != nil {
		fmt.Println(err)
		return
	}
	var s struct {
		Title      string
		Properties struct {
			Hostname struct{ Type []string }
		}
	}
	if err := json.Unmarshal(text, &s); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(s.Title)
	fmt.Println("hostname:", s.Properties.Hostname.Type)
	// Output:
	// What ran on a node when its memory was captured
	// hostname: [string null]
}
