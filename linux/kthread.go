package linux

import (
	"fmt"
	"strings"

	"github.com/nodelens/nodelens/vmem"
)

// commMax is the buffer in which /proc builds a name (proc_task_name,
// fs/proc/array.c); kernel threads can have names longer than task_struct.comm.
const commMax = 64

type kthreadLayout struct {
	data, fullName              field
	pool, desc, current, rescue field
	workerID, poolID, poolCPU   field
	wqName, attrs, nice         field
	descSize, wqNameSize        int
}

func newKthreadLayout(r resolver) kthreadLayout {
	return kthreadLayout{
		data:       r.opt("kthread", "data"),
		fullName:   r.opt("kthread", "full_name"), // since 5.17 (d6986ce24fc0)
		pool:       r.opt("worker", "pool"),
		desc:       r.opt("worker", "desc"),
		descSize:   r.count("worker", "desc"),
		current:    r.opt("worker", "current_work"),
		rescue:     r.opt("worker", "rescue_wq"),
		workerID:   r.opt("worker", "id"),
		poolID:     r.opt("worker_pool", "id"),
		poolCPU:    r.opt("worker_pool", "cpu"),
		attrs:      r.opt("worker_pool", "attrs"),
		nice:       r.opt("workqueue_attrs", "nice"),
		wqName:     r.opt("workqueue_struct", "name"),
		wqNameSize: r.count("workqueue_struct", "name"),
	}
}

// procComm returns the name that /proc/PID/comm shows: task_struct.comm, but for
// kernel threads their full name, and for workers what they work on (proc_task_name
// and wq_worker_comm of kernel/workqueue.c). Where that can't be read, comm stands.
func (k *Kernel) procComm(t *Task, comm string) string {
	if t.Flags&(pfKthread|pfWQWorker) == 0 {
		return comm
	}
	l, r := &k.layout.kthread, k.reader()
	own := k.layout.task.workerPrivate
	if !own.ok() {
		own = k.layout.task.setChildID
	}
	kthread := r.ptr(t.Addr, own)
	if r.err != nil || !plausible(kthread) {
		return comm
	}
	if t.Flags&pfWQWorker != 0 {
		return clip(k.workerComm(comm, r.ptr(kthread, l.data)), commMax-1)
	}
	if name := r.ptr(kthread, l.fullName); name != 0 {
		if s := r.cstring(name, commMax); r.err == nil && s != "" {
			return clip(s, commMax-1)
		}
	}
	return comm
}

func (k *Kernel) workerComm(comm string, worker vmem.VirtAddr) string {
	l, r := &k.layout.kthread, k.reader()
	if !l.desc.ok() || !plausible(worker) {
		return comm
	}
	name := k.workerID(comm, worker)
	if r.ptr(worker, l.pool) == 0 || r.err != nil {
		return name
	}
	desc := r.cstring(worker+vmem.VirtAddr(l.desc), l.descSize)
	sep := "-"
	if r.ptr(worker, l.current) != 0 {
		sep = "+"
	}
	if r.err != nil || desc == "" {
		return name
	}
	return name + sep + desc
}

// workerID returns a worker's name without the cut that task_struct.comm makes, on
// kernels that do so too (format_worker_id, since 6.10). Those are told by the name
// of a rescuer, which lost its prefix-less form at the same time.
func (k *Kernel) workerID(comm string, worker vmem.VirtAddr) string {
	l, r := &k.layout.kthread, k.reader()
	if strings.HasPrefix(comm, "kworker/R-") {
		wq := r.ptr(worker, l.rescue)
		if name := r.cstring(wq+vmem.VirtAddr(l.wqName), l.wqNameSize); r.err == nil && l.wqName.ok() && name != "" {
			return "kworker/R-" + name
		}
		return comm
	}
	if len(comm) < k.layout.task.commSize-1 {
		return comm
	}
	pool := r.ptr(worker, l.pool)
	id, cpu := r.i32(worker, l.workerID), r.i32(pool, l.poolCPU)
	if cpu < 0 {
		if s := fmt.Sprintf("kworker/u%d:%d", r.i32(pool, l.poolID), id); r.err == nil && strings.HasPrefix(s, comm) {
			return s
		}
		return comm
	}
	high := ""
	if r.i32(r.ptr(pool, l.attrs), l.nice) < 0 {
		high = "H"
	}
	if s := fmt.Sprintf("kworker/%d:%d%s", cpu, id, high); r.err == nil && strings.HasPrefix(s, comm) {
		return s
	}
	return comm
}

func clip(s string, n int) string { return s[:min(len(s), n)] }
