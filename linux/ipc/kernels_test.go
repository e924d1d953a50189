package ipc

import (
	"testing"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/linux/internal/nodetest"
)

// TestKernels: what is read of IPC objects is bound by the types of all kernels there are.
func TestKernels(t *testing.T) {
	t.Parallel()
	nodetest.EachKernel(t, func(t *testing.T, types *isf.File) {
		v := bindViews(types)
		nodetest.Bound(t, map[string]error{"namespaces": v.err, "shared memory": v.shm.err, "semaphores": v.sem.err, "messages": v.msg.err, "queues": v.mq.err}, map[string]bool{"swapped": v.shm.swapped.Ok()})
	})
}
