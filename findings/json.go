package findings

import (
	"errors"
	"fmt"

	"github.com/nodelens/nodelens/internal/jsonx"
)

// Schema names the form of a result's JSON.
const Schema = "nodelens/findings/v1"

// ErrSchema is the reason that Result's UnmarshalJSON gives for JSON of another form than [Schema].
var ErrSchema = errors.New("not findings of this schema")

// resultJSON is a Result in JSON.
type resultJSON struct {
	Schema string `json:"schema"`
	resultFields
}

type resultFields Result

// The forms of what has methods of its own.
var (
	_ = jsonx.Describe[Result, resultJSON]()
	_ = jsonx.Describe[Finding, Finding]()
)

// MarshalJSON returns the result in the form that [Schema] names, in the way of [cos.NodeReport].
func (r Result) MarshalJSON() ([]byte, error) {
	return jsonx.Marshal(resultJSON{Schema, resultFields(r)})
}

// UnmarshalJSON takes what MarshalJSON gives. The error wraps [ErrSchema] if the JSON is of another schema.
func (r *Result) UnmarshalJSON(b []byte) error {
	var d resultJSON
	if err := jsonx.Unmarshal(b, &d); err != nil {
		return fmt.Errorf("findings: %w", err)
	}
	if d.Schema != Schema {
		return fmt.Errorf("findings: %w: %q, not %q", ErrSchema, d.Schema, Schema)
	}
	*r = Result(d.resultFields)
	return nil
}

// MarshalJSON returns the finding as a result has it.
func (f Finding) MarshalJSON() ([]byte, error) { return jsonx.Marshal(f) }

// UnmarshalJSON takes what MarshalJSON gives.
func (f *Finding) UnmarshalJSON(b []byte) error { return jsonx.Unmarshal(b, f) }
