package findings_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/nodelens/nodelens/cos"
	"github.com/nodelens/nodelens/findings"
	"github.com/nodelens/nodelens/vmem"
)

// named is a rule that finds what its ID says in each of the pods of a report.
func named(id string, severity findings.Severity, confidence findings.Confidence) findings.Rule {
	return findings.Rule{ID: id, Title: "title of " + id, Severity: severity, Techniques: []findings.Technique{"T1014"}, Benign: []string{"a cause"},
		Next: "nodelens ps IMAGE --pod {pod} --namespace {namespace}", Needs: findings.Needs{Processes: true},
		Check: func(_ context.Context, n *findings.Node, r *findings.Reporter) error {
			for i := range n.Report.Pods {
				r.Found(findings.Finding{Subject: n.OfPod(n.Report.Pods[i].UID), Confidence: confidence, Summary: id})
			}
			return nil
		}}
}

// sameGaps compares losses as they are written.
var sameGaps = cmp.Comparer(func(a, b vmem.Gap) bool { return a.Error() == b.Error() && a.Reason() == b.Reason() })

func twoPods() *cos.NodeReport {
	return &cos.NodeReport{Pods: []cos.Pod{{UID: "1", Namespace: "kube-system", Name: "b"}, {UID: "2", Namespace: "shop", Name: "a"}}}
}

