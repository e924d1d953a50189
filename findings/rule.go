package findings

import (
	"context"
	"slices"

	"github.com/nodelens/nodelens/cos"
)

// A Group is what a rule is about.
type Group string

// The groups of the catalogue.
const (
	Processes     Group = "processes and code"
	Files         Group = "files and secrets"
	Network       Group = "network"
	KernelNode    Group = "kernel and node"
	Orchestration Group = "orchestration and posture"
)

// Needs are what a rule reads.
type Needs struct {
	Sections  cos.Sections // of the report, beside those that it always has
	Processes bool         // processes and pods: losses among them concern it
	Opened    bool         // the node itself, open: a report that was read back is not enough
	// Whole: what it looks for is that something is missing. Where any of what it reads was lost, that says nothing, and it does not run.
	Whole bool
}

// A Rule looks for one thing.
type Rule struct {
	ID       string // stable; lower-case words joined by hyphens
	Group    Group
	Title    string
	Meaning  string // what it means, in two sentences
	Severity Severity
	// Techniques are those of ATT&CK that leave this.
	Techniques []Technique
	Needs      Needs
	// Benign are causes that look the same without harm; Check says of each that it can tell about whether it applies.
	Benign []string
	// Next is the question to ask next, as a command of examples/nodelens; {pid}, {pod}, {namespace} and {container} are replaced by those of
	// the subject, quoted for a shell where they need it. IMAGE stands for the image.
	Next string
	// Check looks for it. It returns the end of ctx as an error, and nothing else: what can't be told it says by r.
	Check func(ctx context.Context, n *Node, r *Reporter) error
}

// Catalogue returns the rules that come with the package, group by group. It is the caller's to change.
func Catalogue() []Rule {
	return slices.Concat(processRules(), codeRules(), fileRules(), networkRules(), kernelRules(), orchestrationRules())
}

// RuleByID returns the rule of the catalogue with an ID.
func RuleByID(id string) (Rule, bool) {
	for _, r := range Catalogue() {
		if r.ID == id {
			return r, true
		}
	}
	return Rule{}, false
}
