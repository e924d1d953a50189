package ipc

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/vmem"
	"github.com/nodelens/nodelens/vmem/x86"
)

// A Reader reads the IPC objects of one kernel. It is immutable and safe for concurrent use.
type Reader struct {
	k     *linux.Kernel
	mem   *vmem.AddressSpace
	views *views
}

// New returns a Reader. What the kernel's types lack is an error of what needs it.
func New(k *linux.Kernel) *Reader {
	return &Reader{k: k, mem: k.Space(), views: bindViews(k.Symbols())}
}

// A Namespace is an IPC namespace (struct ipc_namespace), with all that is in it by ascending identifier. Lists are empty, not nil.
type Namespace struct {
	Inum       uint32        `json:"inum"`
	PIDs       []int32       `json:"pids"` // of the processes in it
	Shm        []Shm         `json:"shm"`
	Sem        []Sem         `json:"sem"`
	Msg        []Msg         `json:"msg"`
	Queues     []Queue       `json:"queues"` // of POSIX
	Address    vmem.VirtAddr `json:"address"`
	Incomplete bool          `json:"incomplete"` // some of it could not be read
}

// Perm is who may use an object of System V (struct kern_ipc_perm of include/linux/ipc.h).
type Perm struct {
	Key  int32  `json:"key"`
	ID   int32  `json:"id"`
	Mode uint16 `json:"mode"`
	UID  uint32 `json:"uid"` // of the owner; users are as the initial user namespace has them
	GID  uint32 `json:"gid"`
	CUID uint32 `json:"cuid"` // of who created it
	CGID uint32 `json:"cgid"`
}

// A permStruct is struct kern_ipc_perm.
type permStruct struct {
	Key     int32  `kernel:"key"`
	ID      int32  `kernel:"id"`
	Mode    uint16 `kernel:"mode"`
	UID     uint32 `kernel:"uid.val"`
	GID     uint32 `kernel:"gid.val"`
	CUID    uint32 `kernel:"cuid.val"`
	CGID    uint32 `kernel:"cgid.val"`
	Deleted uint8  `kernel:"deleted"`
}

func (p *permStruct) perm() Perm { return Perm{p.Key, p.ID, p.Mode, p.UID, p.GID, p.CUID, p.CGID} }

type views struct {
	nsproxy *kstruct.Field[vmem.VirtAddr] // of task_struct
	ipc     *kstruct.Field[vmem.VirtAddr] // of nsproxy
	inum    *kstruct.Field[uint32]
	ids     [3]kstruct.Member // ids[i].ipcs_idr of ipc_namespace
	perm    *kstruct.View[permStruct]
	pid     *kstruct.Field[int32] // numbers[0].nr of struct pid
	err     error

	shm shmViews
	sem semViews
	msg msgViews
	mq  mqViews
}

func bindViews(types *isf.File) *views {
	v := new(views)
	b := kstruct.NewBinder(types)
	v.nsproxy = kstruct.BindField[vmem.VirtAddr](b, "task_struct", "nsproxy")
	v.ipc = kstruct.BindField[vmem.VirtAddr](b, "nsproxy", "ipc_ns")
	v.inum = kstruct.BindField[uint32](b, "ipc_namespace", "ns.inum")
	for i := range v.ids {
		v.ids[i] = kstruct.BindMember(b, "ipc_namespace", fmt.Sprintf("ids[%d].ipcs_idr", i))
	}
	v.perm = kstruct.Bind[permStruct](b, "kern_ipc_perm")
	v.pid = kstruct.BindField[int32](b, "pid", "numbers[0].nr")
	v.err = b.Err()
	v.shm, v.sem, v.msg, v.mq = bindShm(types), bindSem(types), bindMsg(types), bindMQ(types)
	return v
}

func corrupt(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{kstruct.ErrCorrupt}, args...)...)
}

// cause returns err, and where it says no more than that something was not bound, what the types lack.
func cause(err, lacks error) error {
	if err != nil && lacks != nil && errors.Is(err, kstruct.ErrUnsupported) {
		return lacks
	}
	return err
}

func plausible(a vmem.VirtAddr) bool { return x86.IsObject(a) }

// maxObjects bounds the objects of one kind in a namespace (IPCMNI_EXTEND of ipc/util.h), and the messages of a queue.
const maxObjects = 1 << 24

func (r *Reader) walk(ctx context.Context, object string) *kstruct.Walk {
	return r.k.Objects().Walk(ctx, &kstruct.WalkOptions{Object: object, Nodes: maxObjects})
}

