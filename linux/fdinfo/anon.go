package fdinfo

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// An EpollTarget is a file that an epoll waits for (struct epitem of fs/eventpoll.c).
type EpollTarget struct {
	FD     int32         `json:"fd"`     // the number under which it was added; the descriptor may be closed since
	Events uint32        `json:"events"` // EPOLL flags (include/uapi/linux/eventpoll.h)
	Data   uint64        `json:"data"`   // the program's own
	File   vmem.VirtAddr `json:"file"`   // struct file
	Pos    int64         `json:"pos"`
	Inode  uint64        `json:"inode"`
	Device uint32        `json:"device"`
}

// Eventfd is the state of an eventfd (struct eventfd_ctx of fs/eventfd.c).
type Eventfd struct {
	Count uint64 `json:"count"`
	Flags uint32 `json:"flags"` // EFD_ flags: bit 0 for a semaphore
	ID    int32  `json:"id"`
}

// Timerfd is the state of a timerfd (struct timerfd_ctx of fs/timerfd.c).
type Timerfd struct {
	Clock   int32         `json:"clock"`   // CLOCK_ number (include/uapi/linux/time.h)
	Expires time.Duration `json:"expires"` // on ExpiresOn, when it expires or expired; 0 if it was never set
	// ExpiresOn is the clock of Expires. It is another than Clock for CLOCK_REALTIME when it was set to a time from then on: setting the
	// clock is not to move that, so it is of CLOCK_MONOTONIC.
	ExpiresOn int32         `json:"expiresOn"`
	Interval  time.Duration `json:"interval"`
	Ticks     uint64        `json:"ticks"`    // how often it has expired since it was read
	SetFlags  uint16        `json:"setFlags"` // TFD_ flags
}

// Pidfd is the process that a pidfd leads to.
type Pidfd struct {
	Numbers []int32 `json:"numbers"` // in its PID namespaces, from the initial one on; empty for one that was reaped
}

// PID returns the number in the initial namespace, -1 for a process that was reaped.
func (p *Pidfd) PID() int32 {
	if len(p.Numbers) == 0 {
		return -1
	}
	return p.Numbers[0]
}

// IOUring is the state of a ring of io_uring (struct io_ring_ctx).
type IOUring struct {
	Flags   uint32 `json:"flags"` // IORING_SETUP_ flags
	SQMask  uint32 `json:"sqMask"`
	SQHead  uint32 `json:"sqHead"`
	SQTail  uint32 `json:"sqTail"`
	CQMask  uint32 `json:"cqMask"`
	CQHead  uint32 `json:"cqHead"`
	CQTail  uint32 `json:"cqTail"`
	Files   uint32 `json:"files"` // how many are registered
	Buffers uint32 `json:"buffers"`
}

// String returns the lines of fdinfo.
func (u *IOUring) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "SqMask:\t%#x\nSqHead:\t%d\nSqTail:\t%d\nCqMask:\t%#x\nCqHead:\t%d\nCqTail:\t%d\n", u.SQMask, u.SQHead, u.SQTail, u.CQMask, u.CQHead, u.CQTail)
	fmt.Fprintf(&b, "SQEs:\t%d\nCQEs:\t%d\nUserFiles:\t%d\nUserBufs:\t%d\n", u.SQTail-u.SQHead, u.CQTail-u.CQHead, u.Files, u.Buffers)
	return b.String()
}

type epollItem struct {
	File   vmem.VirtAddr `kernel:"ffd.file"`
	FD     int32         `kernel:"ffd.fd"`
	Events uint32        `kernel:"event.events"`
	Data   uint64        `kernel:"event.data"`
}

type eventfdCtx struct {
	Count uint64 `kernel:"count"`
	Flags uint32 `kernel:"flags"`
	ID    int32  `kernel:"id"`
}

type timerfdCtx struct {
	Base     vmem.VirtAddr `kernel:"t.tmr.base"`
	Expires  int64         `kernel:"t.tmr.node.expires"`
	Alarm    int64         `kernel:"t.alarm.node.expires"`
	Interval int64         `kernel:"tintv"`
	Ticks    uint64        `kernel:"ticks"`
	Clock    int32         `kernel:"clockid"`
	SetFlags uint16        `kernel:"settime_flags"`
}

