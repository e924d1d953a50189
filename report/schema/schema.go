// Package schema has the JSON Schemas (draft 2020-12) of what Nodelens writes as JSON: a node's report, what is wrong with it, and what
// differs between two. They are made of the Go types by the same tags that the JSON is written by, with the words of docs/report.md.
//
// Members that a schema does not have are allowed: later versions of Nodelens add some. Those that it has keep their names, types and
// meanings; what would change them gets another name.
package schema

import (
	"embed"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
)

//go:embed *.schema.json
var files embed.FS

// ErrUnknown is the reason that [Of] gives for a name that is not among [Names].
var ErrUnknown = errors.New("no such schema")

const suffix = ".schema.json"

// Names returns the names of all schemas, sorted: what the member "schema" of the JSON says, such as nodelens/node/v3.
func Names() []string {
	entries, _ := files.ReadDir(".") // which is always there
	var names []string
	for _, e := range entries {
		names = append(names, strings.ReplaceAll(strings.TrimSuffix(e.Name(), suffix), "-", "/"))
	}
	slices.Sort(names)
	return names
}

// Of returns the JSON Schema of a name. The error wraps [ErrUnknown] if there is none.
func Of(name string) ([]byte, error) {
	if !slices.Contains(Names(), name) {
		return nil, fmt.Errorf("schema: %w: %q; there are: %s", ErrUnknown, name, strings.Join(Names(), ", "))
	}
	return files.ReadFile(path.Clean(File(name)))
}

// File returns the name of the file that has the schema of a name, in the directory of this package.
func File(name string) string { return strings.ReplaceAll(name, "/", "-") + suffix }