// The places of kinds in ipc_namespace.ids (ipc/util.h).
const (
	semIDs = iota
	msgIDs
	shmIDs
)

// Namespaces yields the IPC namespaces of tasks, in the order in which they lead to them. Errors are [vmem.Gap], come before the namespace that
// is Incomplete by them, and do not end the walk; the context's own does.
func (r *Reader) Namespaces(ctx context.Context, tasks []*linux.Task) iter.Seq2[*Namespace, error] {
	return func(yield func(*Namespace, error) bool) {
		if r.views.err != nil {
			yield(nil, vmem.NewGap("IPC namespaces", vmem.Place{}, r.views.err))
			return
		}
		var order []vmem.VirtAddr
		pids := map[vmem.VirtAddr][]int32{}
		for _, t := range tasks {
			at, err := r.namespaceOf(t)
			if err != nil && !yield(nil, vmem.NewGap("IPC namespace of "+t.String(), vmem.KernelPlace(t.Addr), err)) {
				return
			}
			if at == 0 {
				continue
			}
			if pids[at] == nil {
				order = append(order, at)
			}
			pids[at] = append(pids[at], t.PID)
		}
		for _, at := range order {
			ns := &Namespace{Address: at, PIDs: pids[at], Shm: []Shm{}, Sem: []Sem{}, Msg: []Msg{}, Queues: []Queue{}}
			slices.Sort(ns.PIDs)
			goOn := true
			r.namespace(ctx, ns, func(object string, err error) {
				ns.Incomplete = true
				if goOn && ctx.Err() == nil {
					goOn = yield(nil, vmem.NewGap(object, vmem.KernelPlace(at), err))
				}
			})
			if ctx.Err() != nil {
				yield(nil, ctx.Err())
				return
			}
			if !goOn || !yield(ns, nil) {
				return
			}
		}
	}
}

// namespaceOf returns the IPC namespace of a task, 0 for one that has ended.
func (r *Reader) namespaceOf(t *linux.Task) (vmem.VirtAddr, error) {
	proxy, err := r.views.nsproxy.Load(r.mem, t.Addr)
	if err != nil || proxy == 0 {
		return 0, err
	}
	at, err := r.views.ipc.Load(r.mem, proxy)
	if err == nil && !plausible(at) {
		return 0, corrupt("ipc_namespace pointer %v", at)
	}
	return at, err
}

// namespace reads all that is in a namespace. lost is told what could not be read.
func (r *Reader) namespace(ctx context.Context, ns *Namespace, lost func(object string, err error)) {
	var err error
	if ns.Inum, err = r.views.inum.Load(r.mem, ns.Address); err != nil {
		lost("IPC namespace", err)
		return
	}
	name := fmt.Sprintf(" of IPC namespace %d", ns.Inum)
	for _, kind := range []struct {
		object string
		id     int
		read   func(at vmem.VirtAddr, p Perm) error
	}{
		{"shared memory" + name, shmIDs, func(at vmem.VirtAddr, p Perm) error {
			s, err := r.readShm(at, p)
			ns.Shm = append(ns.Shm, s)
			return err
		}},
		{"semaphores" + name, semIDs, func(at vmem.VirtAddr, p Perm) error {
			s, err := r.readSem(at, p)
			ns.Sem = append(ns.Sem, s)
			return err
		}},
		{"message queues" + name, msgIDs, func(at vmem.VirtAddr, p Perm) error {
			m, err := r.readMsg(ctx, at, p)
			ns.Msg = append(ns.Msg, m)
			return err
		}},
	} {
		for e, err := range r.walk(ctx, kind.object).IDR(r.views.ids[kind.id].Of(ns.Address)) {
			var p permStruct
			if err == nil {
				p, err = r.views.perm.Load(r.mem, e.Ptr)
			}
			if err == nil && p.Deleted == 0 { // one that is being taken away is none
				err = kind.read(e.Ptr, p.perm())
			}
			if err != nil {
				lost(kind.object, err)
			}
		}
	}
	r.readQueues(ctx, ns, func(err error) { lost("POSIX message queues"+name, err) })
}

// pidOf returns the number of a struct pid in the initial namespace, 0 for none.
func (r *Reader) pidOf(at vmem.VirtAddr) (int32, error) {
	if at == 0 {
		return 0, nil
	}
	if !plausible(at) {
		return 0, corrupt("struct pid pointer %v", at)
	}
	return r.views.pid.Load(r.mem, at)
}
