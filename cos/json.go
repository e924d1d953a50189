package cos

import (
	"errors"
	"fmt"

	"github.com/nodelens/nodelens/internal/jsonx"
)

// ErrSchema is the reason that NodeReport's UnmarshalJSON gives for JSON of another form
// than [Schema].
var ErrSchema = errors.New("not a report of this schema")

// A document is a report as its JSON has it.
type document struct {
	Schema string `json:"schema"`
	Whole  bool   `json:"whole"`
	Losses []Loss `json:"losses"`
	fields
}

// fields are those of a report, without its methods.
type fields NodeReport

// The forms of what has methods of its own.
var (
	_ = jsonx.Describe[NodeReport, document]()
	_ = jsonx.Describe[Pod, Pod]()
	_ = jsonx.Describe[Container, Container]()
	_ = jsonx.Describe[Process, Process]()
	_ = jsonx.Describe[Evidence, evidenceJSON]()
)

// MarshalJSON returns the report in the form that [Schema] names: the same bytes for the
// same report. docs/report.md describes it. All text is valid Unicode; where it is not in
// the report, the exact bytes are beside it in base64, in a member of the same name with
// Bytes appended. Characters that a terminal or an HTML page would obey are escaped.
//
// The fields of a report are its members by their tags. Arrays are never null. A value that
// is not known, or does not apply, is null. Addresses are hexadecimal strings, times are in
// UTC with nanoseconds.
func (r NodeReport) MarshalJSON() ([]byte, error) {
	return jsonx.Marshal(document{Schema: Schema, Whole: r.Whole(), Losses: r.Losses(), fields: fields(r)})
}

// UnmarshalJSON sets the report to one that MarshalJSON wrote: it is equal, but that errors
// of gaps are recorded ones, which [errors.Is] and [vmem.ReasonOf] know by their reason. The
// error wraps [ErrSchema] if the JSON is of another schema.
func (r *NodeReport) UnmarshalJSON(b []byte) error {
	var head struct {
		Schema string `json:"schema"`
	}
	if err := jsonx.Unmarshal(b, &head); err != nil {
		return fmt.Errorf("cos: %w", err)
	}
	if head.Schema != Schema {
		return fmt.Errorf("cos: %w: %q, not %q", ErrSchema, head.Schema, Schema)
	}
	var d document
	if err := jsonx.Unmarshal(b, &d); err != nil {
		return fmt.Errorf("cos: report: %w", err)
	}
	*r = NodeReport(d.fields)
	return nil
}

// MarshalJSON returns the pod as a report has it.
func (p Pod) MarshalJSON() ([]byte, error) { return jsonx.Marshal(p) }

// UnmarshalJSON takes what MarshalJSON gives.
func (p *Pod) UnmarshalJSON(b []byte) error { return jsonx.Unmarshal(b, p) }

// MarshalJSON returns the container as a report has it.
func (c Container) MarshalJSON() ([]byte, error) { return jsonx.Marshal(c) }

// UnmarshalJSON takes what MarshalJSON gives.
func (c *Container) UnmarshalJSON(b []byte) error { return jsonx.Unmarshal(b, c) }

// MarshalJSON returns the process as a report has it.
func (p Process) MarshalJSON() ([]byte, error) { return jsonx.Marshal(p) }

// UnmarshalJSON takes what MarshalJSON gives.
func (p *Process) UnmarshalJSON(b []byte) error { return jsonx.Unmarshal(b, p) }

// evidenceJSON is an Evidence in JSON.
type evidenceJSON struct {
	evidenceFields
	Hint bool `json:"hint"`
}

type evidenceFields Evidence

// MarshalJSON returns the evidence as a report has it, which says of hints that they are.
func (e Evidence) MarshalJSON() ([]byte, error) {
	return jsonx.Marshal(evidenceJSON{evidenceFields(e), e.Source.Hint()})
}

// UnmarshalJSON takes what MarshalJSON gives.
func (e *Evidence) UnmarshalJSON(b []byte) error { return jsonx.Unmarshal(b, e) }
