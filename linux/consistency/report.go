package consistency

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nodelens/nodelens/internal/jsonx"
)

// A Verdict says in a word how far memory agrees with itself.
type Verdict string

// The verdicts, the best first.
const (
	// Consistent: all invariants hold.
	Consistent Verdict = "consistent"
	// Smeared: few do not, as in memory that was captured while the machine ran.
	Smeared Verdict = "smeared"
	// Damaged: more do not, or there is what a running kernel has at no moment.
	Damaged Verdict = "damaged"
)

// A Report says how far a kernel's memory agrees with itself.
type Report struct {
	Verdict    Verdict     `json:"verdict"`
	Window     Seconds     `json:"windowSeconds"`  // from the earliest to the latest clock
	Capture    Seconds     `json:"captureSeconds"` // how long the capture took, as estimated; no less than Window
	Earliest   time.Time   `json:"earliest"`       // zero if no clock could be read
	Latest     time.Time   `json:"latest"`         //
	Checked    int         `json:"checked"`        // instances of all invariants
	Broken     int         `json:"broken"`         // of which do not hold
	Impossible int         `json:"impossible"`     // of which are in no moment of a running kernel
	Parts      []Part      `json:"parts"`          // what to trust, in the order of the package comment
	Invariants []Invariant `json:"invariants"`     // in that order
}

// A Part is a kind of objects.
type Part struct {
	Name    string `json:"name"`    // such as "memory maps"
	Of      string `json:"of"`      // what is counted: such as "processes"
	Objects int    `json:"objects"` // that were checked
	Torn    int    `json:"torn"`    // of which something is broken
}

// An Invariant is something that holds for all objects of a kind while a kernel runs.
type Invariant struct {
	Name       string `json:"name"` // such as "list of tasks"
	Part       string `json:"part"` // the name of the Part that it is of
	Checked    int    `json:"checked"`
	Broken     int    `json:"broken"`
	Impossible int    `json:"impossible"`         // of the broken: see [Report]
	First      string `json:"first" jsonx:"null"` // the first that is broken, in words; empty if none is
}

// Seconds is a time that is written in seconds.
type Seconds time.Duration

// String returns the time with three digits behind the point, such as 1.337.
func (s Seconds) String() string { return strconv.FormatFloat(time.Duration(s).Seconds(), 'f', 3, 64) }

var _ = jsonx.Describe[Seconds, float64]()

// MarshalJSON returns the time as a number, in the form of String.
func (s Seconds) MarshalJSON() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalJSON takes what MarshalJSON gives.
func (s *Seconds) UnmarshalJSON(b []byte) error {
	f, err := strconv.ParseFloat(string(b), 64)
	if err != nil || f < 0 || f > time.Duration(1<<63-1).Seconds()/2 {
		return fmt.Errorf("consistency: %q is no time in seconds", b)
	}
	*s = Seconds(time.Duration(f*1000+0.5) * time.Millisecond)
	return nil
}

var (
	_ = jsonx.Describe[Report, Report]()
	_ = jsonx.Describe[Invariant, Invariant]()
)

// MarshalJSON returns the report as a node's report has it.
func (r Report) MarshalJSON() ([]byte, error) { return jsonx.Marshal(r) }

// UnmarshalJSON takes what MarshalJSON gives.
func (r *Report) UnmarshalJSON(b []byte) error { return jsonx.Unmarshal(b, r) }

// MarshalJSON returns the invariant as a report has it.
func (i Invariant) MarshalJSON() ([]byte, error) { return jsonx.Marshal(i) }

// UnmarshalJSON takes what MarshalJSON gives.
func (i *Invariant) UnmarshalJSON(b []byte) error { return jsonx.Unmarshal(b, i) }

// String returns the report in one line, such as
//
//	smeared over 1.4 s: 3 of 41230 invariants broken; torn: threads of 1 of 87 processes
func (r *Report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s", r.Verdict)
	if r.Window > 0 {
		fmt.Fprintf(&b, " over %.1f s", time.Duration(r.Window).Seconds())
	}
	if r.Capture > r.Window && r.Verdict != Consistent {
		fmt.Fprintf(&b, " of about %.1f s", time.Duration(r.Capture).Seconds())
	}
	if r.Broken == 0 {
		fmt.Fprintf(&b, ": all %d invariants hold", r.Checked)
		return b.String()
	}
	fmt.Fprintf(&b, ": %d of %d invariants broken", r.Broken, r.Checked)
	sep := "; torn: "
	for _, p := range r.Parts {
		if p.Torn > 0 {
			fmt.Fprintf(&b, "%s%s of %d of %d %s", sep, p.Name, p.Torn, p.Objects, p.Of)
			sep = ", "
		}
	}
	return b.String()
}
