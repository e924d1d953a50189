package linux

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// Where the tests keep namespaces.
const (
	pidAt   = 0x3000
	credAt  = 0x3400
	nsesAt  = 0x4000
	nsOpsAt = 0xf800 // proc_ns_operations
)

// newNamespaces returns a kernel with a task at level 1 of PID namespaces, and namespaces
// whose numbers are theirs in the list of types.
func newNamespaces(t *testing.T) *testKernel {
	k := newTestKernel(t)
	k.set(taskAt, "task_struct", "nsproxy", at(proxyAt+0x800))
	k.set(taskAt, "task_struct", "thread_pid", at(pidAt))
	k.set(taskAt, "task_struct", "real_cred", at(credAt))
	for i, member := range []string{"uts_ns", "ipc_ns", "mnt_ns", "net_ns", "time_ns", "cgroup_ns"} {
		k.set(proxyAt+0x800, "nsproxy", member, at(nsesAt+uint64(i)*0x1800))
	}
	k.set(pidAt, "pid", "level", 1)
	k.set(pidAt, "pid", "numbers[0].nr", 7)
	k.set(pidAt, "pid", "numbers[1].nr", 12)
	k.set(pidAt, "pid", "numbers[1].ns", at(nsesAt+nsPID*0x1800))
	k.set(credAt, "cred", "user_ns", at(nsesAt+nsUser*0x1800))
	for i, typ := range nsStructs {
		if i == nsNet {
			continue // struct net is larger than what is between them, so its number comes last
		}
		k.addNS(i, typ)
	}
	k.addNS(nsNet, "net")
	return k
}

// addNS writes a namespace of a type, with operations behind all namespaces.
func (k *testKernel) addNS(i int, typ string) {
	off, ops := nsesAt+uint64(i)*0x1800, nsOpsAt+uint64(i)*0x80
	k.set(off, typ, "ns.inum", nsInum+uint64(i))
	k.set(off, typ, "ns.ops", at(ops))
	k.set(ops, "proc_ns_operations", "name", at(ops+0x70))
	k.text(ops+0x70, []string{"uts", "ipc", "mnt", "net", "time", "cgroup", "pid", "user"}[i])
}

// nsInum is an inode number as namespaces have them.
const nsInum = 4026532000

func TestNamespaces(t *testing.T) {
	whole := Namespaces{
		UTS: nsInum, IPC: nsInum + 1, Mnt: nsInum + 2, Net: nsInum + 3, Time: nsInum + 4, Cgroup: nsInum + 5, PID: nsInum + 6, User: nsInum + 7,
	}
	lost := whole
	lost.UTS = 0
	zombie := Namespaces{PID: nsInum + 6, User: nsInum + 7}
	exiting := func(k *testKernel) { k.set(taskAt, "task_struct", "nsproxy", 0) }
	for _, tt := range []struct {
		name   string
		change func(*testKernel)
		want   Namespaces
		err    error
	}{
		{"whole", func(*testKernel) {}, whole, nil},
		{"a zombie", exiting, zombie, nil},
		{"no zombie, but without", func(k *testKernel) { exiting(k) }, zombie, kstruct.ErrCorrupt},
		{"one is zero", func(k *testKernel) { k.set(proxyAt+0x800, "nsproxy", "uts_ns", 0) }, lost, kstruct.ErrCorrupt},
		{"one is of another type", func(k *testKernel) { k.set(proxyAt+0x800, "nsproxy", "uts_ns", at(nsesAt+nsIPC*0x1800)) }, lost, kstruct.ErrCorrupt},
		{"one has other operations", func(k *testKernel) { k.set(nsesAt, "uts_namespace", "ns.ops", at(nsOpsAt+0x80)) }, lost, kstruct.ErrCorrupt},
		{"one has a number that none has", func(k *testKernel) { k.set(nsesAt, "uts_namespace", "ns.inum", 100) }, lost, kstruct.ErrCorrupt},
		{"one is lost, the others not", func(k *testKernel) { k.set(proxyAt+0x800, "nsproxy", "uts_ns", at(1<<20)) }, lost, vmem.ErrNotCaptured},
		{"nsproxy is lost", func(k *testKernel) { k.set(taskAt, "task_struct", "nsproxy", at(1<<20)) }, zombie, vmem.ErrNotCaptured},
	} {
		k := newNamespaces(t)
		tt.change(k)
		task := k.task(taskAt)
		if tt.name == "a zombie" {
			task.Flags = pfExiting
		}
		got, err := task.Namespaces()
		if d := cmp.Diff(tt.want, got); d != "" || !errors.Is(err, tt.err) {
			t.Errorf("%s: %v (-want +got):\n%s", tt.name, err, d)
		}
	}
}

func TestNamespacedPIDs(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*testKernel)
		want   []int32
		err    error
	}{
		{"whole", func(*testKernel) {}, []int32{7, 12}, nil},
		{"of another task", func(k *testKernel) { k.set(pidAt, "pid", "numbers[0].nr", 4711) }, nil, kstruct.ErrCorrupt},
		{"no pid", func(k *testKernel) { k.set(taskAt, "task_struct", "thread_pid", 0) }, nil, kstruct.ErrCorrupt},
		{"too deep", func(k *testKernel) { k.set(pidAt, "pid", "level", maxPIDLevel+1) }, nil, kstruct.ErrCorrupt},
		{"lost", func(k *testKernel) { k.set(taskAt, "task_struct", "thread_pid", at(1<<20)) }, nil, vmem.ErrNotCaptured},
		{"lost in part", func(k *testKernel) {
			k.set(taskAt, "task_struct", "thread_pid", at(64<<10-112)) // of which numbers[1] is beyond what was captured
			k.set(64<<10-112, "pid", "level", 1)
			k.set(64<<10-112, "pid", "numbers[0].nr", 7)
		}, nil, vmem.ErrNotCaptured},
	} {
		k := newNamespaces(t)
		tt.change(k)
		got, err := k.task(taskAt).NamespacedPIDs()
		if d := cmp.Diff(tt.want, got); d != "" || !errors.Is(err, tt.err) {
			t.Errorf("%s: %v (-want +got):\n%s", tt.name, err, d)
		}
	}
}

