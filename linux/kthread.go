package linux

import (
	"fmt"
	"strings"

	"github.com/nodelens/nodelens/vmem"
)

// commMax is the buffer in which /proc builds a name (proc_task_name,
// fs/proc/array.c); kernel threads can have names longer than task_struct.comm.
const commMax = 64

// rescuerPrefix begins the names of rescuers since 6.10.
const rescuerPrefix = "kworker/R-"

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
// and wq_worker_comm of kernel/workqueue.c). Where that can't be read, comm stands, and
// an error says so.
func (k *Kernel) procComm(t *Task, comm string) (string, error) {
	if t.Flags&(pfKthread|pfWQWorker) == 0 {
		return comm, nil
	}
	l, r := &k.layout.kthread, k.reader()
	own := k.layout.task.workerPrivate
	if !own.ok() {
		own = k.layout.task.setChildID
	}
	kthread := r.ptr(t.Addr, own)
	if r.err != nil || kthread == 0 { // kthreadd and the idle tasks have none
		return comm, r.err
	}
	name := comm
	if t.Flags&pfWQWorker != 0 {
		name = k.workerComm(&r, comm, r.ptr(kthread, l.data))
	} else if full := r.ptr(kthread, l.fullName); full != 0 {
		name = r.cstring(full, commMax)
	}
	if r.err != nil {
		return comm, r.err
	}
	return name[:min(len(name), commMax-1)], nil
}

func (k *Kernel) workerComm(r *reader, comm string, worker vmem.VirtAddr) string {
	l := &k.layout.kthread
	if !l.desc.ok() || worker == 0 {
		return comm
	}
	name := k.workerID(r, comm, worker)
	if r.ptr(worker, l.pool) == 0 {
		return name
	}
	desc := r.cstring(worker+vmem.VirtAddr(l.desc), l.descSize)
	switch {
	case desc == "":
		return name
	case r.ptr(worker, l.current) != 0:
		return name + "+" + desc
	}
	return name + "-" + desc
}

// workerID returns a worker's name without the cut that task_struct.comm makes, on
// kernels that do so too (format_worker_id, since 6.10). Those are told by the name of
// a rescuer, which got its prefix at the same time.
func (k *Kernel) workerID(r *reader, comm string, worker vmem.VirtAddr) string {
	l := &k.layout.kthread
	if strings.HasPrefix(comm, rescuerPrefix) && l.wqName.ok() {
		return rescuerPrefix + r.cstring(r.ptr(worker, l.rescue)+vmem.VirtAddr(l.wqName), l.wqNameSize)
	}
	if len(comm) < k.layout.task.commSize-1 {
		return comm
	}
	pool := r.ptr(worker, l.pool)
	if pool == 0 {
		return comm
	}
	id, cpu := r.i32(worker, l.workerID), r.i32(pool, l.poolCPU)
	name := fmt.Sprintf("kworker/u%d:%d", r.i32(pool, l.poolID), id)
	if cpu >= 0 {
		name = fmt.Sprintf("kworker/%d:%d", cpu, id)
		if r.i32(r.ptr(pool, l.attrs), l.nice) < 0 {
			name += "H"
		}
	}
	if !strings.HasPrefix(name, comm) { // an older kernel, which cuts
		return comm
	}
	return name
}
