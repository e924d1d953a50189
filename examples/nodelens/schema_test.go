package main

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nodelens/nodelens/internal/command"
)

// A tableSchema is what tests look at of the schema of an answer.
type tableSchema struct {
	Properties map[string]struct {
		Const string
		Items struct {
			Ref string `json:"$ref"`
		}
	}
	Required []string
	Defs     map[string]struct{ Required []string } `json:"$defs"`
}

// TestTableSchemas holds answers against the schemas that are printed of them: both have the same members, and each question has one.
func TestTableSchemas(t *testing.T) {
	_, listed, _ := ask(t, "schema")
	for question, line := range map[string]string{"pods": golden["pods-json"], "findings": golden["findings-json"], "ps": "ps node.lime --pid 748 -o json", "ss": "ss node.lime -o json"} {
		name := headSchema(question)
		if !strings.Contains(listed, name+"\n") {
			t.Errorf("%s is not listed", name)
		}
		status, text, stderr := ask(t, "schema "+name)
		var s tableSchema
		if err := json.Unmarshal([]byte(text), &s); status != command.OK || err != nil {
			t.Errorf("%s: exit status %d: %s, %v", name, status, stderr, err)
			continue
		}
		_, text, _ = ask(t, line)
		var answer map[string]json.RawMessage
		var rows []map[string]json.RawMessage
		if err := json.Unmarshal([]byte(text), &answer); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(answer[question], &rows); err != nil || len(rows) == 0 {
			t.Fatalf("%s: %d rows, %v", question, len(rows), err)
		}
		if d := cmp.Diff(slices.Sorted(maps.Keys(answer)), slices.Sorted(slices.Values(s.Required))); d != "" || s.Properties["schema"].Const != name {
			t.Errorf("%s (-answer +schema):\n%s", name, d)
		}
		row := s.Defs[strings.TrimPrefix(s.Properties[question].Items.Ref, "#/$defs/")]
		if d := cmp.Diff(slices.Sorted(maps.Keys(rows[0])), slices.Sorted(slices.Values(row.Required))); d != "" {
			t.Errorf("a row of %s (-answer +schema):\n%s", name, d)
		}
	}
	if n := strings.Count(listed, "nodelens/table/"); n != 14 {
		t.Errorf("%d tables have a schema", n)
	}
	if status, _, stderr := ask(t, "schema nodelens/table/nosuch/v1"); status != command.Usage {
		t.Errorf("what is no table: exit status %d: %s", status, stderr)
	}
}
