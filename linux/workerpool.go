package linux

import (
	"context"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// hasWorker reports whether a kthread leads to the worker of the task at addr.
func (k *Kernel) hasWorker(kt *kthread, addr vmem.VirtAddr) bool {
	v := &k.views.kthread
	if v.poolErr != nil {
		return true // nothing better is known
	}
	task, err := v.task.Load(k.space, kt.Data)
	return err == nil && task == addr
}

// pooledWorker returns the worker of the task at addr by the lists of the worker pools
// (worker_pool_idr of kernel/workqueue.c), for a task whose kthread is lost. A worker that
// ends, and a rescuer that rests, is in none.
func (k *Kernel) pooledWorker(addr vmem.VirtAddr) (vmem.VirtAddr, bool) {
	workers := k.poolWorkers
	if k.phys.Live() {
		workers = k.readPoolWorkers
	}
	at, ok := workers()[addr]
	return at, ok
}

// readPoolWorkers returns the workers of all pools by their tasks. What is lost of the lists
// is told where the task is named.
func (k *Kernel) readPoolWorkers() map[vmem.VirtAddr]vmem.VirtAddr {
	found := map[vmem.VirtAddr]vmem.VirtAddr{}
	v := &k.views.kthread
	idr, err := k.Symbol("worker_pool_idr")
	if err != nil || v.poolErr != nil {
		return found
	}
	w := k.walk(context.Background(), "worker pools", minTaskNodes)
	for e, err := range w.IDR(idr) {
		if err != nil || e.Kind != kstruct.PointerEntry || !plausible(e.Ptr) {
			continue
		}
		for node, err := range w.List(v.workers.Of(e.Ptr)) {
			if err != nil {
				continue
			}
			at := v.node.Container(node)
			if task, err := v.task.Load(k.space, at); err == nil && plausible(task) {
				found[task] = at
			}
		}
	}
	return found
}
