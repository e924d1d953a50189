package findings_test

import (
	"context"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/nodelens/nodelens/cos"
	"github.com/nodelens/nodelens/findings"
	"github.com/nodelens/nodelens/vmem"
)

// An example of a rule: what it finds, and what looks like that and is not it, or is explained.
type example struct {
	hit, miss func(f fixture)
	subject   string // of what is found
}

const (
	ofServer = "shop/web-1 container web PID 101"
	ofWorker = "shop/web-1 container web PID 102"
	ofWeb    = "shop/web-1 container web"
	ofNew    = "shop/web-1 container web PID 200"
	ofHost   = "node PID 60"
	ofNode   = "node"
)

func examples() map[string]example {
	all := map[string]example{}
	for _, part := range []map[string]example{processExamples, codeExamples, argumentExamples(), environmentExamples, sessionExamples, rightsExamples, fileExamples, descriptorExamples(), networkExamples, kernelExamples, settingExamples(), podExamples, postureExamples} {
		maps.Copy(all, part)
	}
	return all
}

// ruleFinds runs one rule of the catalogue over a fixture.
func ruleFinds(t *testing.T, id string, f fixture) *findings.Result {
	t.Helper()
	rule, ok := findings.RuleByID(id)
	if !ok {
		t.Fatalf("there is no rule %s", id)
	}
	r, err := findings.Run(t.Context(), findings.NewNode(f.NodeReport, nil), &findings.Options{Rules: []findings.Rule{rule}})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// alarms are findings that nothing explains.
func alarms(r *findings.Result) (all []findings.Finding) {
	for _, f := range r.Findings {
		if !f.Explained() {
			all = append(all, f)
		}
	}
	return all
}

// Each rule finds what it is for, in its place, with evidence; and does not take what looks like it for that.
func TestRules(t *testing.T) {
	for id, e := range examples() {
		t.Run(id, func(t *testing.T) {
			f := clean()
			e.hit(f)
			r := ruleFinds(t, id, f)
			found := alarms(r)
			if len(found) == 0 {
				t.Fatalf("it does not find what it is for; not checked: %+v", r.NotChecked)
			}
			for _, f := range found {
				if f.Subject.String() != e.subject || len(f.Evidence) == 0 || f.Summary == "" {
					t.Errorf("found of %v, not of %s: %+v", f.Subject, e.subject, f)
				}
			}
			f = clean()
			e.miss(f)
			if found := alarms(ruleFinds(t, id, f)); len(found) > 0 {
				t.Errorf("it finds what is not it: %+v", found)
			}
		})
	}
}

// Every rule of the catalogue has an example, and says what it must.
func TestCatalogue(t *testing.T) {
	all := examples()
	for _, r := range findings.Catalogue() {
		if _, ok := all[r.ID]; !ok {
			t.Errorf("%s has no example", r.ID)
		}
		if sentences := strings.Count(r.Meaning, ". ") + 1; r.Title == "" || sentences > 3 || !strings.HasSuffix(r.Meaning, ".") || len(r.Techniques) == 0 || r.Group == "" || r.Next == "" || r.Severity == findings.Info {
			t.Errorf("%s: %d sentences: %+v", r.ID, sentences, r)
		}
		for _, technique := range r.Techniques {
			if technique.Current() != technique {
				t.Errorf("%s: %s has moved to %s", r.ID, technique, technique.Current())
			}
		}
		delete(all, r.ID)
	}
	for id := range all {
		t.Errorf("an example of %s, which is no rule", id)
	}
}

// A clean node has no findings, and all but the comparison of code could be checked.
func TestCleanNode(t *testing.T) {
	r, err := findings.Run(t.Context(), findings.NewNode(clean().NodeReport, nil), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range r.Findings {
		t.Errorf("%v %s of %v: %s", f.Severity, f.Rule, f.Subject, f.Summary)
	}
	for _, c := range r.NotChecked {
		if c.Rule != "kernel-code-modified" {
			t.Errorf("not checked: %+v", c)
		}
	}
}

// Without its sections a rule has checked nothing, and says so; where something of what it reads was lost, it says that as well.
func TestNeeds(t *testing.T) {
	bare := clean()
	bare.NodeReport = &cos.NodeReport{Pods: bare.Pods, Processes: bare.Processes}
	objects := map[cos.Sections]string{cos.SectionNetwork: "sockets", cos.SectionHooks: "hooks", cos.SectionBPF: "BPF programs", cos.SectionModules: "modules", cos.SectionLog: "kernel log", cos.SectionKernel: "sysctls",
		cos.SectionContainers: "bundles of containers", cos.SectionFiles: "inodes", cos.SectionSecurity: "security of task 12 (sh)", cos.SectionMemory: "suspicious memory of task 12 (sh)"}
	for _, rule := range findings.Catalogue() {
		if rule.Needs.Sections != 0 {
			if r := ruleFinds(t, rule.ID, bare); len(r.NotChecked) != 1 || !strings.HasPrefix(r.NotChecked[0].Reason, "the report lacks ") || r.Rules[0].Whole {
				t.Errorf("%s without its sections: %+v", rule.ID, r.NotChecked)
			}
		}
		for section, object := range objects {
			if rule.Needs.Sections&section == 0 {
				continue
			}
			lossy := clean()
			lossy.Gaps = []vmem.Gap{{Object: object, Err: vmem.ErrNotCaptured}}
			r := ruleFinds(t, rule.ID, lossy)
			if !slices.ContainsFunc(r.NotChecked, func(c findings.NotChecked) bool { return c.Losses == 1 && c.Gap.Object == object }) || r.Rules[0].Whole {
				t.Errorf("%s where %s are lost: %+v", rule.ID, object, r.NotChecked)
			}
		}
		if lossy := clean(); rule.Needs.Processes {
			lossy.Gaps = []vmem.Gap{{Object: "task 12 (sh)", Err: vmem.ErrNotCaptured}}
			if r := ruleFinds(t, rule.ID, lossy); r.Rules[0].Whole {
				t.Errorf("%s where a task is lost says that it is whole", rule.ID)
			}
		}
	}
}

// A name out of the image is one word of the question to ask next, whatever is in it.
func TestNextIsQuoted(t *testing.T) {
	for name, want := range map[string]string{
		"web-7": "web-7", "$(reboot)": "'$(reboot)'", "a'; reboot; '": `'a'\''; reboot; '\'''`, "--isf": "'--isf'", "": "''",
	} {
		rule := findings.Rule{ID: "x", Next: "nodelens ps IMAGE --pod {pod}", Check: func(_ context.Context, _ *findings.Node, r *findings.Reporter) error {
			r.Found(findings.Finding{Subject: findings.Subject{Pod: name}})
			return nil
		}}
		result, err := findings.Run(t.Context(), findings.NewNode(&cos.NodeReport{}, nil), &findings.Options{Rules: []findings.Rule{rule}})
		if err != nil {
			t.Fatal(err)
		}
		if got := result.Findings[0].Next; got != "nodelens ps IMAGE --pod "+want {
			t.Errorf("%q: %s", name, got)
		}
	}
}
