package network

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The namespaces of an image are those that /proc/PID/ns said, with the same processes.
func TestTrueNamespaces(t *testing.T) {
	eachNode(t, func(t *testing.T, n *node) {
		want := map[uint32][]int32{}
		known := map[int32]bool{}
		threads := map[int32]int{}
		for _, p := range n.truth.Processes {
			known[p.PID] = true
			threads[p.PID] = len(p.Threads)
			if inum := p.Namespaces["net"]; inum != 0 {
				want[inum] = append(want[inum], p.PID)
			}
		}
		got := map[uint32][]int32{}
		alive := map[int32]bool{}
		for _, task := range n.tasks {
			alive[task.PID] = true
		}
		for _, ns := range all(t, Namespaces(t.Context(), n.k, n.tasks)) {
			if ns.Sources&ns.Expected() != ns.Expected() {
				t.Errorf("%v comes from %v", ns, ns.Sources)
			}
			got[ns.Inum] = append(got[ns.Inum], ns.PIDs...)
		}
		// What came or went between the truth and the image is in one of them. The truth is
		// of leaders alone, and other threads may be elsewhere.
		for inum := range want {
			want[inum] = slices.DeleteFunc(want[inum], func(pid int32) bool { return !alive[pid] })
		}
		for inum := range got {
			got[inum] = slices.DeleteFunc(got[inum], func(pid int32) bool {
				return !known[pid] || threads[pid] > 1 && !slices.Contains(want[inum], pid)
			})
			if len(got[inum]) == 0 && len(want[inum]) == 0 {
				delete(got, inum)
			}
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("namespaces (-truth +image):\n%s", d)
		}
	})
}

func TestSourcesText(t *testing.T) {
	for s := range Sources(1<<len(sourceNames) + 1) {
		b, err := s.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		var back Sources
		err = back.UnmarshalText(b)
		if known := s < 1<<len(sourceNames); (err == nil) != known || known && back != s {
			t.Errorf("%q gives %v, %v; want %v", b, back, err, s)
		}
	}
}