// A ringCtx is struct io_ring_ctx, a ringState struct io_rings.
type ringCtx struct {
	Rings     vmem.VirtAddr `kernel:"rings"`
	SQEntries uint32        `kernel:"sq_entries"`
	CQEntries uint32        `kernel:"cq_entries"`
	Flags     uint32        `kernel:"flags"`
	Files     uint32        `kernel:"nr_user_files|file_table.data.nr"` // since 6.14 (3597f2786b68)
	Buffers   uint32        `kernel:"nr_user_bufs|buf_table.nr"`
}

type ringState struct {
	SQHead uint32 `kernel:"sq.head"`
	SQTail uint32 `kernel:"sq.tail"`
	CQHead uint32 `kernel:"cq.head"`
	CQTail uint32 `kernel:"cq.tail"`
}

type anonViews struct {
	item  *kstruct.View[epollItem]
	node  kstruct.Member // rbn of epitem
	tree  kstruct.Member // rbr of eventpoll
	epErr error

	eventfd *kstruct.View[eventfdCtx]
	timerfd *kstruct.View[timerfdCtx]
	base    *kstruct.Field[int32]  // clockid of hrtimer_clock_base
	sigmask *kstruct.Field[uint64] // of signalfd_ctx
	ring    *kstruct.View[ringCtx]
	rings   *kstruct.View[ringState]

	pidTask  *kstruct.Field[vmem.VirtAddr] // of struct pid: the first task
	pidLevel *kstruct.Field[uint32]
	numbers  kstruct.Member
	number   *kstruct.Field[int32]
}

func bindAnon(types *isf.File) (v anonViews) {
	b := kstruct.NewBinder(types)
	v.item = kstruct.Bind[epollItem](b, "epitem")
	v.node = kstruct.BindMember(b, "epitem", "rbn")
	v.tree = kstruct.BindMember(b, "eventpoll", "rbr")
	v.epErr = b.Err()
	b = kstruct.NewBinder(types)
	v.eventfd = kstruct.BindOptional[eventfdCtx](b, "eventfd_ctx")
	v.timerfd = kstruct.BindOptional[timerfdCtx](b, "timerfd_ctx")
	v.base = kstruct.BindOptionalField[int32](b, "hrtimer_clock_base", "clockid")
	v.sigmask = kstruct.BindOptionalField[uint64](b, "signalfd_ctx", "sigmask.sig[0]")
	v.ring = kstruct.BindOptional[ringCtx](b, "io_ring_ctx")
	v.rings = kstruct.BindOptional[ringState](b, "io_rings")
	v.pidTask = kstruct.BindOptionalField[vmem.VirtAddr](b, "pid", "tasks[0].first")
	v.pidLevel = kstruct.BindOptionalField[uint32](b, "pid", "level")
	v.numbers = kstruct.BindOptionalMember(b, "pid", "numbers[0]")
	v.number = kstruct.BindOptionalField[int32](b, "upid", "nr")
	return v
}

// maxItems bounds what one file leads to: the files of an epoll, the watches of an inotify, the locks of an inode.
const maxItems = 1 << 20

func (r *Reader) walk(ctx context.Context, object string) *kstruct.Walk {
	return r.objects.Walk(ctx, &kstruct.WalkOptions{Object: object, Nodes: maxItems})
}

func (r *Reader) epoll(ctx context.Context, info *Info, o *object) (first error) {
	v := &r.views.anon
	if v.epErr != nil {
		return v.epErr
	}
	info.Epoll = []EpollTarget{}
	for node, err := range r.walk(ctx, "files of an epoll").RBTreeCached(v.tree.Of(o.file.Private)) {
		var item epollItem
		if err == nil {
			item, err = v.item.Load(r.mem, v.node.Container(node))
		}
		t := EpollTarget{FD: item.FD, Events: item.Events, Data: item.Data, File: item.File}
		if err == nil {
			var f fileStruct
			var i inodeStruct
			if f, i, err = r.file(item.File); err == nil {
				t.Pos, t.Inode = f.Pos, i.Number
				t.Device, err = r.device(i.Super)
			}
		}
		if err != nil && first == nil {
			first = err
		}
		if t.File != 0 {
			info.Epoll = append(info.Epoll, t)
		}
	}
	return first
}

func (r *Reader) eventfd(_ context.Context, info *Info, o *object) error {
	e, err := r.views.anon.eventfd.Load(r.mem, o.file.Private)
	if err == nil {
		info.Eventfd = &Eventfd{e.Count, e.Flags, e.ID}
	}
	return err
}

