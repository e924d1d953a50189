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

// A printer prints a report.
type printer struct {
	w     *bufio.Writer
	views *cos.Views // what of the lists of processes was lost

	network *netPrinter // nil if the report has none
}

// printReport prints which node it is, what the report lacks, each pod with its containers
// and their processes, and the rest of the node.
func printReport(w *bufio.Writer, r *cos.NodeReport) {
	printNode(w, r)
	if r.Consistency != nil {
		fmt.Fprintf(w, "memory is %v\n", r.Consistency)
	}
	if !r.Whole() {
		printLosses(w, r)
	}
	p := &printer{w: w, views: r.Views()}
	p.network = newNetPrinter(p, r)
	if p.network != nil {
		p.network.summary()
	}
	printModules(w, r)
	printLog(w, r)
	printSettings(w, r)
	printHooks(w, r)
	printText(w, r)
	printBPF(w, r)
	printContainers(w, r)
	printFiles(w, r)
	printSecurity(w, r)
	printMemory(w, r)
	printMaps(w, r)
	p.processes(r)
	for _, note := range r.Notes {
		fmt.Fprintf(w, "\nnote: %s\n", text.Line(note))
	}
}

// processes prints the processes of each pod, and those of none.
func (p *printer) processes(r *cos.NodeReport) {
	pods := map[string]containers{} // by UID
	var rest []*cos.Process
	for i := range r.Processes {
		proc := &r.Processes[i]
		if proc.PodUID == "" {
			rest = append(rest, proc)
			continue
		}
		if pods[proc.PodUID] == nil {
			pods[proc.PodUID] = containers{}
		}
		pods[proc.PodUID][proc.ContainerID] = append(pods[proc.PodUID][proc.ContainerID], proc)
	}
	for i := range r.Pods {
		p.pod(&r.Pods[i], pods[r.Pods[i].UID])
		if p.network != nil {
			p.network.pod(r.Pods[i].UID)
		}
	}
	fmt.Fprintln(p.w, "\nnode")
	p.tree(rest, 1)
	if p.network != nil {
		p.network.node()
	}
}

// containers are the processes of a pod by container ID; those of no container are by
// the empty string.
type containers map[string][]*cos.Process

// printNode prints which node it is, of which image, and which kernel ran on it.
func printNode(w *bufio.Writer, r *cos.NodeReport) {
	booted := "at an unknown time"
	if !r.BootTime.IsZero() {
		booted = when(r.BootTime)
	}
	fmt.Fprintf(w, "node %s, booted %s: %d pods, %d processes\n", orUnknown(r.Hostname), booted, len(r.Pods), len(r.Processes))
	printImage(w, &r.Provenance)
	k := r.Kernel
	fmt.Fprintf(w, "kernel %s, %d-level page tables, KASLR shift %#x\n", text.Word(k.Release), k.PageTableLevels, k.KASLRShift)
	fmt.Fprintf(w, "  %s\n", text.Printable(k.Banner))
	fmt.Fprintf(w, "  symbols from %s\n", text.Line(k.Symbols))
	switch r.Secrets {
	case cos.SecretsHidden:
		fmt.Fprintln(w, "secrets are hidden")
	case cos.SecretsShown:
		fmt.Fprintln(w, "secrets are SHOWN")
	}
}

// printImage prints which image it is, as far as that is known.
func printImage(w *bufio.Writer, p *cos.Provenance) {
	if p.Image == "" {
		return
	}
	fmt.Fprintf(w, "image %s: %s", text.Word(p.Image), text.Line(p.Format))
	if p.Compression != "" {
		fmt.Fprintf(w, " in %s", text.Line(p.Compression))
	}
	if p.Size > 0 {
		fmt.Fprintf(w, ", %s", text.Size(p.Size))
	}
	switch p.CapturedFrom {
	case cos.CapturedByManifest:
		fmt.Fprintf(w, ", captured %s", when(p.Captured))
	case cos.CapturedByClock:
		fmt.Fprintf(w, ", captured %s by the node's clock", when(p.Captured))
	}
	fmt.Fprintln(w)
	if p.SHA256 != "" {
		fmt.Fprintf(w, "  SHA-256 %s, %s\n", text.Word(p.SHA256), text.Line(string(p.SHA256From)))
	}
}

func when(t time.Time) string { return t.UTC().Format(time.DateTime + " MST") }

// orUnknown returns a name out of the image. None can pass for the word that stands for none.
func orUnknown(s string) string {
	if s == "" {
		return "(unknown)"
	}
	return text.Word(s)
}

func (p *printer) pod(pod *cos.Pod, processes containers) {
	fmt.Fprintf(p.w, "\npod %s/%s  %s %s\n", orUnknown(pod.Namespace), orUnknown(pod.Name), orUnknown(string(pod.QoS)), text.Word(pod.UID))
	for _, e := range pod.Evidence {
		if e.Source.Hint() && pod.Name == "" && e.Field == "name" {
			fmt.Fprintf(p.w, "  perhaps %s, by the %s of process %d\n", text.Word(e.Value), text.Line(string(e.Source)), e.PID)
		}
	}
	if pod.SandboxID != "" {
		fmt.Fprintf(p.w, "  sandbox %s\n", shortID(pod.SandboxID))
		p.container(processes, pod.SandboxID)
	}
	for i := range pod.Containers {
		printContainer(p.w, &pod.Containers[i])
		if id := pod.Containers[i].ID; id != "" {
			p.container(processes, id)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(processes)) {
		fmt.Fprintf(p.w, "  of %s\n", ofContainer(id))
		p.container(processes, id)
	}
}

// container prints the processes of a container and takes them out.
func (p *printer) container(c containers, id string) {
	p.tree(c[id], 2)
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
