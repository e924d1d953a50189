package findings

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nodelens/nodelens/vmem"
)

// MaxPerRule is how many findings of one rule a Result has at most. How many more there are is among NotChecked.
const MaxPerRule = 500

// maxEvidence is how many facts a finding has at most.
const maxEvidence = 40

// Options are the settings of Run. A nil pointer means the zero value.
type Options struct {
	Rules []Rule     // nil: those of Catalogue
	Off   []string   // IDs of rules that are not to run
	Allow *AllowList // nil: nothing is accepted
	Now   time.Time  // when entries of Allow are held to have expired; zero: the present
}

// A Result is what rules found on a node.
type Result struct {
	ATTACK     string       `json:"attack"`   // the version of ATT&CK whose techniques are named
	Findings   []Finding    `json:"findings"` // by descending severity and confidence, then by pod; those that are accepted last
	NotChecked []NotChecked `json:"notChecked"`
	Rules      []Outcome    `json:"rules"` // those that ran, in their order
}

// An Outcome is what became of a rule.
type Outcome struct {
	Rule     string `json:"rule"`
	Findings int    `json:"findings"`
	Whole    bool   `json:"whole"` // all that it looks at was there: no findings mean that there is nothing
}

// A NotChecked says that a rule could not look at something. What it found all the same is among the findings.
type NotChecked struct {
	Rule   string    `json:"rule"`
	Reason string    `json:"reason"`
	Losses int       `json:"losses"` // how many gaps of the report concern the rule; 0 where it is no loss
	Gap    *vmem.Gap `json:"gap"`    // the first of them; nil where it is no loss
}

// ErrRules says that rules can't run as they are.
var ErrRules = errors.New("not a list of rules")

// Run looks for what is wrong on a node. The error is that of ctx, or wraps ErrRules where a rule has no ID or no Check, two have the
// same ID, or Off names one that is not there.
func Run(ctx context.Context, n *Node, opts *Options) (*Result, error) {
	if opts == nil {
		opts = new(Options)
	}
	rules := opts.Rules
	if rules == nil {
		rules = Catalogue()
	}
	if err := verify(rules, opts.Off); err != nil {
		return nil, err
	}
	out := &Result{ATTACK: ATTACK, Findings: []Finding{}, NotChecked: []NotChecked{}, Rules: []Outcome{}}
	for i := range rules {
		if slices.Contains(opts.Off, rules[i].ID) {
			continue
		}
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("findings: %w", err)
		}
		if err := out.run(ctx, n, &rules[i]); err != nil {
			return nil, err
		}
	}
	now := opts.Now
	if now.IsZero() {
		now = time.Now()
	}
	opts.Allow.accept(out.Findings, now)
	slices.SortStableFunc(out.Findings, compare)
	return out, nil
}

// compare is the order of findings.
func compare(a, b Finding) int {
	accepted := func(f *Finding) int {
		if f.Accepted != nil {
			return 1
		}
		return 0
	}
	return cmp.Or(cmp.Compare(accepted(&a), accepted(&b)), cmp.Compare(b.Severity, a.Severity), cmp.Compare(b.Confidence, a.Confidence),
		cmp.Compare(a.Subject.Namespace, b.Subject.Namespace), cmp.Compare(a.Subject.Pod, b.Subject.Pod), cmp.Compare(a.Subject.PodUID, b.Subject.PodUID),
		cmp.Compare(a.Subject.ContainerID, b.Subject.ContainerID), cmp.Compare(a.Subject.PID, b.Subject.PID), cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.Object, b.Object))
}

func verify(rules []Rule, off []string) error {
	ids := map[string]bool{}
	for i := range rules {
		switch r := &rules[i]; {
		case r.ID == "" || r.Check == nil:
			return fmt.Errorf("findings: %w: rule %d has no ID or no Check", ErrRules, i)
		case ids[r.ID]:
			return fmt.Errorf("findings: %w: two are %q", ErrRules, r.ID)
		default:
			ids[r.ID] = true
		}
	}
	for _, id := range off {
		if !ids[id] {
			return fmt.Errorf("findings: %w: there is no %q to switch off", ErrRules, id)
		}
	}
	return nil
}

