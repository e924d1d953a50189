package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/nodelens/nodelens/cos"
	"github.com/nodelens/nodelens/internal/command"
	"github.com/nodelens/nodelens/internal/table"
	"github.com/nodelens/nodelens/linux/network/socket"
)

// A changeRow is something that one image has and another has not, or not as it is.
type changeRow struct {
	Change string `json:"change" col:"CHANGE"` // came, went or changed
	Kind   string `json:"kind" col:"KIND"`     // pod, container, process, listener, module or program
	Pod    string `json:"pod" jsonx:"null" col:"POD,flex"`
	Object string `json:"object" col:"OBJECT,line,flex"`
	Was    string `json:"was" jsonx:"null" col:"WAS,line,flex"`
	Is     string `json:"is" jsonx:"null" col:"IS,line,flex"`
}

// Mark implements [table.Marked].
func (r changeRow) Mark() table.Mark {
	if r.Change == came {
		return table.Notice
	}
	return table.Plain
}

const (
	came    = "came"
	went    = "went"
	changed = "changed"
)

// compared are the sections that are compared.
const compared = cos.SectionNetwork | cos.SectionModules | cos.SectionBPF

// A thing is what is compared, by what it is called.
type thing struct{ kind, pod, object string }

// diff returns the command that compares two images.
func (a *app) diff() *cobra.Command {
	var f format
	c := &cobra.Command{
		Use: "diff IMAGE IMAGE", Short: "Compare two images of a node, or of two nodes: what came, went and changed",
		Long: "Compare two images of a node, or of two nodes: what came, went and changed.\n\nPods, containers, processes, listening sockets, modules and BPF programs are compared. Processes of one boot of a node are the same\n" +
			"where PID and start are; else those of a container with the same program and arguments are.",
		Example: examples("nodelens diff monday.lime tuesday.lime", "nodelens diff node-a.lime node-b.lime -o json"),
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 2 {
				return usage("name two images")
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			opts, err := f.options(a)
			if err == nil {
				if err := table.Check[changeRow](opts); err != nil {
					return usageError{err}
				}
			}
			if err != nil {
				return err
			}
			return a.ask(c.Context(), args[0], compared, func(was *view) error {
				return a.ask(c.Context(), args[1], compared, func(is *view) error { return is.compare(was, opts) })
			})
		},
	}
	f.register(c)
	return c
}

// compare prints what differs.
func (v *view) compare(was *view, opts *table.Options) error {
	w := v.stdout
	if opts.Format != table.Table && opts.Format != table.Wide {
		w = v.stderr
	}
	was.whole(w)
	v.whole(w)
	p := &v.report.Provenance
	opts.Items = "diff"
	opts.Head = head{"nodelens/diff/v1", p.Image, v.report.Hostname, p.Captured, v.status == command.OK, append(was.report.Losses(), v.report.Losses()...)}
	sameBoot := was.report.Hostname == v.report.Hostname && !v.report.BootTime.IsZero() && was.report.BootTime.Equal(v.report.BootTime)
	return table.Print(v.stdout, changes(was.things(sameBoot), v.things(sameBoot)), opts)
}

// changes returns what differs, by pod, kind and name.
func changes(was, is map[thing]string) []changeRow {
	keys := maps.Clone(was)
	maps.Copy(keys, is)
	order := func(a, b thing) int {
		return strings.Compare(a.pod+"\x00"+a.kind+"\x00"+a.object, b.pod+"\x00"+b.kind+"\x00"+b.object)
	}
	var rows []changeRow
	for _, k := range slices.SortedFunc(maps.Keys(keys), order) {
		before, had := was[k]
		after, has := is[k]
		row := changeRow{Kind: k.kind, Pod: k.pod, Object: k.object, Was: before, Is: after}
		switch {
		case !had:
			row.Change = came
		case !has:
			row.Change = went
		case before != after:
			row.Change = changed
		default:
			continue
		}
		rows = append(rows, row)
	}
	return rows
}

// things returns what is compared of a node, with what of it can change.
func (v *view) things(sameBoot bool) map[thing]string {
	all := map[thing]string{}
	for i := range v.report.Pods {
		p := &v.report.Pods[i]
		all[thing{kind: "pod", pod: v.podName(p.UID)}] = string(p.QoS)
		for _, c := range p.Containers {
			state := fmt.Sprintf("%s, running", c.Image)
			if len(c.PIDs) == 0 {
				state = fmt.Sprintf("%s, without processes", c.Image)
			}
			all[thing{kind: "container", pod: v.podName(p.UID), object: v.containerName(p.UID, c.ID)}] = strings.TrimPrefix(state, ", ")
		}
	}
	v.addProcesses(all, sameBoot)
	for i := range v.report.Network.Sockets {
		s := &v.report.Network.Sockets[i]
		if s.State == socket.Listen && (s.Family == socket.Inet || s.Family == socket.Inet6) {
			all[thing{kind: "listener", pod: v.podName(s.PodUID), object: s.Protocol + " " + end(s, s.LocalAddress, s.LocalPort)}] = ""
		}
	}
	for i := range v.report.Modules {
		m := &v.report.Modules[i]
		all[thing{kind: "module", object: m.Name}] = strings.TrimSpace(fmt.Sprintf("%v %s", m.Taints, m.SrcVersion))
	}
	for i := range v.report.BPF.Programs {
		p := &v.report.BPF.Programs[i]
		all[thing{kind: "program", pod: v.podName(p.PodUID), object: fmt.Sprintf("%v %s", p.Type, p.FullName)}] = p.Tag
	}
	return all
}

// addProcesses adds those that are no threads of the kernel.
func (v *view) addProcesses(all map[thing]string, sameBoot bool) {
	for i := range v.report.Processes {
		p := &v.report.Processes[i]
		if p.KernelThread {
			continue
		}
		k := thing{kind: "process", pod: v.podName(p.PodUID), object: fmt.Sprintf("%s %s", p.Exe, strings.Join(p.Args, " "))}
		if !sameBoot {
			all[k] = ""
			continue
		}
		k.object = fmt.Sprintf("%d %s, started %s", p.PID, p.Comm, utc(p.StartTime))
		all[k] = p.Exe
	}
}
