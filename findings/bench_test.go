package findings_test

import (
	"testing"

	"github.com/nodelens/nodelens/cos"
	"github.com/nodelens/nodelens/findings"
	"github.com/nodelens/nodelens/internal/nodetest"
)

// BenchmarkRun runs the catalogue over a node of 500 pods and 20,000 processes.
func BenchmarkRun(b *testing.B) {
	report := nodetest.Big(500, 20_000)
	for b.Loop() {
		if _, err := findings.Run(b.Context(), findings.NewNode(report, nil), nil); err != nil {
			b.Fatal(err)
		}
	}
}

// A node on which every process is a shell with pipes and every one of them has lost something takes work in proportion to it, and no more:
// what would be looked at once for each pair is looked up.
func TestManyShells(t *testing.T) {
	f := clean()
	for i := range int32(3000) {
		p := cos.Process{PID: 1000 + i, PPID: pidServer, Comm: "sh", Exe: "/bin/sh", Args: []string{"sh"}}
		server := f.process(pidServer)
		p.PodUID, p.ContainerID, p.Namespaces, p.Cgroup, p.State, p.Sources = podUID, containerID, server.Namespaces, server.Cgroup, server.State, server.Sources
		f.Processes = append(f.Processes, p)
	}
	r, err := findings.Run(t.Context(), findings.NewNode(f.NodeReport, nil), nil)
	if err != nil {
		t.Fatal(err)
	}
	shells, more := 0, false
	for _, x := range r.Findings {
		if x.Rule == "process-shell-under-server" {
			shells++
		}
	}
	for _, c := range r.NotChecked {
		more = more || c.Rule == "process-shell-under-server" && c.Reason == "2500 more findings are not told"
	}
	if shells != findings.MaxPerRule || !more {
		t.Errorf("%d findings, the rest told: %v", shells, more)
	}
}