func (r *Reader) signalfd(_ context.Context, info *Info, o *object) error {
	mask, err := r.views.anon.sigmask.Load(r.mem, o.file.Private)
	if err == nil {
		mask = ^mask // it is kept the other way around
		info.Signals = &mask
	}
	return err
}

// alarmClocks are CLOCK_REALTIME_ALARM and CLOCK_BOOTTIME_ALARM.
const alarmClocks = 8

func (r *Reader) timerfd(_ context.Context, info *Info, o *object) error {
	t, err := r.views.anon.timerfd.Load(r.mem, o.file.Private)
	if err != nil {
		return err
	}
	info.Timerfd = &Timerfd{Clock: t.Clock, Expires: time.Duration(t.Expires), ExpiresOn: t.Clock, Interval: time.Duration(t.Interval), Ticks: t.Ticks, SetFlags: t.SetFlags}
	if t.Clock >= alarmClocks {
		info.Timerfd.Expires = time.Duration(t.Alarm)
		return nil
	}
	info.Timerfd.ExpiresOn, err = r.views.anon.base.Load(r.mem, t.Base)
	return err
}

// pidfsMagic is PID_FS_MAGIC of include/uapi/linux/magic.h.
const pidfsMagic = 0x50494446

// maxLevel is MAX_PID_NS_LEVEL of include/linux/pid_namespace.h.
const maxLevel = 32

// pidfd: the struct pid is the file's own until 6.8, and its inode's since (cb12fd8e0dab).
func (r *Reader) pidfd(_ context.Context, info *Info, o *object) error {
	v := &r.views.anon
	pid := o.file.Private
	if magic, err := r.views.magic.Load(r.mem, o.inode.Super); err == nil && magic == pidfsMagic {
		pid = o.inode.Private
	}
	if !plausible(pid) {
		return corrupt("struct pid pointer %v", pid)
	}
	info.Pidfd = &Pidfd{Numbers: []int32{}}
	task, err := v.pidTask.Load(r.mem, pid)
	if err != nil || task == 0 {
		return err
	}
	level, err := v.pidLevel.Load(r.mem, pid)
	if err == nil && level > maxLevel {
		err = corrupt("struct pid %v at level %d", pid, level)
	}
	for i := uint64(0); err == nil && i <= uint64(level); i++ {
		var n int32
		if n, err = v.number.Load(r.mem, v.numbers.Of(pid)+vmem.VirtAddr(i*v.numbers.Size())); err == nil {
			info.Pidfd.Numbers = append(info.Pidfd.Numbers, n)
		}
	}
	return err
}

func (r *Reader) ioUring(_ context.Context, info *Info, o *object) error {
	c, err := r.views.anon.ring.Load(r.mem, o.file.Private)
	if err != nil {
		return err
	}
	s, err := r.views.anon.rings.Load(r.mem, c.Rings)
	if err != nil {
		return err
	}
	info.IOUring = &IOUring{
		Flags: c.Flags, SQMask: c.SQEntries - 1, CQMask: c.CQEntries - 1, SQHead: s.SQHead, SQTail: s.SQTail, CQHead: s.CQHead, CQTail: s.CQTail,
		Files: c.Files, Buffers: c.Buffers,
	}
	return nil
}

type socketViews struct {
	sk     *kstruct.Field[vmem.VirtAddr] // of socket
	family *kstruct.Field[uint16]        // of sock
	fds    *kstruct.Field[int32]         // of unix_sock
}

func bindSockets(types *isf.File) (v socketViews) {
	b := kstruct.NewBinder(types)
	v.sk = kstruct.BindOptionalField[vmem.VirtAddr](b, "socket", "sk")
	v.family = kstruct.BindOptionalField[uint16](b, "sock", "__sk_common.skc_family")
	v.fds = kstruct.BindOptionalField[int32](b, "unix_sock", "scm_stat.nr_fds.counter")
	return v
}

// familyUnix is AF_UNIX.
const familyUnix = 1

func (r *Reader) unixSocket(_ context.Context, info *Info, o *object) error {
	v := &r.views.sockets
	sk, err := v.sk.Load(r.mem, o.file.Private)
	if err != nil || sk == 0 || !v.fds.Ok() {
		return err
	}
	family, err := v.family.Load(r.mem, sk)
	if err != nil || family != familyUnix {
		return err
	}
	n, err := v.fds.Load(r.mem, sk)
	if err == nil {
		count := int64(n)
		info.SCMFDs = &count
	}
	return err
}
