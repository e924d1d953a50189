package main

import (
	"bufio"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nodelens/nodelens/cos"
	"github.com/nodelens/nodelens/internal/text"
)

// printContainers says of each container in a line what matters to a responder: image, user, what it shares with the node, what it may
// do beyond the usual, and where it is not what it was asked to be.
func printContainers(w *bufio.Writer, r *cos.NodeReport) {
	if r.Containers == nil {
		return
	}
	fmt.Fprintf(w, "\n%s in depth\n", text.Count(len(r.Containers), "container", "containers"))
	for i := range r.Containers {
		c := &r.Containers[i]
		name := c.Name
		if c.Sandbox {
			name = "(sandbox)"
		}
		fmt.Fprintf(w, "  %s/%s %s", text.Word(c.Namespace), text.Word(c.Pod), text.Word(name))
		if c.Image != "" {
			fmt.Fprintf(w, ", %s", text.Word(c.Image))
		}
		if !c.Running {
			fmt.Fprint(w, ", not running")
		}
		printLifecycle(w, c.Lifecycle)
		printPosture(w, c)
		var differs []string
		for _, d := range c.Differences {
			differs = append(differs, fmt.Sprintf("%s %s, not %s", d.What, text.Word(d.Actual), text.Word(d.Asked)))
		}
		printOdd(w, "DIFFERS", differs)
		fmt.Fprintln(w)
	}
}

// printLifecycle prints how a container ended, and how often it had been made before.
func printLifecycle(w *bufio.Writer, l *cos.Lifecycle) {
	if l == nil {
		return
	}
	if l.ExitCode != nil {
		fmt.Fprintf(w, ", ended %s with %d", l.Finished.UTC().Format(time.RFC3339), *l.ExitCode)
		if l.Reason != "" {
			fmt.Fprintf(w, " (%s)", text.Line(l.Reason))
		}
	}
	if l.Attempt != nil && *l.Attempt > 0 {
		fmt.Fprintf(w, ", made %s before", text.Count(int(*l.Attempt), "time", "times"))
	}
}

// printPosture prints what the kernel lets a container do, and what of the node it has.
func printPosture(w *bufio.Writer, c *cos.ContainerDetail) {
	if a := c.Actual; a != nil {
		fmt.Fprintf(w, ", user %d", a.Cred.UID)
		shared := slices.DeleteFunc(slices.Clone(a.HostNamespaces), func(ns string) bool { return ns == "user" || ns == "time" || ns == "cgroup" })
		printOdd(w, "node's namespaces", shared)
	}
	privileged := false
	var caps, paths []string
	for _, v := range c.Violations {
		switch {
		case v.Check == "privileged":
			privileged = true
		case v.Level == "baseline" && v.Check == "capabilities":
			caps = append(caps, v.Evidence)
		case v.Check == "hostPathVolumes":
			paths = append(paths, text.Word(v.Evidence))
		}
	}
	if privileged {
		fmt.Fprint(w, ", PRIVILEGED")
	} else if len(caps) > 0 {
		printOdd(w, "capabilities", []string{strings.ToLower(text.Line(strings.Join(caps, ", ")))})
	}
	printOdd(w, "node's paths", paths)
}
