package integrity

import (
	"fmt"
	"maps"
	"slices"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/vmem"
)

// KthreadTable is [Hook].Table of the functions of kernel threads, and WorkTable that of work in queues.
const (
	KthreadTable = "kthreads"
	WorkTable    = "workqueue"
)

// taskWorker says that a task works for queues: PF_WQ_WORKER of include/linux/sched.h.
const taskWorker = 0x20

type kthreadViews struct {
	kthread  *kstruct.Field[vmem.VirtAddr] // of task_struct
	function *kstruct.Field[vmem.VirtAddr] // kthread.threadfn
	data     *kstruct.Field[vmem.VirtAddr] // kthread.data

	pool      *kstruct.Field[vmem.VirtAddr] // worker.pool
	now       *kstruct.Field[vmem.VirtAddr] // worker.current_func
	scheduled kstruct.Member                // worker.scheduled
	list      kstruct.Member                // worker_pool.worklist
	cpu       *kstruct.Field[int32]         // worker_pool.cpu
	poolSize  uint64
	entry     kstruct.Member                // work_struct.entry
	call      *kstruct.Field[vmem.VirtAddr] // work_struct.func
	queues    kstruct.Member                // workqueue_struct.list
	pwqs      kstruct.Member                // workqueue_struct.pwqs
	pwq       kstruct.Member                // pool_workqueue.pwqs_node
	inactive  kstruct.Member                // pool_workqueue.inactive_works
	err       error
}

func bindKthreads(types *isf.File) (v kthreadViews) {
	b := kstruct.NewBinder(types)
	v.kthread = kstruct.BindField[vmem.VirtAddr](b, "task_struct", "worker_private", "set_child_tid") // since 5.17
	v.function = kstruct.BindField[vmem.VirtAddr](b, "kthread", "threadfn")
	v.data = kstruct.BindField[vmem.VirtAddr](b, "kthread", "data")
	v.pool = kstruct.BindField[vmem.VirtAddr](b, "worker", "pool")
	v.now = kstruct.BindField[vmem.VirtAddr](b, "worker", "current_func")
	v.scheduled = kstruct.BindMember(b, "worker", "scheduled")
	v.list = kstruct.BindMember(b, "worker_pool", "worklist")
	v.cpu = kstruct.BindField[int32](b, "worker_pool", "cpu")
	v.entry = kstruct.BindMember(b, "work_struct", "entry")
	v.call = kstruct.BindField[vmem.VirtAddr](b, "work_struct", "func")
	v.queues = kstruct.BindMember(b, "workqueue_struct", "list")
	v.pwqs = kstruct.BindMember(b, "workqueue_struct", "pwqs")
	v.pwq = kstruct.BindMember(b, "pool_workqueue", "pwqs_node")
	v.inactive = kstruct.BindMember(b, "pool_workqueue", "inactive_works", "delayed_works") // since 5.15, and stable kernels
	if t, err := types.UserType("worker_pool"); err == nil {
		v.poolSize = t.Size
	}
	v.err = b.Err()
	return v
}

// readKthreads yields the functions of kernel threads (struct kthread of kernel/kthread.c), and of the work that is
// in queues or being done (kernel/workqueue.c).
func readKthreads(r *reader) {
	v := bindKthreads(r.k.Symbols())
	if v.err != nil {
		r.lost("kernel threads", 0, v.err)
		return
	}
	pools := map[vmem.VirtAddr]bool{}
	for _, t := range r.allTasks("kernel threads") {
		if t.KernelThread && !r.kthread(&v, t, pools) {
			return
		}
	}
	r.cpuPools(&v, pools)
	for _, pool := range slices.Sorted(maps.Keys(pools)) {
		if !r.works(&v, fmt.Sprintf("waiting in pool %v", pool), v.list.Of(pool)) {
			return
		}
	}
	r.inactiveWorks(&v)
}

// allTasks returns the processes that were given, or else all there are.
func (r *reader) allTasks(object string) []*linux.Task {
	if r.tasks != nil {
		return r.tasks
	}
	var tasks []*linux.Task
	for t, err := range r.k.Processes(r.ctx) {
		if err != nil {
			r.lost(object, 0, err)
			continue
		}
		tasks = append(tasks, t)
	}
	return tasks
}