func TestOrder(t *testing.T) {
	rules := []findings.Rule{named("low", findings.Low, findings.Certain), named("guess", findings.High, findings.Possible), named("sure", findings.High, findings.Certain)}
	r, err := findings.Run(t.Context(), findings.NewNode(twoPods(), nil), &findings.Options{Rules: rules})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range r.Findings {
		got = append(got, f.Rule+" "+f.Subject.String())
	}
	want := []string{"sure kube-system/b", "sure shop/a", "guess kube-system/b", "guess shop/a", "low kube-system/b", "low shop/a"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
	want1 := findings.Finding{Rule: "sure", Title: "title of sure", Severity: findings.High, Confidence: findings.Certain, Summary: "sure",
		Subject: findings.Subject{PodUID: "1", Namespace: "kube-system", Pod: "b", System: true}, Benign: []findings.Benign{{Cause: "a cause", State: findings.Unchecked}},
		Techniques: []findings.Technique{"T1014"}, Next: "nodelens ps IMAGE --pod b --namespace kube-system"}
	if diff := cmp.Diff(want1, r.Findings[0], cmpopts.IgnoreFields(findings.Finding{}, "Key")); diff != "" {
		t.Errorf("the first (-want +got):\n%s", diff)
	}
	keys := map[string]bool{}
	for _, f := range r.Findings {
		keys[f.Key] = true
	}
	if len(keys) != len(r.Findings) {
		t.Errorf("%d keys of %d findings", len(keys), len(r.Findings))
	}
}

func TestNotChecked(t *testing.T) {
	report := twoPods()
	report.Gaps = []vmem.Gap{{Object: "task 12 (sh)", Err: vmem.ErrNotCaptured}, {Object: "kernel log", Err: vmem.ErrNotCaptured}, {Object: "tasks", Err: vmem.ErrNotCaptured}}
	bad := named("panics", findings.Low, findings.Certain)
	bad.Check = func(context.Context, *findings.Node, *findings.Reporter) error { panic("no such thing") }
	fails := named("fails", findings.Low, findings.Certain)
	fails.Check = func(context.Context, *findings.Node, *findings.Reporter) error { return errors.New("no such sysctl") }
	fails.Needs.Processes = false
	lacks, opened := named("lacks", findings.Low, findings.Certain), named("opened", findings.Low, findings.Certain)
	lacks.Needs.Sections, opened.Needs.Opened = cos.SectionBPF|cos.SectionLog, true
	rules := []findings.Rule{named("processes", findings.Low, findings.Certain), bad, fails, lacks, opened}
	r, err := findings.Run(t.Context(), findings.NewNode(report, nil), &findings.Options{Rules: rules})
	if err != nil {
		t.Fatal(err)
	}
	task := report.Gaps[0]
	want := []findings.NotChecked{
		{Rule: "processes", Reason: "some of what it reads was lost", Losses: 2, Gap: &task},
		{Rule: "panics", Reason: "the rule failed: no such thing"},
		{Rule: "panics", Reason: "some of what it reads was lost", Losses: 2, Gap: &task},
		{Rule: "fails", Reason: "no such sysctl"},
		{Rule: "lacks", Reason: "the report lacks bpf,log"},
		{Rule: "opened", Reason: "the node is not open: a report alone does not tell"},
	}
	if diff := cmp.Diff(want, r.NotChecked, sameGaps); diff != "" {
		t.Errorf("not checked (-want +got):\n%s", diff)
	}
	if len(r.Findings) != 2 {
		t.Errorf("%d findings, not those of the rule that could look at some", len(r.Findings))
	}
	outcomes := []findings.Outcome{{"processes", 2, false}, {"panics", 0, false}, {"fails", 0, false}, {"lacks", 0, false}, {"opened", 0, false}}
	if diff := cmp.Diff(outcomes, r.Rules); diff != "" {
		t.Errorf("outcomes (-want +got):\n%s", diff)
	}
}

func TestExplainedIsLow(t *testing.T) {
	rule := named("explained", findings.Critical, findings.Certain)
	rule.Check = func(_ context.Context, _ *findings.Node, r *findings.Reporter) error {
		r.Found(findings.Finding{Benign: []findings.Benign{{Cause: "a cause", State: findings.Applies}}})
		return nil
	}
	r, err := findings.Run(t.Context(), findings.NewNode(&cos.NodeReport{}, nil), &findings.Options{Rules: []findings.Rule{rule}})
	if err != nil {
		t.Fatal(err)
	}
	if f := &r.Findings[0]; f.Severity != findings.Low || !f.Explained() || len(f.Benign) != 1 {
		t.Errorf("%+v", f)
	}
}

func TestRunRefuses(t *testing.T) {
	ok := named("a", findings.Low, findings.Certain)
	for name, opts := range map[string]*findings.Options{
		"no ID":    {Rules: []findings.Rule{{Check: ok.Check}}},
		"no check": {Rules: []findings.Rule{{ID: "a"}}},
		"twice":    {Rules: []findings.Rule{ok, ok}},
		"off":      {Off: []string{"no-such-rule"}},
	} {
		if _, err := findings.Run(t.Context(), findings.NewNode(&cos.NodeReport{}, nil), opts); !errors.Is(err, findings.ErrRules) {
			t.Errorf("%s: %v", name, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := findings.Run(ctx, findings.NewNode(&cos.NodeReport{}, nil), nil); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
}

func TestOffAndMany(t *testing.T) {
	many := named("many", findings.Low, findings.Certain)
	many.Check = func(_ context.Context, _ *findings.Node, r *findings.Reporter) error {
		for range findings.MaxPerRule + 3 {
			r.Found(findings.Finding{})
		}
		r.Found(findings.Finding{Severity: findings.High})
		return nil
	}
	opts := &findings.Options{Rules: []findings.Rule{many, named("off", findings.Low, findings.Certain)}, Off: []string{"off"}}
	r, err := findings.Run(t.Context(), findings.NewNode(twoPods(), nil), opts)
	if err != nil {
		t.Fatal(err)
	}
	want := []findings.NotChecked{{Rule: "many", Reason: "4 more findings are not told"}}
	if diff := cmp.Diff(want, r.NotChecked); diff != "" || len(r.Findings) != findings.MaxPerRule || r.Findings[0].Severity != findings.High {
		t.Errorf("%d findings, not checked (-want +got):\n%s", len(r.Findings), diff)
	}
}

// What is written is read back as it was.
func TestJSON(t *testing.T) {
	result := runBundled(t)
	text, err := json.Marshal(result)
	if err != nil {
		t.Fatal(err)
	}
	var back findings.Result
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(result, &back, cmpopts.EquateEmpty(), sameGaps); diff != "" {
		t.Errorf("read back (-want +got):\n%s", diff)
	}
	if err := json.Unmarshal([]byte(`{"schema":"nodelens/node/v2"}`), &back); !errors.Is(err, findings.ErrSchema) {
		t.Errorf("another schema: %v", err)
	}
}

func TestAllowList(t *testing.T) {
	list, err := findings.ParseAllowList([]byte(`
accept:
- rule: sure
  namespace: kube-*
  expires: 2026-12-31
  reason: reviewed
- rule: "*"
  pod: a
  reason: for ever
`))
	if err != nil {
		t.Fatal(err)
	}
	rules := []findings.Rule{named("low", findings.Low, findings.Certain), named("sure", findings.High, findings.Certain)}
	for now, want := range map[string][]string{
		"2026-12-31": {"low kube-system/b", "sure kube-system/b: reviewed", "sure shop/a: for ever", "low shop/a: for ever"},
		"2027-01-01": {"sure kube-system/b", "low kube-system/b", "sure shop/a: for ever", "low shop/a: for ever"},
	} {
		day, err := time.Parse(time.DateOnly, now)
		if err != nil {
			t.Fatal(err)
		}
		r, err := findings.Run(t.Context(), findings.NewNode(twoPods(), nil), &findings.Options{Rules: rules, Allow: list, Now: day.Add(12 * time.Hour)})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, f := range r.Findings {
			one := f.Rule + " " + f.Subject.String()
			if f.Accepted != nil {
				one += ": " + f.Accepted.Reason
			}
			got = append(got, one)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("at %s (-want +got):\n%s", now, diff)
		}
	}
}

func TestAllowListRefuses(t *testing.T) {
	for name, text := range map[string]string{
		"no rule":      "accept: [{pod: a, reason: b}]",
		"no reason":    "accept: [{rule: a, pod: b}]",
		"everything":   "accept: [{rule: a, reason: b}]",
		"unknown key":  "accept: [{rule: a, pod: b, reason: c, until: 2026-01-01}]",
		"no day":       "accept: [{rule: a, pod: b, reason: c, expires: soon}]",
		"pattern":      "accept: [{rule: a, pod: '[', reason: c}]",
		"no YAML":      "accept: [",
		"two":          "accept: []\n---\naccept: []\n",
		"another form": "- rule: a",
	} {
		if _, err := findings.ParseAllowList([]byte(text)); !errors.Is(err, findings.ErrAllow) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if l, err := findings.ParseAllowList(nil); err != nil || l == nil {
		t.Errorf("an empty list: %v", err)
	}
}

func FuzzParseAllowList(f *testing.F) {
	f.Add([]byte("accept:\n- rule: a\n  image: registry.example/*\n  reason: b\n  expires: 2026-01-01\n"))
	f.Add([]byte("a: &a [*a]"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if l, err := findings.ParseAllowList(b); (l == nil) == (err == nil) {
			t.Errorf("%v, %v", l, err)
		}
	})
}
