package findings

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/nodelens/nodelens/vmem"
)

// A Finding is something that a rule found.
type Finding struct {
	// Key is the same for the same finding of the same image, and of another image of the node as long as what it is about lives:
	// it is made of Rule, Subject and Object.
	Key        string     `json:"key"`
	Rule       string     `json:"rule"`
	Title      string     `json:"title"` // of the rule
	Severity   Severity   `json:"severity"`
	Confidence Confidence `json:"confidence"`
	Subject    Subject    `json:"subject"`
	// Object is what of the subject it is about, such as a path, an address or the name of a module; empty where it is the
	// subject as a whole.
	Object string `json:"object" jsonx:"null"`
	// Summary says in one sentence what was found. It may quote text of the image.
	Summary    string      `json:"summary"`
	Evidence   []Evidence  `json:"evidence"`
	Benign     []Benign    `json:"benign"`     // what looks the same without harm
	Techniques []Technique `json:"techniques"` // of ATT&CK, in the version that Result names
	Next       string      `json:"next"`       // the question to ask next
	// Accepted says who accepts it, by the allow list; nil where nobody does.
	Accepted *Acceptance `json:"accepted"`
}

// A Subject is whom a finding is about: a process, a container, a pod, or else the node. What does not apply is empty.
type Subject struct {
	PodUID      string    `json:"podUID" jsonx:"null"`
	Namespace   string    `json:"namespace" jsonx:"null"`
	Pod         string    `json:"pod" jsonx:"null"`
	ContainerID string    `json:"containerID" jsonx:"null"`
	Container   string    `json:"container" jsonx:"null"`
	Image       string    `json:"image" jsonx:"null"`
	System      bool      `json:"system"` // the pod is one of the cluster's own, by its namespace
	PID         int32     `json:"pid" jsonx:"null"`
	Comm        string    `json:"comm" jsonx:"null"`
	Started     time.Time `json:"started"` // the process; zero where it is not known
}

// Evidence is a fact that a finding rests on.
type Evidence struct {
	Type  string        `json:"type"`                 // of the object: the name of its kernel structure, or spec for a container's config.json
	Addr  vmem.VirtAddr `json:"address" jsonx:"null"` // of the object in memory; 0 where it has none
	Field string        `json:"field"`                // which fact of it
	Value string        `json:"value"`                // text of the image, as it is
}

// A BenignState says whether a cause without harm applies.
type BenignState string

// The states of causes without harm.
const (
	Unchecked BenignState = "unchecked" // nothing in the image tells, or nobody looked
	RuledOut  BenignState = "ruled-out" // it was looked for and is not so
	Applies   BenignState = "applies"   // it is so: the finding is explained
)

// A Benign is a cause without harm that looks the same.
type Benign struct {
	Cause string      `json:"cause"`
	State BenignState `json:"state"`
}

// Explained reports whether a cause without harm was found to apply.
func (f *Finding) Explained() bool {
	for _, b := range f.Benign {
		if b.State == Applies {
			return true
		}
	}
	return false
}

// String says whom it is about, such as shop/image-resizer container resizer PID 748. Its names are those of the image.
func (s Subject) String() string {
	out := "node"
	switch {
	case s.Pod != "":
		out = s.Namespace + "/" + s.Pod
	case s.PodUID != "":
		out = "pod " + s.PodUID
	case s.ContainerID != "":
		out = "container " + s.ContainerID
	}
	if s.Container != "" {
		out += " container " + s.Container
	}
	if s.PID != 0 {
		out += fmt.Sprintf(" PID %d", s.PID)
	}
	return out
}

// key makes the Key of a finding.
func (f *Finding) key() string {
	s := &f.Subject
	text := fmt.Sprintf("%q %q %q %d %d %q", f.Rule, s.PodUID, s.ContainerID, s.PID, s.Started.UnixNano(), f.Object)
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:8])
}
