package jsonx

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var _ = Describe[point, [2]int]()

// A choice is written as a number or as names.
type choice struct{}

func (choice) MarshalJSON() ([]byte, error) { return []byte("1"), nil }

var _ = Describe[choice, Either[uint8, []string]]()

// An odd type has JSON that nothing describes.
type odd struct{}

func (odd) MarshalJSON() ([]byte, error) { return []byte("1"), nil }

// A node is a part of itself.
type node struct {
	Below   []node  `json:"below"`
	Above   *node   `json:"above"`
	Text    *string `json:"text"`
	Choice  *choice `json:"choice"`
	Any     any     `json:"any" jsonx:"null"`
	Inner   *inner  `json:"inner" jsonx:"inline"`
	private odd
}

var _ = node{}.private // which is left out of JSON

// schemaOf returns the schema of T as JSON, without white space and but for its definitions.
func schemaOf[T any](t *testing.T) (schema string, defs map[string]string) {
	t.Helper()
	s, err := SchemaOf[T]()
	if err != nil {
		t.Fatal(err)
	}
	defs = map[string]string{}
	for name, def := range s.Defs {
		defs[name] = asJSON(t, def)
	}
	s.Defs = nil
	return asJSON(t, s), defs
}

func asJSON(t *testing.T, s *Schema) string {
	t.Helper()
	b, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

const (
	exactSchema = `{"type":"string","contentEncoding":"base64"}`
	listSchema  = `{"type":"array","items":{"type":["string","null"],"contentEncoding":"base64"}}`
	innerSchema = `"name":{"type":["string","null"]},"nameBytes":` + exactSchema + `,"args":{"type":"array","items":{"type":"string"}},"argsBytes":` + listSchema
	outerSchema = `{"$schema":"https://json-schema.org/draft/2020-12/schema","type":"object","properties":{` +
		`"id":{"type":"integer","minimum":-2147483648,"maximum":2147483647},"parent":{"type":["integer","null"],"minimum":-2147483648,"maximum":2147483647},` +
		`"comm":{"type":"string"},"commBytes":` + exactSchema + `,"empty":{"type":"string"},"emptyBytes":` + exactSchema + `,` +
		`"shift":{"type":"string","pattern":"^-?0x[0-9a-f]+$"},"base":{"type":"string","pattern":"^-?0x[0-9a-f]+$"},"level":{"type":"string"},"levels":{"type":"array","items":{"type":"string"}},` +
		`"at":{"type":["string","null"],"pattern":"TIME"},"point":{"type":"array","items":{"type":"integer"},"minItems":2,"maxItems":2},` +
		`"inner":{"anyOf":[{"$ref":"#/$defs/internal.jsonx.inner"},{"type":"null"}]},"inners":{"type":"array","items":{"$ref":"#/$defs/internal.jsonx.inner"}},` +
		`"raw":` + exactSchema + `,"yes":{"type":"boolean"},"dict":{"type":"object","additionalProperties":{"type":"string"}},"dictBytes":` + listSchema + `,` +
		`"counts":{"type":"object","additionalProperties":{"type":"integer"}},"countsBytes":` + listSchema + `,` +
		`"pair":{"type":"array","items":{"$ref":"#/$defs/internal.jsonx.inner"},"minItems":2,"maxItems":2},"since":{"type":["string","null"],"pattern":"TIME"}},` +
		`"required":["id","parent","comm","shift","base","level","levels","at","point","inner","inners","yes","dict","pair"]}`
	nodeSchema = `{"$schema":"https://json-schema.org/draft/2020-12/schema","type":"object","properties":{` +
		`"below":{"type":"array","items":{"$ref":"#/$defs/internal.jsonx.node"}},"above":{"anyOf":[{"$ref":"#/$defs/internal.jsonx.node"},{"type":"null"}]},` +
		`"text":{"type":["string","null"]},"textBytes":` + exactSchema + `,` +
		`"choice":{"anyOf":[{"type":"integer","minimum":0,"maximum":255},{"type":"array","items":{"type":"string"}},{"type":"null"}]},"any":{},` +
		`"name":{"type":["string","null"]},"nameBytes":` + exactSchema + `,"args":{"type":["array","null"],"items":{"type":"string"}},"argsBytes":` + listSchema + `},` +
		`"required":["below","above","text","choice","any","name","args"]}`
)

// TestSchema shows what the schema of each kind of member is.
func TestSchema(t *testing.T) {
	t.Parallel()
	got, defs := schemaOf[outer](t)
	pattern, _ := json.Marshal(timePattern)
	if d := cmp.Diff(strings.ReplaceAll(outerSchema, `"TIME"`, string(pattern)), got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	want := map[string]string{"internal.jsonx.inner": `{"type":"object","properties":{` + innerSchema + `},"required":["name","args"]}`}
	if d := cmp.Diff(want, defs); d != "" {
		t.Errorf("definitions (-want +got):\n%s", d)
	}
	got, defs = schemaOf[node](t)
	if d := cmp.Diff(nodeSchema, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if len(defs) != 1 || defs["internal.jsonx.node"] == "" {
		t.Errorf("definitions of what is a part of itself: %v", defs)
	}
}

// TestNoSchema has types that can't be written refused, rather than left out.
func TestNoSchema(t *testing.T) {
	t.Parallel()
	for name, of := range map[string]func() (*Schema, error){
		"no structure": SchemaOf[string],
		"not described": SchemaOf[struct {
			A []odd `json:"a"`
		}],
		"without a tag": SchemaOf[struct{ A int }],
		"can't be written": SchemaOf[struct {
			A chan int `json:"a"`
		}],
	} {
		if s, err := of(); err == nil {
			t.Errorf("%s: %s", name, asJSON(t, s))
		}
	}
}
