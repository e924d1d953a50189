package findings

import (
	"fmt"
	"slices"
	"strings"

	"github.com/nodelens/nodelens/cos"
)

var detailNeeds = Needs{Processes: true, Sections: cos.SectionContainers}

// driftRules are about containers that are not what they were asked to be.
func driftRules() []Rule {
	rule := func(id string, severity Severity, title, meaning string, look func(*Node, *cos.ContainerDetail, func(Finding)), techniques ...Technique) Rule {
		return Rule{ID: id, Group: Orchestration, Severity: severity, Techniques: techniques, Title: title, Meaning: meaning, Needs: detailNeeds,
			Next: "nodelens pods --container {container} -o json", Check: perContainer(look)}
	}
	return []Rule{
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
