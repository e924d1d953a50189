package report

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nodelens/nodelens/cos"
	"github.com/nodelens/nodelens/internal/text"
)

// addContainerDetails adds what the section of containers says of each.
func (b *builder) addContainerDetails() {
	for i := range b.node.Containers {
		c := &b.node.Containers[i]
		n, ok := b.containers[c.ID]
		if !ok {
			name := containerName{ID: text.Printable(c.ID), Name: text.Printable(c.Name), Pod: index(b.pods, c.PodUID), Sandbox: c.Sandbox}
			n = b.addContainer(c.ID, name, pageContainer{Facts: []fact{named("ID", c.ID)}})
			if name.Pod >= 0 {
				pod := &b.page.rest.Pods[name.Pod]
				pod.Containers = append(pod.Containers, n)
			}
		}
		one := &b.page.rest.Containers[n]
		if one.Image == "" {
			one.Image = text.Printable(c.Image)
		}
		one.Facts = append(one.Facts, b.containerFacts(c)...)
		one.Tags = append(one.Tags, tags(c)...)
	}
}

func (b *builder) containerFacts(c *cos.ContainerDetail) (facts []fact) {
	facts = append(facts, named("Bundle", c.Bundle), named("Shim", c.Shim))
	facts = append(facts, lifecycleFacts(c.Lifecycle)...)
	if s := c.Spec; s != nil {
		facts = append(facts, fact{Name: "Command asked for", Value: text.Words(b.arguments(s.Args), maxArgs)},
			fact{Name: "User asked for", Value: fmt.Sprintf("%d:%d", s.UID, s.GID), Bad: s.UID == 0})
		for _, m := range s.Mounts {
			if m.Type == "bind" && !slices.Contains([]string{"runtime"}, m.Kind) {
				facts = append(facts, fact{Name: "Mount", Value: text.Printable(m.Source + " on " + m.Destination + " (" + strings.Join(m.Options, ",") + ")")})
			}
		}
	} else {
		facts = append(facts, fact{Name: "As it was asked for", Value: "not known: its config.json is not in memory"})
	}
	if a := c.Actual; a != nil {
		facts = append(facts, fact{Name: "Capabilities in force", Value: text.Printable(orNone(strings.Join(a.Capabilities.Effective, " ")))},
			fact{Name: "Seccomp", Value: text.Printable(a.Seccomp), Bad: a.Seccomp == "off"}, fact{Name: "No new privileges", Value: yes(a.NoNewPrivileges)},
			fact{Name: "Root read-only", Value: yes(a.ReadOnlyRoot)})
		if len(a.HostNamespaces) > 0 {
			facts = append(facts, fact{Name: "Namespaces of the node", Value: text.Printable(strings.Join(a.HostNamespaces, ", "))})
		}
	}
	if len(c.Written) > 0 {
		facts = append(facts, fact{Name: "Written to its root", Value: text.Printable(writtenText(c.Written))})
	}
	for _, v := range c.Violations {
		facts = append(facts, fact{Name: "Violates " + text.Printable(v.Level), Value: text.Printable(v.Check + ": " + v.Evidence), Bad: true})
	}
	for _, d := range c.Differences {
		facts = append(facts, fact{Name: "Differs in " + text.Printable(d.What), Value: text.Printable("asked for " + d.Asked + ", is " + d.Actual), Bad: true})
	}
	return facts
}

// maxWritten is how many of the files that a container has written are named.
const maxWritten = 20

func writtenText(all []cos.WrittenFile) string {
	var out []string
	for i := range all[:min(len(all), maxWritten)] {
		out = append(out, "/"+all[i].Path+" ("+string(all[i].Kind)+")")
	}
	if more := len(all) - maxWritten; more > 0 {
		out = append(out, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(out, ", ")
}

// lifecycleFacts are what the runtime wrote down of a container.
func lifecycleFacts(l *cos.Lifecycle) (facts []fact) {
	if l == nil {
		return nil
	}
	for _, at := range []struct {
		what string
		time time.Time
	}{{"Made", l.Created}, {"Started", l.Started}, {"Ended", l.Finished}} {
		if !at.time.IsZero() {
			facts = append(facts, fact{Name: at.what, Value: at.time.UTC().Format(time.RFC3339)})
		}
	}
	if l.ExitCode != nil {
		facts = append(facts, fact{Name: "Exit code", Value: text.Printable(fmt.Sprintf("%d %s", *l.ExitCode, l.Reason))})
	}
	if l.Attempt != nil && *l.Attempt > 0 {
		facts = append(facts, fact{Name: "Made before", Value: text.Count(int(*l.Attempt), "time", "times")})
	}
	for _, f := range []struct{ name, value string }{{"Addresses", strings.Join(l.IPs, ", ")}, {"Log", l.LogPath}, {"Digest of the image", l.ImageRef}} {
		if f.value != "" {
			facts = append(facts, named(f.name, f.value))
		}
	}
	return facts
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// tags are the few words about a container that the tree has.
func tags(c *cos.ContainerDetail) (tags []string) {
	for _, v := range c.Violations {
		if v.Level == "baseline" && !slices.Contains(tags, text.Printable(v.Check)) {
			tags = append(tags, text.Printable(v.Check))
		}
	}
	if len(c.Differences) > 0 {
		tags = append(tags, "not as asked for")
	}
	return tags
}