// kthread yields the function of a kernel thread, and of a worker what it does. It adds the worker's pool to pools.
func (r *reader) kthread(v *kthreadViews, t *linux.Task, pools map[vmem.VirtAddr]bool) bool {
	at, err := v.kthread.Load(r.k.Space(), t.Addr)
	if err == nil && at == 0 {
		return true // of kthreadd, which is none itself, and of the idle tasks
	}
	var target, data vmem.VirtAddr
	if err == nil {
		target, err = v.function.Load(r.k.Space(), at)
	}
	if err == nil {
		data, err = v.data.Load(r.k.Space(), at)
	}
	name := fmt.Sprintf("%d %s", t.PID, t.Comm)
	if err != nil {
		return r.lost("kernel thread "+name, t.Addr, err)
	}
	if target == 0 { // of a thread that is about to end, or that user space shares
		return true
	}
	if !r.call(KthreadTable, name, at+vmem.VirtAddr(v.function.Offset()), at, target) || t.Flags&taskWorker == 0 || data == 0 {
		return !r.over
	}
	pool, err := v.pool.Load(r.k.Space(), data)
	var now vmem.VirtAddr
	if err == nil {
		now, err = v.now.Load(r.k.Space(), data)
	}
	if err != nil {
		return r.lost("worker "+name, data, err)
	}
	if pool != 0 {
		pools[pool] = true
	}
	if now != 0 {
		r.call(WorkTable, "done by "+name, data+vmem.VirtAddr(v.now.Offset()), data, now)
	}
	return !r.over && r.works(v, "scheduled by "+name, v.scheduled.Of(data))
}

// cpuPools adds the pools of the CPUs: one may have no worker that is known.
func (r *reader) cpuPools(v *kthreadViews, pools map[vmem.VirtAddr]bool) {
	const variable = "cpu_worker_pools"
	count := uint64(0)
	cpus, _ := r.k.Objects().CPUs() // the timers tell the loss
	for _, cpu := range cpus {
		at, typ, err := r.k.Objects().PerCPU(variable, cpu)
		if err != nil {
			return // the workers lead to them
		}
		if count == 0 {
			count = r.countOf(variable, typ, v.poolSize)
		}
		for i := range count {
			pool := at + vmem.VirtAddr(i*v.poolSize)
			if n, err := v.cpu.Load(r.k.Space(), pool); err == nil && int(n) == cpu {
				pools[pool] = true
			}
		}
	}
}

// works yields the functions of a list of work.
func (r *reader) works(v *kthreadViews, entry string, head vmem.VirtAddr) bool {
	for node, err := range r.walk("work " + entry).List(head) {
		at := v.entry.Container(node)
		var target vmem.VirtAddr
		if err == nil {
			target, err = v.call.Load(r.k.Space(), at)
		}
		if err != nil {
			if !r.lost("work "+entry, node, err) {
				return false
			}
			continue
		}
		if !r.call(WorkTable, entry+" "+r.symbols.Describe(at), at+vmem.VirtAddr(v.call.Offset()), at, target) {
			return false
		}
	}
	return true
}

// inactiveWorks yields the functions of work that waits until its queue may have more of it done.
func (r *reader) inactiveWorks(v *kthreadViews) {
	name := kstruct.NewBinder(r.k.Symbols())
	queueName := kstruct.BindMember(name, "workqueue_struct", "name")
	head, err := r.find(variable{"workqueues", []string{"destroy_workqueue", "workqueue_cpumask_store", "freeze_workqueues_begin", "thaw_workqueues"}, func(a vmem.VirtAddr) bool {
		next, ok := r.pointer(a)
		if !ok || !r.isList(a) || !queueName.Ok() || queueName.Type().Kind != isf.KindArray {
			return false
		}
		text, err := r.k.Space().CString(queueName.Of(v.queues.Container(next)), 64)
		return err == nil && printable(text)
	}})
	if err != nil {
		r.lost("work that is inactive", 0, err)
		return
	}
	w := r.walk("workqueues")
	for node, err := range w.List(head) {
		if err != nil {
			r.lost("workqueues", head, err)
			continue
		}
		for pwq, err := range w.List(v.pwqs.Of(v.queues.Container(node))) {
			if err != nil {
				r.lost("workqueues", node, err)
				continue
			}
			if !r.works(v, "inactive", v.inactive.Of(v.pwq.Container(pwq))) {
				return
			}
		}
	}
}
