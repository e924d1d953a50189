package fleet

import (
	"time"

	"github.com/nodelens/nodelens/cos"
	"github.com/nodelens/nodelens/findings"
)

// Schema names the form of a result's head: docs/fleet.md describes it.
const Schema = "nodelens/fleet/result/v1"

// A Status says what became of an image.
type Status string

// The states of an image.
const (
	Whole    Status = "whole"     // there is a report, and nothing was lost
	NotWhole Status = "not-whole" // there is a report, which says what was lost
	Failed   Status = "failed"    // there is no report
)

// A Result is what became of one image.
type Result struct {
	Schema   string    `json:"schema"`
	Item     Item      `json:"item"` // of a URL without what may be secret
	Image    Identity  `json:"image"`
	Digest   string    `json:"imageDigest,omitempty"` // of Image
	Analyser Analysis  `json:"analyser"`
	Key      string    `json:"key"` // of the four above
	Status   Status    `json:"status"`
	Failure  *Failure  `json:"failure,omitempty"` // of what is Failed
	Attempts int       `json:"attempts"`          // how many children were started for it
	Usage    Usage     `json:"usage"`             // of the last of them
	Ended    time.Time `json:"ended"`

	Node     string    `json:"node,omitempty"`     // the host name in the report, with what is no text escaped as [Text] has it
	Captured time.Time `json:"captured,omitzero"`  // when, as the report says
	Losses   int       `json:"losses,omitempty"`   // how many gaps the report has
	Findings int       `json:"findings,omitempty"` // that nobody accepts
}

// An Analysis says by what an image was analysed.
type Analysis struct {
	Version  string `json:"version"`
	Settings string `json:"settings,omitempty"`
}

// Usage is what a child took.
type Usage struct {
	Elapsed   time.Duration `json:"elapsedNS"`
	CPU       time.Duration `json:"cpuNS"`
	PeakBytes int64         `json:"peakBytes,omitempty"` // of memory; 0 where the system does not tell
}

// A Cause is why there is no report.
type Cause string

// The causes of failures. All but the last two are final: a result, which is not tried again.
const (
	CausePoison   Cause = "poison"   // there is nothing to report on: no image, no kernel in it
	CausePanic    Cause = "panic"    // the analyser crashed
	CauseMemory   Cause = "memory"   // it needed more memory than Limits.Memory
	CauseCPU      Cause = "cpu"      // it took more than Limits.CPU
	CauseDeadline Cause = "deadline" // it took longer than Limits.Deadline
	CauseError    Cause = "error"    // something else that may pass, such as a server that does not answer
	CauseKilled   Cause = "killed"   // a signal ended it: the machine was short of memory, say
)

// Final reports whether trying again makes no report.
func (c Cause) Final() bool { return c != CauseError && c != CauseKilled }

// A Failure is why there is no report.
type Failure struct {
	Cause  Cause  `json:"cause"`
	Reason string `json:"reason"`           // in a sentence, safe to print
	Stderr string `json:"stderr,omitempty"` // the end of what the child said, safe to print
}

// Done reports whether the item is not to be tried again.
func (r *Result) Done() bool {
	return r.Status != Failed || r.Failure == nil || r.Failure.Cause.Final()
}

// Exit returns the exit status of who works on the one item.
func (r *Result) Exit() int {
	switch {
	case r.Status == Whole:
		return ExitWhole
	case r.Status == NotWhole:
		return ExitNotWhole
	case r.Done():
		return ExitPoison
	}
	return ExitTryAgain
}

// newResult returns a result without its status.
func newResult(it Item, id Identity, by Analysis, attempts int) *Result {
	it = it.public()
	r := &Result{Schema: Schema, Item: it, Image: id, Digest: id.Digest(), Analyser: by, Attempts: attempts, Ended: time.Now().UTC()}
	r.Key = key(it, id, by)
	return r
}

// key returns the key of a result.
func key(it Item, id Identity, by Analysis) string {
	it.URI, it.As = it.Name(), ""
	it.Labels = nil // they change nothing in the report
	return digest([]any{it, id, by})
}

// take sets what a report says.
func (r *Result) take(report *cos.NodeReport, found *findings.Result) {
	r.Status = NotWhole
	if report.Whole() {
		r.Status = Whole
	}
	r.Node, r.Captured, r.Losses = Text(report.Hostname), report.Provenance.Captured, len(report.Gaps)
	for i := range found.Findings {
		if found.Findings[i].Accepted == nil {
			r.Findings++
		}
	}
}
