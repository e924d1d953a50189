package cos

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nodelens/nodelens/internal/truth"
)

// checkNetwork compares the network of a report with the truth in dir.
func checkNetwork(t *testing.T, dir string, node *truth.Node, r *NodeReport) {
	t.Helper()
	if r.Network == nil {
		t.Fatal("no network")
	}
	checkNamespaces(t, dir, node, r.Network)
}

// A namespaceTruth is what /proc says of a network namespace.
type namespaceTruth struct {
	PIDs []int32 // of processes with a thread in it
	Pod  string
}

// namespacesOfTruth returns the namespaces that tasks were in, and the one of PID 1.
func namespacesOfTruth(t *testing.T, dir string, node *truth.Node) (all map[uint32]*namespaceTruth, own uint32) {
	t.Helper()
	all = map[uint32]*namespaceTruth{}
	for _, p := range node.Processes {
		if p.PID == node.Collector {
			continue
		}
		for _, inum := range namespacesOfThreads(t, dir, p.PID) {
			if p.PID == 1 {
				own = inum
			}
			if all[inum] == nil {
				all[inum] = new(namespaceTruth)
			}
			ns := all[inum]
			ns.PIDs = append(ns.PIDs, p.PID)
			if pod := podOfTruth(node, p); pod != "" {
				ns.Pod = pod
			}
		}
	}
	all[own].Pod = "" // whatever pods share it
	return all, own
}

var netName = regexp.MustCompile(`(?m)^net net:\[(\d+)\]$`)

// namespacesOfThreads returns the namespaces that the threads of a process were in.
func namespacesOfThreads(t *testing.T, dir string, pid int32) (inums []uint32) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "pid", fmt.Sprint(pid), "task", "*", "ns"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if m := netName.FindSubmatch(text); m != nil { // not of a zombie
			inum, err := strconv.ParseUint(string(m[1]), 10, 32)
			if err != nil {
				t.Fatal(err)
			}
			inums = append(inums, uint32(inum))
		}
	}
	slices.Sort(inums)
	return slices.Compact(inums)
}

// checkNamespaces compares the namespaces, their processes and pods with what /proc said of
// all threads and who made the pods said of these.
func checkNamespaces(t *testing.T, dir string, node *truth.Node, n *Network) {
	t.Helper()
	want, own := namespacesOfTruth(t, dir, node)
	found := map[uint32]*namespaceTruth{}
	for i, ns := range n.Namespaces {
		if ns.Initial != (i == 0) || ns.Initial != (ns.Inum == own) {
			t.Errorf("%v is the node's: %v", &ns.Namespace, ns.Initial)
		}
		gone := func(pid int32) bool { return pid == node.Collector || !inTruth(node, pid) }
		pids := slices.DeleteFunc(slices.Clone(ns.PIDs), gone)
		if want[ns.Inum] == nil && len(pids) == 0 { // without processes: /proc does not tell it
			continue
		}
		found[ns.Inum] = &namespaceTruth{pids, ns.PodUID}
	}
	if diff := cmp.Diff(want, found); diff != "" {
		t.Errorf("namespaces (-truth +found):\n%s", diff)
	}
}

func inTruth(node *truth.Node, pid int32) bool {
	return slices.ContainsFunc(node.Processes, func(p truth.Process) bool { return p.PID == pid })
}

// podOfTruth returns the UID of the pod whose container or sandbox a process is in.
func podOfTruth(node *truth.Node, p truth.Process) string {
	for _, pod := range node.Pods {
		for _, id := range append(slices.Collect(maps.Values(pod.Containers)), pod.SandboxID) {
			if slices.Contains(pidsIn([]truth.Process{p}, id), p.PID) {
				return pod.UID
			}
		}
	}
	return ""
}