// run runs one rule.
func (r *Result) run(ctx context.Context, n *Node, rule *Rule) error {
	to := &Reporter{rule: rule, node: n}
	missing, lost := rule.Needs.missing(n), n.Lost(rule.Needs)
	switch {
	case missing != "":
		to.NotChecked(missing)
	case rule.Needs.Whole && len(lost) > 0:
		to.Lost("what it would find missing may have been lost", lost...)
	default:
		if err := rule.check(ctx, n, to); err != nil {
			return err
		}
		if len(lost) > 0 {
			to.Lost("some of what it reads was lost", lost...)
		}
	}
	if more := len(to.found) - MaxPerRule; more > 0 {
		slices.SortStableFunc(to.found, compare)
		to.found = to.found[:MaxPerRule]
		to.NotChecked(fmt.Sprintf("%d more findings are not told", more))
	}
	r.Findings = append(r.Findings, to.found...)
	r.NotChecked = append(r.NotChecked, to.lost...)
	r.Rules = append(r.Rules, Outcome{rule.ID, len(to.found), len(to.lost) == 0})
	return nil
}

// check calls Check. A rule that panics says that nothing was checked, whatever it found before.
func (rule *Rule) check(ctx context.Context, n *Node, r *Reporter) (err error) {
	defer func() {
		if p := recover(); p != nil {
			r.NotChecked(fmt.Sprintf("the rule failed: %v", p))
			err = nil
		}
	}()
	if err := rule.Check(ctx, n, r); err != nil {
		if ctx.Err() != nil {
			return fmt.Errorf("findings: %s: %w", rule.ID, err)
		}
		r.NotChecked(err.Error())
	}
	return nil
}

// missing says what of the needs a node lacks.
func (needs Needs) missing(n *Node) string {
	if needs.Opened && n.Opened == nil {
		return "the node is not open: a report alone does not tell"
	}
	if lack := needs.Sections &^ n.Sections(); lack != 0 {
		return "the report lacks " + lack.String()
	}
	return ""
}

// A Reporter takes what a rule finds.
type Reporter struct {
	rule  *Rule
	node  *Node
	found []Finding
	lost  []NotChecked
}

// Found reports a finding. What it says itself goes before what the rule says of all: its Severity where that is not Info, its
// Techniques and Next. The causes of the rule that it does not tell about are unchecked; one that applies takes its severity down to Low.
func (r *Reporter) Found(f Finding) {
	f.Rule, f.Title = r.rule.ID, r.rule.Title
	if f.Severity == Info {
		f.Severity = r.rule.Severity
	}
	if f.Techniques == nil {
		f.Techniques = slices.Clone(r.rule.Techniques)
	}
	for _, cause := range r.rule.Benign {
		if !slices.ContainsFunc(f.Benign, func(b Benign) bool { return b.Cause == cause }) {
			f.Benign = append(f.Benign, Benign{cause, Unchecked})
		}
	}
	if f.Explained() {
		f.Severity = min(f.Severity, Low)
	}
	f.Next = fill(cmp.Or(f.Next, r.rule.Next), &f.Subject)
	f.Evidence = cut(f.Evidence)
	f.Key = f.key()
	r.found = append(r.found, f)
}

// fill puts what a finding is about into a question, so that a shell takes each name as one word: names are those of the image.
func fill(next string, s *Subject) string {
	return strings.NewReplacer("{pid}", strconv.Itoa(int(s.PID)), "{pod}", word(cmp.Or(s.Pod, s.PodUID)), "{namespace}", word(s.Namespace),
		"{container}", word(cmp.Or(s.Container, s.ContainerID))).Replace(next)
}

// plainName matches the names that Kubernetes gives.
var plainName = regexp.MustCompile(`^[A-Za-z0-9._][A-Za-z0-9._-]*$`)

// word quotes a text for a shell, unless it is one word without that.
func word(s string) string {
	if plainName.MatchString(s) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

func cut(all []Evidence) []Evidence {
	if more := len(all) - maxEvidence; more > 0 {
		all = append(all[:maxEvidence:maxEvidence], Evidence{Type: "more", Field: "facts that are not told", Value: strconv.Itoa(more)})
	}
	return all
}

// NotChecked says that the rule could not look at something that is no loss of the image, such as a setting that the kernel lacks.
func (r *Reporter) NotChecked(reason string) {
	r.lost = append(r.lost, NotChecked{Rule: r.rule.ID, Reason: reason})
}

// Lost says that the rule could not look at something, and which loss that is.
func (r *Reporter) Lost(reason string, gaps ...vmem.Gap) {
	c := NotChecked{Rule: r.rule.ID, Reason: reason, Losses: len(gaps)}
	if len(gaps) > 0 {
		c.Gap = &gaps[0]
	}
	r.lost = append(r.lost, c)
}
