package linux

import (
	"fmt"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// wideDesc is the size of worker.desc with which the kernel shows whole names of workers:
// 2a1b02bcba78 (6.10, and stable kernels before it) did both.
const wideDesc = 32

// A kthread is struct kthread of kernel/kthread.c.
type kthread struct {
	Data     vmem.VirtAddr `kernel:"data"`               // of a worker, its struct worker
	FullName vmem.VirtAddr `kernel:"full_name,optional"` // since 5.17 (d6986ce24fc0)
}

// A worker is struct worker of kernel/workqueue_internal.h.
type worker struct {
	Pool    vmem.VirtAddr `kernel:"pool"` // 0 for one that ends
	Current vmem.VirtAddr `kernel:"current_work"`
	Rescue  vmem.VirtAddr `kernel:"rescue_wq"` // of a rescuer
	ID      int32         `kernel:"id"`
	Desc    [64]byte      `kernel:"desc"` // what it works on
}

// A workerPool is struct worker_pool of kernel/workqueue.c.
type workerPool struct {
	CPU   int32         `kernel:"cpu"` // -1 for one that is bound to no CPU
	ID    int32         `kernel:"id"`
	Attrs vmem.VirtAddr `kernel:"attrs"`
}

// A workqueue is struct workqueue_struct of kernel/workqueue.c.
type workqueue struct {
	Name [64]byte `kernel:"name"`
}

type kthreadViews struct {
	kthread *kstruct.View[kthread]
	err     error

	worker    *kstruct.View[worker]
	pool      *kstruct.View[workerPool]
	nice      *kstruct.Field[int32]
	queue     *kstruct.View[workqueue]
	whole     bool // names of workers are shown whole
	workerErr error
}

func bindKthread(types *isf.File) (v kthreadViews) {
	b := kstruct.NewBinder(types)
	v.kthread = kstruct.Bind[kthread](b, "kthread")
	v.err = b.Err()
	b = kstruct.NewBinder(types)
	v.worker = kstruct.Bind[worker](b, "worker")
	v.pool = kstruct.Bind[workerPool](b, "worker_pool")
	v.nice = kstruct.BindField[int32](b, "workqueue_attrs", "nice")
	v.queue = kstruct.Bind[workqueue](b, "workqueue_struct")
	v.whole = kstruct.BindMember(b, "worker", "desc").Size() >= wideDesc
	v.workerErr = b.Err()
	return v
}

// procComm returns the name that /proc/PID/comm shows: task_struct.comm, but for
// kernel threads their full name, and for workers what they work on (proc_task_name
// and wq_worker_comm of kernel/workqueue.c). Where that can't be read, comm stands, and
// an error says so.
func (k *Kernel) procComm(t *taskStruct) (string, error) {
	comm := text(t.Comm[:])
	if t.Flags&(pfKthread|pfWQWorker) == 0 || t.Kthread == 0 { // kthreadd and the idle tasks have none
		return comm, nil
	}
	v := &k.views.kthread
	kt, err := v.kthread.Load(k.space, t.Kthread)
	if err != nil {
		return comm, cause(err, v.err)
	}
	name := comm
	switch {
	case t.Flags&pfWQWorker != 0 && kt.Data != 0:
		name, err = k.workerComm(comm, kt.Data)
		err = cause(err, v.workerErr)
	case t.Flags&pfWQWorker == 0 && kt.FullName != 0:
		name, err = k.space.CString(kt.FullName, commMax)
	}
	if err != nil {
		return comm, err
	}
	return name[:min(len(name), commMax-1)], nil
}

// workerComm follows wq_worker_comm of kernel/workqueue.c.
func (k *Kernel) workerComm(comm string, addr vmem.VirtAddr) (string, error) {
	v := &k.views.kthread
	w, err := v.worker.Load(k.space, addr)
	if err != nil {
		return "", err
	}
	name := comm
	if v.whole {
		if name, err = k.workerID(&w); err != nil {
			return "", err
		}
	}
	desc := text(w.Desc[:])
	switch {
	case w.Pool == 0 || desc == "":
		return name, nil
	case w.Current != 0:
		return name + "+" + desc, nil
	}
	return name + "-" + desc, nil
}

// workerID follows format_worker_id of kernel/workqueue.c. Kernels without it show
// task_struct.comm, which has the same form from 6.6 on, but cut to 15 bytes.
func (k *Kernel) workerID(w *worker) (string, error) {
	v := &k.views.kthread
	if w.Rescue != 0 {
		q, err := v.queue.Load(k.space, w.Rescue)
		return "kworker/R-" + text(q.Name[:]), err
	}
	if w.Pool == 0 {
		return "kworker/dying", nil
	}
	p, err := v.pool.Load(k.space, w.Pool)
	if err != nil {
		return "", err
	}
	if p.CPU < 0 {
		return fmt.Sprintf("kworker/u%d:%d", p.ID, w.ID), nil
	}
	name := fmt.Sprintf("kworker/%d:%d", p.CPU, w.ID)
	nice, err := v.nice.Load(k.space, p.Attrs)
	if nice < 0 {
		name += "H"
	}
	return name, err
}
