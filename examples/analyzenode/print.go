package main

import (
	"bufio"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/nodelens/nodelens/cos"
	"github.com/nodelens/nodelens/internal/text"
)

// printReport prints the kernel, each pod with its containers and their processes, and
// the rest of the node.
func printReport(w *bufio.Writer, r *cos.NodeReport) {
	printKernel(w, r)
	pods := map[string]containers{} // by UID
	var rest []*cos.Process
	for i := range r.Processes {
		p := &r.Processes[i]
		if p.PodUID == "" {
			rest = append(rest, p)
			continue
		}
		if pods[p.PodUID] == nil {
			pods[p.PodUID] = containers{}
		}
		pods[p.PodUID][p.ContainerID] = append(pods[p.PodUID][p.ContainerID], p)
	}
	for i := range r.Pods {
		printPod(w, &r.Pods[i], pods[r.Pods[i].UID])
	}
	fmt.Fprintln(w, "\nnode")
	printTree(w, rest, 1)
	for _, note := range r.Notes {
		fmt.Fprintf(w, "\nnote: %s\n", text.Line(note))
	}
}

// containers are the processes of a pod by container ID; those of no container are by
// the empty string.
type containers map[string][]*cos.Process

func printKernel(w *bufio.Writer, r *cos.NodeReport) {
	k := r.Kernel
	fmt.Fprintf(w, "kernel %s, %d-level page tables, KASLR shift %#x\n", text.Word(k.Release), k.PageTableLevels, k.KASLRShift)
	fmt.Fprintf(w, "  %s\n", text.Printable(k.Banner))
	fmt.Fprintf(w, "  symbols from %s\n", text.Line(k.Symbols))
	booted := "at an unknown time"
	if !r.BootTime.IsZero() {
		booted = r.BootTime.UTC().Format(time.DateTime + " MST")
	}
	fmt.Fprintf(w, "node %s, booted %s: %d pods, %d processes\n", orUnknown(r.Hostname), booted, len(r.Pods), len(r.Processes))
}

// orUnknown returns a name out of the image. None can pass for the word that stands for none.
func orUnknown(s string) string {
	if s == "" {
		return "(unknown)"
	}
	return text.Word(s)
}

func printPod(w *bufio.Writer, p *cos.Pod, processes containers) {
	fmt.Fprintf(w, "\npod %s/%s  %s %s\n", orUnknown(p.Namespace), orUnknown(p.Name), orUnknown(string(p.QoS)), text.Word(p.UID))
	for _, e := range p.Evidence {
		if e.Source.Hint() && p.Name == "" && e.Field == "name" {
			fmt.Fprintf(w, "  perhaps %s, by the %s of process %d\n", text.Word(e.Value), e.Source, e.PID)
		}
	}
	if p.SandboxID != "" {
		fmt.Fprintf(w, "  sandbox %s\n", shortID(p.SandboxID))
		processes.print(w, p.SandboxID)
	}
	for i := range p.Containers {
		printContainer(w, &p.Containers[i])
		if id := p.Containers[i].ID; id != "" {
			processes.print(w, id)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(processes)) {
		fmt.Fprintf(w, "  of %s\n", ofContainer(id))
		processes.print(w, id)
	}
}

// print prints the processes of a container and takes them out.
func (c containers) print(w *bufio.Writer, id string) {
	printTree(w, c[id], 2)
	delete(c, id)
}

func printContainer(w *bufio.Writer, c *cos.Container) {
	fmt.Fprintf(w, "  container %s", orUnknown(c.Name))
	if c.ID != "" {
		fmt.Fprintf(w, "  %s", shortID(c.ID))
	}
	if c.Image != "" {
		fmt.Fprintf(w, "  %s", text.Word(c.Image))
	}
	if len(c.PIDs) == 0 {
		fmt.Fprint(w, "  (no processes)")
	}
	fmt.Fprintln(w)
}

// ofContainer says of which container processes are that none of the pod's has.
func ofContainer(id string) string {
	if id == "" {
		return "no container"
	}
	return shortID(id)
}

// shortID is how container runtimes abbreviate IDs.
func shortID(id string) string { return text.Word(id[:min(len(id), 13)]) }
