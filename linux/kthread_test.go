package linux

import (
	"errors"
	"testing"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// widened returns types whose worker.desc has so many bytes, as 6.10 widened it.
func widened(t *testing.T, types *isf.File) *isf.File {
	t.Helper()
	return changed(t, types, func(u *isf.UserType) {
		for i, f := range u.Fields {
			if f.Name == "desc" {
				u.Fields[i].Type = &isf.Type{Kind: isf.KindArray, Elem: f.Type.Elem, Count: 32}
			}
		}
	}, "worker")
}

// A workerTest is a kernel worker, and the names that kernels show for it.
type workerTest struct {
	name, comm       string
	rescuer, current bool
	pool             bool
	cpu, poolID, id  int32
	nice             int32
	desc             string
	cut, whole       string // what kernels show before 6.10, and since
}

var workerTests = []workerTest{
	{name: "of a CPU", comm: "kworker/1:2", pool: true, cpu: 1, id: 2, cut: "kworker/1:2", whole: "kworker/1:2"},
	{name: "of high priority, at work", comm: "kworker/0:1H", pool: true, id: 1, nice: -20, current: true, desc: "kblockd",
		cut: "kworker/0:1H+kblockd", whole: "kworker/0:1H+kblockd"},
	{name: "of no CPU, after work", comm: "kworker/u4:12", pool: true, cpu: -1, poolID: 4, id: 12, desc: "events_unbound",
		cut: "kworker/u4:12-events_unbound", whole: "kworker/u4:12-events_unbound"},
	{name: "with a name that is cut", comm: "kworker/u1024:1", pool: true, cpu: -1, poolID: 1024, id: 123,
		cut: "kworker/u1024:1", whole: "kworker/u1024:123"},
	{name: "a rescuer of 6.6 and later", comm: "kworker/R-xfs-c", rescuer: true, cut: "kworker/R-xfs-c", whole: "kworker/R-xfs-conv/nvme0n1p1"},
	{name: "a rescuer of before", comm: "xfs-conv/nvme0n", rescuer: true, cut: "xfs-conv/nvme0n", whole: "kworker/R-xfs-conv/nvme0n1p1"},
	{name: "a rescuer that rescues", comm: "kworker/R-xfs-c", rescuer: true, pool: true, current: true, desc: "xfs-conv",
		cut: "kworker/R-xfs-c+xfs-conv", whole: "kworker/R-xfs-conv/nvme0n1p1+xfs-conv"},
	{name: "that ends", comm: "kworker/dying", desc: "events", cut: "kworker/dying", whole: "kworker/dying"},
	{name: "that has lost its pool", comm: "kworker/3:1", desc: "events", cut: "kworker/3:1", whole: "kworker/dying"},
}

// Where the test keeps what belongs to a worker.
const (
	kthreadAt = 0x1000
	workerAt  = 0x2000
	poolAt    = 0x3000
	attrsAt   = 0x4000
	queueAt   = 0x5000
)

func (tt *workerTest) build(k *testKernel) *taskStruct {
	k.set(kthreadAt, "kthread", "data", at(workerAt))
	k.set(workerAt, "worker", "id", uint64(tt.id))
	k.set(workerAt, "worker", "task", at(taskAt))
	k.setText(workerAt, "worker", "desc", tt.desc)
	if tt.pool {
		k.set(workerAt, "worker", "pool", at(poolAt))
		k.set(poolAt, "worker_pool", "cpu", uint64(tt.cpu))
		k.set(poolAt, "worker_pool", "id", uint64(tt.poolID))
		k.set(poolAt, "worker_pool", "attrs", at(attrsAt))
		k.set(attrsAt, "workqueue_attrs", "nice", uint64(tt.nice))
	}
	if tt.current {
		k.set(workerAt, "worker", "current_work", at(0x6000))
	}
	if tt.rescuer {
		k.set(workerAt, "worker", "rescue_wq", at(queueAt))
		k.setText(queueAt, "workqueue_struct", "name", "xfs-conv/nvme0n1p1")
	}
	s := &taskStruct{taskHead: taskHead{Flags: pfKthread | pfWQWorker}, taskLate: taskLate{Kthread: base + kthreadAt}}
	copy(s.Comm[:], tt.comm)
	return s
}

// Whether names are cut is told by the size of worker.desc.
func TestWorkerNames(t *testing.T) {
	types := openBundled(t).symbols
	wide := widened(t, types)
	for _, tt := range workerTests {
		for _, kernel := range []struct {
			types *isf.File
			want  string
		}{{types, tt.cut}, {wide, tt.whole}} {
			k := newTestKernelOf(t, kernel.types)
			if got, err := k.procComm(base+taskAt, tt.build(k)); got != kernel.want || err != nil {
				t.Errorf("a worker %s: %q, %v, want %q", tt.name, got, err, kernel.want)
			}
		}
	}
}

func TestKthreadNames(t *testing.T) {
	k := newTestKernel(t)
	k.set(kthreadAt, "kthread", "full_name", at(0x7000))
	k.text(0x7000, "a kernel thread with quite a long name, longer than the sixty-four bytes")
	named := func(flags uint32, kthread vmem.VirtAddr) *taskStruct {
		s := &taskStruct{taskHead: taskHead{Flags: flags}, taskLate: taskLate{Kthread: kthread}}
		copy(s.Comm[:], "a kernel thread")
		return s
	}
	for _, tt := range []struct {
		name string
		task *taskStruct
		want string
		err  error
	}{
		{"a program", named(0, base+kthreadAt), "a kernel thread", nil},
		{"a kernel thread", named(pfKthread, base+kthreadAt), "a kernel thread with quite a long name, longer than the sixty-f", nil},
		{"kthreadd", named(pfKthread, 0), "a kernel thread", nil},
		{"a worker without its data", named(pfKthread|pfWQWorker, base+kthreadAt), "a kernel thread", kstruct.ErrCorrupt},
		{"what leads nowhere", named(pfKthread, base+1<<20), "a kernel thread", vmem.ErrNotCaptured},
	} {
		got, err := k.procComm(base+taskAt, tt.task)
		if got != tt.want || !errors.Is(err, tt.err) {
			t.Errorf("%s: %q, %v, want %q, %v", tt.name, got, err, tt.want, tt.err)
		}
	}
	k.set(kthreadAt, "kthread", "data", at(1<<20))
	k.reopen()
	if got, err := k.procComm(base+taskAt, named(pfKthread|pfWQWorker, base+kthreadAt)); got != "a kernel thread" || !errors.Is(err, vmem.ErrNotCaptured) {
		t.Errorf("a worker that is lost: %q, %v", got, err)
	}
}

// What can't be the name of a kernel thread is not taken for it. Where comm is not full it
// is the whole name, and nothing is lost.
func TestKthreadDamage(t *testing.T) {
	const long = "kworker/R-xfs-conv/nvme0n1p1" // of the rescuer that the tests have
	for _, tt := range []struct {
		name, comm string
		worker     bool
		change     func(*testKernel)
		want       string
		err        error
	}{
		{"another full name", "a_kernel_thread", false, func(k *testKernel) { k.text(0x7000, "some other thread") }, "a_kernel_thread", kstruct.ErrCorrupt},
		{"another full name", "short", false, func(k *testKernel) { k.text(0x7000, "some other thread") }, "short", nil},
		{"a page of zeros", "a_kernel_thread", false, func(k *testKernel) { k.mem.Zero(0x200000+kthreadAt, 4096) }, "a_kernel_thread", kstruct.ErrCorrupt},
		{"a name that is just full", "a_kernel_thread", false, func(k *testKernel) {
			k.mem.Zero(0x200000+kthreadAt, 4096)
			k.link(k.offset(kthreadAt, "kthread", "exited.wait.task_list"))
		}, "a_kernel_thread", nil},
		{"worker of another task", "kworker/R-xfs-c", true, func(k *testKernel) { k.set(workerAt, "worker", "task", at(0x800)) }, "kworker/R-xfs-c", kstruct.ErrCorrupt},
		{"work of any bytes", "kworker/R-xfs-c", true, func(k *testKernel) { k.setText(workerAt, "worker", "desc", "\x01\xff") }, "kworker/R-xfs-c", kstruct.ErrCorrupt},
		{"workqueue of another name", "kworker/R-xfs-c", true, func(k *testKernel) { k.setText(queueAt, "workqueue_struct", "name", "netns") }, long, nil},
		{"workqueue and full name of others", "kworker/R-xfs-c", true, func(k *testKernel) {
			k.setText(queueAt, "workqueue_struct", "name", "netns")
			k.text(0x7000, "kworker/R-netns")
		}, "kworker/R-xfs-c", kstruct.ErrCorrupt},
	} {
		k := newTestKernelOf(t, widened(t, openBundled(t).symbols))
		w := workerTest{comm: tt.comm, rescuer: true}
		s := w.build(k)
		k.set(kthreadAt, "kthread", "full_name", at(0x7000))
		k.text(0x7000, long)
		if !tt.worker {
			s.Flags = pfKthread
			k.text(0x7000, tt.comm+" and more")
		}
		tt.change(k)
		if got, err := k.procComm(base+taskAt, s); got != tt.want || !errors.Is(err, tt.err) {
			t.Errorf("%s: %q, %v, want %q, %v", tt.name, got, err, tt.want, tt.err)
		}
	}
}