// Where the tests keep threads.
const (
	signalAt = 0x2800
	threadAt = 0x4000
)

// newThreads returns a kernel with a task of three threads, itself the first.
func newThreads(t *testing.T) *testKernel {
	k := newTestKernel(t)
	k.setTask(taskAt, 7)
	nodes := []uint64{k.offset(signalAt, "signal_struct", "thread_head"), k.offset(taskAt, "task_struct", "thread_node")}
	for i := range uint64(2) {
		off := threadAt + i*0x3000
		k.setTask(off, 8+i)
		k.setText(off, "task_struct", "comm", "thread")
		nodes = append(nodes, k.offset(off, "task_struct", "thread_node"))
	}
	k.set(signalAt, "signal_struct", "nr_threads", 3)
	k.set(signalAt, "signal_struct", "pids[1]", at(pidAt))
	k.set(pidAt, "pid", "numbers[0].nr", 7)
	k.link(nodes...)
	return k
}

// setTask makes what is at off a task of the thread group that the task at taskAt leads, and
// its child.
func (k *testKernel) setTask(off, pid uint64) {
	k.t.Helper()
	for path, value := range map[string]uint64{
		"pid": pid, "tgid": 7, "group_leader": at(taskAt), "real_parent": at(taskAt), "stack": at(0x8000), "signal": at(signalAt),
	} {
		k.set(off, "task_struct", path, value)
	}
	k.link(k.offset(off, "task_struct", "children"))
}

func TestThreads(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*testKernel)
		want   []int32
		gaps   []error
	}{
		{"whole", func(*testKernel) {}, []int32{7, 8, 9}, nil},
		{"of another group", func(k *testKernel) { k.set(threadAt, "task_struct", "tgid", 12) }, []int32{7, 9}, []error{kstruct.ErrCorrupt, ErrDisagree}},
		{"an untrue count", func(k *testKernel) { k.set(signalAt, "signal_struct", "nr_threads", 1<<31-1) }, []int32{7, 8, 9}, []error{ErrDisagree}},
		{"no task", func(k *testKernel) { k.set(threadAt, "task_struct", "pid", 0xffffffff) }, []int32{7, 9}, []error{kstruct.ErrCorrupt, ErrDisagree}},
		{"a parent that is lost", func(k *testKernel) { k.set(threadAt, "task_struct", "real_parent", at(1<<20)) }, []int32{7, 8, 9}, []error{kstruct.ErrCorrupt}},
		{"a name that is lost", func(k *testKernel) { k.set(threadAt, "task_struct", "signal", 0) }, []int32{7, 8, 9}, []error{kstruct.ErrCorrupt}},
		{"a name of another's", func(k *testKernel) { k.set(pidAt, "pid", "numbers[0].nr", 8) }, []int32{7, 8, 9}, []error{kstruct.ErrCorrupt, kstruct.ErrCorrupt}},
		{"a state that is lost", func(k *testKernel) { k.set(threadAt, "task_struct", "stack", 0) }, []int32{7, 8, 9}, []error{kstruct.ErrCorrupt}},
		{"no signal_struct", func(k *testKernel) { k.set(taskAt, "task_struct", "signal", 0) }, []int32{7}, []error{kstruct.ErrCorrupt}},
	} {
		k := newThreads(t)
		tt.change(k)
		threads, errs := collect(k.task(taskAt).Threads(t.Context()))
		var got []int32
		for _, thread := range threads {
			got = append(got, thread.PID)
		}
		if d := cmp.Diff(tt.want, got); d != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, d)
		}
		checkGaps(t, errs, tt.gaps...)
	}
	k := newThreads(t)
	for _, err := range k.task(taskAt).Threads(t.Context()) {
		if err != nil {
			t.Error(err)
		}
		break // a walk ends where its user ends it
	}
}

// A context that is done ends every walk with its error, and that is no Gap.
func TestCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	k := openBundled(t).k
	tasks, _ := walk(t, k)
	p := tasks[1]
	mm, err := p.MM()
	if err != nil {
		t.Fatal(err)
	}
	check := func(what string, found int, errs []error) {
		t.Helper()
		if found > 0 || len(errs) != 1 || errs[0] != context.Canceled { //nolint:errorlint // it is not wrapped
			t.Errorf("%s: %d found, errors %v", what, found, errs)
		}
	}
	processes, errs := collect(k.Processes(ctx))
	check("processes", len(processes), errs)
	threads, errs := collect(p.Threads(ctx))
	check("threads", len(threads), errs)
	files, errs := collect(p.Files(ctx))
	check("files", len(files), errs)
	mounts, errs := collect(p.Mounts(ctx))
	check("mounts", len(mounts), errs)
	cgroups, errs := collect(p.CgroupPaths(ctx))
	check("cgroups", len(cgroups), errs)
	vmas, errs := collect(mm.VMAs(ctx))
	check("mappings", len(vmas), errs)
	args, errs := collect(mm.Args(ctx))
	check("args", len(args), errs)
	env, errs := collect(mm.Env(ctx))
	check("env", len(env), errs)
	resources, errs := collect(k.IOMem(ctx))
	check("iomem", len(resources), errs)
}
