package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/nodelens/nodelens/cos"
)

// A filter is what the command line says of what to show.
type filter struct {
	pod, container, namespace string
	pids                      []int32
}

// register adds the flags to those of a command.
func (f *filter) register(c *cobra.Command) {
	c.Flags().StringVar(&f.pod, "pod", "", "only what is of a pod: its `NAME`, NAMESPACE/NAME or UID, or the beginning of one")
	c.Flags().StringVar(&f.namespace, "namespace", "", "only what is of pods in a `NAMESPACE`")
	c.Flags().StringVar(&f.container, "container", "", "only what is of a container: its `NAME`, or the beginning of its ID")
	c.Flags().Int32SliceVar(&f.pids, "pid", nil, "only what is of a process: its `PID` on the node; may be several, separated by commas")
}

// A selection is what a filter chooses of a report.
type selection struct {
	all        bool
	pods       map[string]bool // by UID; nil: any, and none
	containers map[string]bool // by ID; nil: any
	pids       []int32         // nil: any
}

// has reports whether something of a pod, container and process was asked for.
func (s *selection) has(podUID, containerID string, pid int32) bool {
	return s.all || (s.pods == nil || s.pods[podUID]) && (s.containers == nil || s.containers[containerID]) && (s.pids == nil || slices.Contains(s.pids, pid))
}

// choose returns what the filter chooses. That it names something that is not there is an error, which says what is.
func (f *filter) choose(r *cos.NodeReport) (selection, error) {
	s := selection{pids: f.pids}
	if f.pod != "" || f.namespace != "" {
		s.pods = map[string]bool{}
	}
	if f.container != "" {
		s.containers = map[string]bool{}
	}
	s.all = s.pods == nil && s.containers == nil && s.pids == nil
	for i := range r.Pods {
		p := &r.Pods[i]
		if s.pods != nil && f.isPod(p) {
			s.pods[p.UID] = true
		}
		if s.containers == nil || s.pods != nil && !s.pods[p.UID] {
			continue
		}
		for _, c := range p.Containers {
			if c.ID != "" && (c.Name == f.container || strings.HasPrefix(c.ID, f.container)) {
				s.containers[c.ID] = true
			}
		}
	}
	return s, f.found(r, &s)
}

// isPod reports whether a pod is asked for.
func (f *filter) isPod(p *cos.Pod) bool {
	if f.namespace != "" && p.Namespace != f.namespace {
		return false
	}
	return f.pod == "" || strings.HasPrefix(p.Name, f.pod) || strings.HasPrefix(p.Namespace+"/"+p.Name, f.pod) || strings.HasPrefix(p.UID, f.pod)
}

// maxNamed is how many pods an error names.
const maxNamed = 12

// found returns an error if nothing is of what the filter says.
func (f *filter) found(r *cos.NodeReport, s *selection) error {
	switch {
	case s.pods != nil && len(s.pods) == 0:
		var names []string
		for i := range r.Pods {
			names = append(names, r.Pods[i].Namespace+"/"+r.Pods[i].Name)
		}
		more := ""
		if n := len(names) - maxNamed; n > 0 {
			names, more = names[:maxNamed], fmt.Sprintf(" and %d more", n)
		}
		return fmt.Errorf("no such pod in the image; there are: %s%s", strings.Join(names, ", "), more)
	case s.containers != nil && len(s.containers) == 0:
		return fmt.Errorf("no container %q in the image", f.container)
	}
	for _, pid := range f.pids {
		if !slices.ContainsFunc(r.Processes, func(p cos.Process) bool { return p.PID == pid }) {
			return fmt.Errorf("no process %d in the image", pid)
		}
	}
	return nil
}
