package linux

import (
	"strings"
	"testing"
)

// Workers keep their names where the page of their kthreads is lost: the pools lead to them.
func TestWorkerWithoutKthread(t *testing.T) {
	n := openBundled(t)
	whole, _ := walk(t, n.k)
	tested := 0
	for _, pid := range pids(whole) {
		before := whole[pid]
		if before.Flags&pfWQWorker == 0 || !strings.Contains(before.Comm, ":") { // a rescuer is in no pool
			continue
		}
		late, err := n.k.views.task.late.Load(n.k.space, before.Addr)
		if err != nil {
			t.Fatal(err)
		}
		if tested++; tested > 2 {
			break
		}
		after, _ := n.damage(t, 0xa5, late.Kthread)
		if got := after[pid]; got == nil || got.Comm != before.Comm {
			t.Errorf("%v is %v without its kthread", before, got)
		}
	}
	if tested == 0 {
		t.Error("no worker")
	}
}
