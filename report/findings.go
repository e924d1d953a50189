package report

import (
	"strings"

	"github.com/nodelens/nodelens/findings"
	"github.com/nodelens/nodelens/internal/text"
)

// addFindings adds what rules found. Nil: no rules were run.
func (b *builder) addFindings(r *findings.Result) {
	if r == nil {
		return
	}
	b.page.Judged = true
	b.rules = map[string]findings.Rule{}
	for _, rule := range findings.Catalogue() {
		b.rules[rule.ID] = rule
	}
	for i := range cut(b, "findings", r.Findings, maxFindings) {
		b.page.Findings = append(b.page.Findings, b.finding(&r.Findings[i], r.ATTACK))
	}
	for i := range cut(b, "rules that could not be followed", r.NotChecked, maxDetails) {
		n := &r.NotChecked[i]
		one := pageUnchecked{Rule: text.Printable(n.Rule), Title: text.Printable(b.rules[n.Rule].Title), Why: text.Line(n.Reason)}
		if n.Gap != nil {
			one.Why += ": " + text.Message(*n.Gap)
		}
		b.page.NotChecked = append(b.page.NotChecked, one)
	}
}

// maxFindings is how many findings a page has at most.
const maxFindings = 20_000

func (b *builder) finding(f *findings.Finding, version string) pageFinding {
	one := pageFinding{
		Rule: text.Printable(f.Rule), Title: text.Line(f.Title), Severity: min(int(f.Severity), len(severities)-1), Confidence: f.Confidence.String(),
		Why: text.Line(b.shapes(f.Summary)), Next: text.Line(f.Next), Meaning: text.Line(b.rules[f.Rule].Meaning),
		Pod: index(b.pods, f.Subject.PodUID), Container: index(b.containers, f.Subject.ContainerID), PID: f.Subject.PID, Comm: text.Printable(f.Subject.Comm),
	}
	for _, c := range f.Benign {
		one.Benign = append(one.Benign, text.Line(c.Cause)+map[findings.BenignState]string{
			findings.Unchecked: " (not checked)", findings.RuledOut: " (ruled out)", findings.Applies: " (it is so here)"}[c.State])
	}
	for _, t := range f.Techniques {
		one.Attack = append(one.Attack, text.Printable(string(t)))
	}
	if len(one.Attack) > 0 && version != "" {
		one.Attack[len(one.Attack)-1] += " (version " + text.Printable(strings.TrimPrefix(version, "v")) + ")"
	}
	for _, e := range f.Evidence {
		one.Evidence = append(one.Evidence, pageEvidence{Object: text.Printable(e.Type), Address: address(e.Addr), Field: text.Printable(e.Field), Value: text.Printable(b.shapes(e.Value))})
	}
	if f.Accepted != nil {
		one.Accepted = text.Line(f.Accepted.Reason)
		if !f.Accepted.Until.IsZero() {
			one.Accepted += ", until " + f.Accepted.Until.UTC().Format("2006-01-02")
		}
	}
	return one
}
