package linux

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"

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
	Waiting  listHead      `kernel:"exited.wait.task_list,optional"`
}

// A worker is struct worker of kernel/workqueue_internal.h.
type worker struct {
	Pool    vmem.VirtAddr `kernel:"pool"` // 0 for one that ends
	Current vmem.VirtAddr `kernel:"current_work"`
	Rescue  vmem.VirtAddr `kernel:"rescue_wq"` // of a rescuer
	Task    vmem.VirtAddr `kernel:"task"`
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
	waiting kstruct.Member
	err     error

	worker    *kstruct.View[worker]
	pool      *kstruct.View[workerPool]
	nice      *kstruct.Field[int32]
	queue     *kstruct.View[workqueue]
	whole     bool // names of workers are shown whole
	workerErr error

	workers kstruct.Member // of worker_pool: the list of its workers
	node    kstruct.Member // of worker
	task    *kstruct.Field[vmem.VirtAddr]
	poolErr error
}

func bindKthread(types *isf.File) (v kthreadViews) {
	b := kstruct.NewBinder(types)
	v.kthread = kstruct.Bind[kthread](b, "kthread")
	v.waiting = kstruct.BindOptionalMember(b, "kthread", "exited.wait.task_list")
	v.err = b.Err()
	b = kstruct.NewBinder(types)
	v.worker = kstruct.Bind[worker](b, "worker")
	v.pool = kstruct.Bind[workerPool](b, "worker_pool")
	v.nice = kstruct.BindField[int32](b, "workqueue_attrs", "nice")
	v.queue = kstruct.Bind[workqueue](b, "workqueue_struct")
	v.whole = kstruct.BindMember(b, "worker", "desc").Size() >= wideDesc
	v.workerErr = b.Err()
	b = kstruct.NewBinder(types)
	v.workers = kstruct.BindMember(b, "worker_pool", "workers")
	v.node = kstruct.BindMember(b, "worker", "node")
	v.task = kstruct.BindField[vmem.VirtAddr](b, "worker", "task")
	v.poolErr = b.Err()
	return v
}

// procComm returns the name that /proc/PID/comm shows of the task at addr: task_struct.comm,
// but for kernel threads their full name, and for workers what they work on (proc_task_name
// and wq_worker_comm of kernel/workqueue.c). Where that can't be read, or can't be the
// name of this task, comm stands, and an error says so.
func (k *Kernel) procComm(addr vmem.VirtAddr, t *taskStruct) (string, error) {
	comm := text(t.Comm[:])
	if t.Flags&(pfKthread|pfWQWorker) == 0 || t.Kthread == 0 { // kthreadd and the idle tasks have none
		return comm, nil
	}
	v := &k.views.kthread
	kt, err := v.kthread.Load(k.space, t.Kthread)
	worker := t.Flags&pfWQWorker != 0
	if worker && !k.hasWorker(&kt, addr) {
		if at, ok := k.pooledWorker(addr); ok {
			kt, err = kthread{Data: at}, nil
		}
	}
	switch {
	case err != nil && !worker && len(comm) < commCut:
		return comm, nil // the full name is longer only where comm is full
	case err != nil:
		return comm, cause(err, v.err)
	}
	name, err := k.fullName(comm, t.Kthread, &kt)
	switch {
	case worker && kt.Data == 0:
		return comm, errPointer("worker", kt.Data)
	case worker:
		name, err = k.workerComm(addr, comm, name, kt.Data)
		err = cause(err, v.workerErr)
	}
	return name[:min(len(name), commMax-1)], err
}

// commCut is the length at which task_struct.comm ends: TASK_COMM_LEN-1.
const commCut = 15

// fullName returns the name that a kernel thread was made with, which comm is the first
// bytes of. With an error it is comm.
func (k *Kernel) fullName(comm string, addr vmem.VirtAddr, kt *kthread) (string, error) {
	v := &k.views.kthread
	if kt.FullName == 0 {
		if len(comm) == commCut && v.kthread.Has("FullName") && v.waiting.Ok() && !k.ringed(v.waiting.Of(addr), kt.Waiting) {
			return comm, fmt.Errorf("%w: kthread %v without a full name, and not in its list", kstruct.ErrCorrupt, addr)
		}
		return comm, nil
	}
	name, err := k.space.CString(kt.FullName, commMax)
	switch {
	case err == nil && strings.HasPrefix(name, comm):
		return name, nil
	case len(comm) < commCut:
		return comm, nil
	case err == nil:
		err = fmt.Errorf("%w: the full name %q", kstruct.ErrCorrupt, name)
	}
	return comm, err
}

// workerComm follows wq_worker_comm of kernel/workqueue.c for the worker of the task. full
// is the name that its thread was made with. With an error the name is as much as is known.
func (k *Kernel) workerComm(task vmem.VirtAddr, comm, full string, addr vmem.VirtAddr) (string, error) {
	v := &k.views.kthread
	w, err := v.worker.Load(k.space, addr)
	switch desc := text(w.Desc[:]); {
	case err != nil:
		return comm, err
	case w.Task != task || strings.ContainsFunc(desc, isNotPrint):
		return comm, fmt.Errorf("%w: worker %v of task %v works on %q", kstruct.ErrCorrupt, addr, w.Task, desc)
	default:
		name := comm
		if v.whole {
			name, err = k.workerName(comm, full, &w)
		}
		switch {
		case w.Pool == 0 || desc == "":
			return name, err
		case w.Current != 0:
			return name + "+" + desc, err
		}
		return name + "-" + desc, err
	}
}

func isNotPrint(r rune) bool { return !unicode.IsPrint(r) }

// workerName returns the name that format_worker_id of kernel/workqueue.c makes, which comm
// is the first bytes of, or what the thread was made with where that can't be: the same,
// but for one that ends.
func (k *Kernel) workerName(comm, full string, w *worker) (string, error) {
	name, err := k.workerID(w)
	switch {
	case err == nil && (w.Pool == 0 && w.Rescue == 0 || strings.HasPrefix(name, comm) || strings.HasPrefix(name, rescuer+comm)):
		return name, nil
	case len(full) > len(comm) || len(comm) < commCut:
		return full, nil
	case err == nil:
		err = fmt.Errorf("%w: the full name %q", kstruct.ErrCorrupt, name)
	}
	return comm, err
}

// rescuer is what names of workers begin with that are there in case no other can be made.
const rescuer = "kworker/R-"

// workerID follows format_worker_id of kernel/workqueue.c. Kernels without it show
// task_struct.comm, which has the same form from 6.6 on, but cut to 15 bytes.
func (k *Kernel) workerID(w *worker) (string, error) {
	v := &k.views.kthread
	if w.Rescue != 0 {
		q, err := v.queue.Load(k.space, w.Rescue)
		return rescuer + text(q.Name[:]), err
	}
	if w.Pool == 0 {
		return "kworker/dying", nil
	}
	p, err := v.pool.Load(k.space, w.Pool)
	if err != nil {
		return "", err
	}
	if p.CPU < 0 {
		return poolName("kworker/u", p.ID, w.ID), nil
	}
	name := poolName("kworker/", p.CPU, w.ID)
	nice, err := v.nice.Load(k.space, p.Attrs)
	if nice < 0 {
		name += "H"
	}
	return name, err
}

// poolName names a worker by the number of its pool or CPU and by its own.
func poolName(prefix string, pool, id int32) string {
	b := append(make([]byte, 0, commMax), prefix...)
	b = append(strconv.AppendInt(b, int64(pool), 10), ':')
	return string(strconv.AppendInt(b, int64(id), 10))
}
