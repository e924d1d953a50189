package report_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/nodelens/nodelens/cos"
	"github.com/nodelens/nodelens/diff"
	"github.com/nodelens/nodelens/findings"
	"github.com/nodelens/nodelens/internal/nodetest"
	"github.com/nodelens/nodelens/report/schema"
)

// compiled returns a schema of ours as the foreign validator has it, which holds it against the schema of schemas.
func compiled(t *testing.T, name string) *jsonschema.Schema {
	t.Helper()
	text, err := schema.Of(name)
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	c.AssertContent()
	if err := c.AddResource(schema.File(name), parsed(t, text)); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile(schema.File(name))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// parsed returns JSON as the validator takes it.
func parsed(t *testing.T, text []byte) any {
	t.Helper()
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// written returns a value as it is written, for the validator.
func written(t *testing.T, v any) any {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return parsed(t, text)
}

// copied returns a report of the bundled node that may be changed.
func copied(t *testing.T) *cos.NodeReport {
	t.Helper()
	node := new(cos.NodeReport)
	text, err := json.Marshal(bundledNode(t))
	if err == nil {
		err = json.Unmarshal(text, node)
	}
	if err != nil {
		t.Fatal(err)
	}
	return node
}

// documents are what is written for the bundled node, and the schemas of that.
func documents(t *testing.T) map[string]any {
	t.Helper()
	node, other := bundledNode(t), copied(t)
	other.Processes, other.Pods, other.Modules = other.Processes[10:], other.Pods[1:], other.Modules[1:]
	return map[string]any{cos.Schema: node, findings.Schema: judged(t, node), diff.Schema: diff.Compare(node, other)}
}

// TestSchema holds what is written for the bundled node against the published schemas.
func TestSchema(t *testing.T) {
	for name, v := range documents(t) {
		s := compiled(t, name)
		if err := s.Validate(written(t, v)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestSchemaOfOthers holds reports of no node, of one with 20 pods, and of one whose names are hostile and no text, against the schema.
func TestSchemaOfOthers(t *testing.T) {
	s := compiled(t, cos.Schema)
	hostile := copied(t)
	nodetest.Poison(hostile)
	hostile.Hostname, hostile.Processes[0].Args = "\xff", []string{"a", "\xff"}
	for name, node := range map[string]*cos.NodeReport{"none": {}, "many": nodetest.Big(20, 200), "hostile": hostile} {
		if err := s.Validate(written(t, node)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A mutant is a change of a document at a path, and how it is taken back.
type mutant struct {
	path string
	undo func()
}

// free are members that hold any JSON.
var free = []string{".expr[]", ".value", ".values."}

// mutants changes each member of a document in turn, once for each path: a value of another type, and a member that is missing where the
// schema requires it. It calls try with each change. Of arrays the first three elements serve.
func mutants(v any, path string, done map[string]bool, replace func(any), try func(m mutant)) {
	if replace != nil && !done[path] {
		done[path] = true
		replace(map[string]any{"no": "such"})
		if _, object := v.(map[string]any); object {
			replace("text")
		}
		try(mutant{path, func() { replace(v) }})
	}
	switch v := v.(type) {
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(v)) {
			mutants(v[name], path+"."+name, done, func(x any) { v[name] = x }, try)
		}
	case []any:
		for i := range v[:min(len(v), 3)] {
			mutants(v[i], path+"[]", done, func(x any) { v[i] = x }, try)
		}
	}
}

// shorten leaves the first and the last elements of arrays, so that a document is validated fast.
func shorten(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for name := range v {
			v[name] = shorten(v[name])
		}
	case []any:
		if len(v) > 4 {
			v = append(v[:3:3], v[len(v)-1])
		}
		for i := range v {
			v[i] = shorten(v[i])
		}
		return v
	}
	return v
}

// TestSchemaRefuses has what is written changed: no value of another type passes, and no document without a member of each kind.
func TestSchemaRefuses(t *testing.T) {
	for name, v := range documents(t) {
		s, document := compiled(t, name), shorten(written(t, v))
		if err := s.Validate(document); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		tried, passed := 0, 0
		mutants(document, "", map[string]bool{}, nil, func(m mutant) {
			defer m.undo()
			if slices.ContainsFunc(free, func(f string) bool { return strings.Contains(m.path, f) }) {
				return
			}
			tried++
			if s.Validate(document) == nil {
				passed++
				t.Errorf("%s passes with another type at %s", name, m.path)
			}
		})
		r := &remover{t, s, document, map[string]bool{}}
		r.walk(s, document)
		required := len(r.seen)
		t.Logf("%s: of %d members with a value of another type %d pass; %d are required", name, tried, passed, required)
		if tried < 10 || required < 10 {
			t.Errorf("%s: only %d members were tried, %d of them required", name, tried, required)
		}
	}
}

// A remover leaves out each member that a schema requires, where a document has it, and counts these.
type remover struct {
	*testing.T
	root     *jsonschema.Schema
	document any
	seen     map[string]bool
}

// walk leaves out members of v, a part of the document that has the schema s.
func (r *remover) walk(s *jsonschema.Schema, v any) {
	for s.Ref != nil {
		s = s.Ref
	}
	for _, either := range s.AnyOf {
		r.walk(either, v)
	}
	switch v := v.(type) {
	case map[string]any:
		for _, member := range s.Required {
			r.remove(s, v, member)
		}
		for member, below := range s.Properties {
			r.walk(below, v[member])
		}
	case []any:
		for i := range v {
			if s.Items2020 != nil {
				r.walk(s.Items2020, v[i])
			}
		}
	}
}

// remove leaves out one member for a while.
func (r *remover) remove(s *jsonschema.Schema, object map[string]any, member string) {
	at := s.Location + " " + member
	if r.seen[at] {
		return
	}
	r.seen[at] = true
	value := object[member]
	delete(object, member)
	if r.root.Validate(r.document) == nil {
		r.Errorf("it passes without %s", at)
	}
	object[member] = value
}
