package findings

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nodelens/nodelens/cos"
)

var detailNeeds = Needs{Processes: true, Sections: cos.SectionContainers}

// driftRules are about containers that are not what they were asked to be.
func driftRules() []Rule {
	rule := func(id string, severity Severity, title, meaning string, look func(*Node, *cos.ContainerDetail, func(Finding)), techniques ...Technique) Rule {
		return Rule{ID: id, Group: Orchestration, Severity: severity, Techniques: techniques, Title: title, Meaning: meaning, Needs: detailNeeds,
			Next: "nodelens pods IMAGE --container {container} -o json", Check: perContainer(look)}
	}
	return []Rule{
		rule("container-program-added", High, "A program runs in a container that its image does not have",
			"The program's file was made while the container was there. Images bring all that runs; what an intruder fetches, and what a container installs as it starts, is written so.", programAdded, "T1105", "T1554"),
		rule("container-program-replaced", High, "A program runs in a container that is not what its image has",
			"The image has a program of that name, and the one that runs was written over it. Updates within a container do that, and who wants to stay unseen.", programReplaced, "T1554", "T1036.005"),
		rule("container-capabilities-added", Critical, "A container has capabilities that it was not given",
			"The kernel lets its first process do more than the runtime was asked for. Nothing that runs in a container can widen that.", capabilitiesAdded, "T1611", "T1068"),
		rule("container-seccomp-missing", High, "A container lacks the filter that it was given",
			"The runtime was asked for a filter of system calls, and the first process has none, though it can't be taken off.", drifted("seccomp", "", "off"), "T1611"),
		rule("container-privileges-unlocked", High, "A container may gain privileges that it was not to",
			"The runtime was asked for no_new_privs, and the first process lacks it, though it can't be cleared.", drifted("noNewPrivileges", "true", "false"), "T1548"),
		rule("container-root-unlocked", High, "A container's root can be written, and was not to be",
			"The runtime was asked for a root that is read-only, and it can be written to. It was mounted anew.", drifted("readOnlyRoot", "true", "false"), "T1611"),
		rule("container-became-root", High, "A container's first process is root, and was not to be",
			"The runtime was asked for another user. Programs that are setuid do that, and exploits.", becameRoot, "T1068", "T1548"),
	}
}

func ofSpec(field, value string) Evidence { return Evidence{Type: "spec", Field: field, Value: value} }

func (n *Node) ofFirst(c *cos.ContainerDetail, field, value string) Evidence {
	e := Evidence{Type: "task_struct", Field: field, Value: value}
	if c.Actual != nil {
		if p := n.Process(c.Actual.PID); p != nil {
			e.Addr = p.Address
		}
	}
	return e
}

const (
	causeInstalled = "the container installs or updates programs itself"
	causeCopiedUp  = "its owner or rights alone were changed, for which the file is copied"
)

func (n *Node) ofProgram(p *cos.ContainerProgram, cause string, state BenignState) Finding {
	f := Finding{Object: p.Path, Confidence: Likely, Benign: []Benign{{cause, state}}, Evidence: []Evidence{{Type: "ovl_inode", Field: "path", Value: p.Path}, {Type: "ovl_inode", Field: "layer", Value: string(p.Layer)}}}
	if !p.Mtime.IsZero() {
		f.Evidence = append(f.Evidence, Evidence{Type: "inode", Field: "mtime", Value: p.Mtime.UTC().Format(time.RFC3339)})
	}
	for _, pid := range p.PIDs {
		if q := n.Process(pid); q != nil {
			f.Evidence = append(f.Evidence, ofTask(q, "exe", q.Exe))
		}
	}
	return f
}

func programAdded(n *Node, c *cos.ContainerDetail, found func(Finding)) {
	for i := range c.Programs {
		if p := &c.Programs[i]; p.Layer == cos.LayerWritten && !p.Replaces {
			f := n.ofProgram(p, causeInstalled, Unchecked)
			f.Summary = quote(p.Path) + " is not of the image"
			found(f)
		}
	}
}

func programReplaced(n *Node, c *cos.ContainerDetail, found func(Finding)) {
	for i := range c.Programs {
		p := &c.Programs[i]
		if p.Layer != cos.LayerWritten || !p.Replaces {
			continue
		}
		f := n.ofProgram(p, causeCopiedUp, RuledOut)
		f.Summary = quote(p.Path) + " hides the image's"
		if p.Same {
			f.Benign[0].State = Applies
		}
		f.Benign = append(f.Benign, Benign{causeInstalled, Unchecked})
		found(f)
	}
}

// drifted returns a check for a point in which a container differs from what it was asked to be. An empty asked takes any.
func drifted(what, asked, actual string) func(*Node, *cos.ContainerDetail, func(Finding)) {
	return func(n *Node, c *cos.ContainerDetail, found func(Finding)) {
		for _, d := range c.Differences {
			if d.What == what && (asked == "" || d.Asked == asked) && d.Actual == actual {
				found(Finding{Object: what, Confidence: Certain, Evidence: []Evidence{ofSpec(what, d.Asked), n.ofFirst(c, what, d.Actual)}, Summary: what + " was to be " + d.Asked + ", and is " + d.Actual})
			}
		}
	}
}

func capabilitiesAdded(n *Node, c *cos.ContainerDetail, found func(Finding)) {
	for _, d := range c.Differences {
		if d.What != "capabilities.bounding" && d.What != "capabilities.permitted" && d.What != "capabilities.effective" {
			continue
		}
		asked := strings.Split(d.Asked, ",")
		more := slices.DeleteFunc(strings.Split(d.Actual, ","), func(name string) bool { return name == "" || slices.Contains(asked, name) })
		if len(more) > 0 {
			found(Finding{Object: d.What, Confidence: Certain, Evidence: []Evidence{ofSpec(d.What, d.Asked), n.ofFirst(c, d.What, d.Actual)}, Summary: "it has " + strings.Join(more, ", ") + " beyond what was asked for"})
		}
	}
}

func becameRoot(n *Node, c *cos.ContainerDetail, found func(Finding)) {
	for _, d := range c.Differences {
		if d.What == "uid" && d.Actual == "0" {
			found(Finding{Object: "uid", Confidence: Certain, Evidence: []Evidence{ofSpec("uid", d.Asked), n.ofFirst(c, "uid", fmt.Sprint(c.Actual.Cred.UID))}, Summary: "it was to be user " + d.Asked + ", and is root"})
		}
	}
}
