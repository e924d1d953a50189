package cos

import (
	"context"
	"errors"
	"iter"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/vmem"
)

// ErrEnded is the reason of a gap where a process of a running machine ended while it was
// read, and its memory may have been given to another.
var ErrEnded = vmem.NewReason("ended", "ended while it was read")

// facts are what is read of one process, for the report and for its attribution.
type facts struct {
	Process
	task *linux.Task
	gaps []vmem.Gap

	// Of one process for each container and mount namespace.
	mounts []linux.Mount
	uts    string // node name of the UTS namespace
}

// lose adds err to the gaps, if it is one: not that a task has none of something.
func (f *facts) lose(err error) {
	if err != nil && !errors.Is(err, linux.ErrNone) {
		f.gaps = append(f.gaps, vmem.NewGap(f.task.String(), vmem.KernelPlace(f.Address), err))
	}
}

// processes reads all processes, by ascending PID. Gaps of the walk come first, then
// those of each process in turn.
func processes(ctx context.Context, k *linux.Kernel, s secrecy) ([]facts, *sealer, []vmem.Gap, error) {
	var tasks []*linux.Task
	var gaps []vmem.Gap
	for t, err := range k.Census(ctx) {
		switch {
		case ctx.Err() != nil:
			return nil, nil, nil, ctx.Err()
		case err != nil:
			gaps = append(gaps, vmem.NewGap("tasks", vmem.Place{}, err))
		default:
			tasks = append(tasks, t)
		}
	}
	seal := newSealer(k, tasks, s)
	all := make([]facts, len(tasks))
	budgets := newBudgets(k.Limits())
	parallel(len(tasks), func(i int) {
		if ctx.Err() == nil {
			all[i] = settle(k.Live(), func() facts { return readProcess(ctx, tasks[i], seal) })
			budgets.add(&all[i])
		}
	})
	all, lost := budgets.finish(all)
	return all, seal, append(gaps, lost...), ctx.Err()
}

// parallel calls do for each number below n, on all cores.
func parallel(n int, do func(int)) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(n, runtime.GOMAXPROCS(0)) {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < int64(n); i = next.Add(1) - 1 {
				do(int(i))
			}
		})
	}
	wg.Wait()
}

// readTries is how often what is read of a process of a running machine is read, if there
// are gaps in it: it may have changed on the way.
const readTries = 3

// settle returns what read does, of a running machine the try with the fewest gaps. That
// a process ended while it was read is then the one gap: nothing else is sure of it.
func settle(live bool, read func() facts) facts {
	f := read()
	if !live {
		return f
	}
	for try := 1; len(f.gaps) > 0 && try < readTries; try++ {
		if again := read(); len(again.gaps) < len(f.gaps) {
			f = again
		}
	}
	if f.task.Changed() {
		f.gaps = []vmem.Gap{{Object: f.task.String(), Place: vmem.KernelPlace(f.Address), Err: ErrEnded}}
	}
	return f
}

func readProcess(ctx context.Context, t *linux.Task, seal *sealer) facts {
	f := facts{task: t, Process: Process{
		PID: t.PID, PPID: t.PPID, Comm: t.Comm, State: t.State, KernelThread: t.KernelThread,
		StartTime: t.StartTime, Sources: t.Sources, Address: t.Addr,
	}}
	f.readMM(ctx, seal)
	f.readPaths()
	f.readIdentity()
	f.readThreads(ctx)
	f.readFiles(ctx)
	f.readCgroups(ctx)
	return f
}

func (f *facts) readMM(ctx context.Context, seal *sealer) {
	mm, err := f.task.MM()
	if err != nil {
		f.lose(err)
		return
	}
	args, env := all(f, mm.Args(ctx)), all(f, mm.Env(ctx))
	f.Args, f.ArgSecrets = seal.args(args, env)
	f.Env = seal.environment(env)
}

// all returns what a walk yields without an error, and loses the errors.
func all[T any](f *facts, walk iter.Seq2[T, error]) (found []T) {
	for t, err := range walk {
		f.lose(err)
		if err == nil {
			found = append(found, t)
		}
	}
	return found
}

func (f *facts) readPaths() {
	var err error
	f.Exe, err = f.task.Exe()
	f.lose(err)
	f.Cwd, err = f.task.Cwd()
	f.lose(err)
}

func (f *facts) readIdentity() {
	cred, err := f.task.Cred()
	f.lose(err)
	if err == nil {
		f.Cred = &cred
	}
	f.Namespaces, err = f.task.Namespaces()
	f.lose(err)
	f.NamespacedPIDs, err = f.task.NamespacedPIDs()
	f.lose(err)
}

func (f *facts) readThreads(ctx context.Context) {
	for _, t := range all(f, f.task.Threads(ctx)) {
		f.Threads = append(f.Threads, Thread{TID: t.PID, Comm: t.Comm, StartTime: t.StartTime})
	}
}

func (f *facts) readFiles(ctx context.Context) {
	for fd, err := range f.task.Files(ctx) {
		f.lose(err)
		if err == nil || fd.Addr != 0 {
			f.FDs = append(f.FDs, fd)
		}
	}
}

// readCgroups also says which pod and container the process is of.
func (f *facts) readCgroups(ctx context.Context) {
	f.Cgroups = all(f, f.task.CgroupPaths(ctx))
	if err := setCgroup(&f.Process); err != nil {
		f.gaps = append(f.gaps, vmem.Gap{Object: "cgroup of " + f.task.String(), Place: vmem.KernelPlace(f.Address), Err: err})
	}
}
