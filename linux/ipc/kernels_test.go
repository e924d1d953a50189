package ipc

import (
	"testing"

	"github.com/nodelens/nodelens/internal/testimages"
	"github.com/nodelens/nodelens/isf"
)

// TestKernels: what is read of IPC objects is bound by the types of all kernels there are.
func TestKernels(t *testing.T) {
	t.Parallel()
	files := testimages.SymbolFiles(t)
	if len(files) < 2 {
		t.Skip("there is none but that of the bundled node, which other tests read")
	}
	for release, name := range files {
		types, err := isf.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		v := bindViews(types)
		for what, err := range map[string]error{"namespaces": v.err, "shared memory": v.shm.err, "semaphores": v.sem.err, "messages": v.msg.err, "queues": v.mq.err} {
			if err != nil {
				t.Errorf("%s: %s: %v", release, what, err)
			}
		}
	}
}
