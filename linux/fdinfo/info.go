package fdinfo

import (
	"context"
	"fmt"
	"strings"

	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/vmem"
)

// closeOnExec is O_CLOEXEC of include/uapi/asm-generic/fcntl.h.
const closeOnExec = 0o2000000

// Info is what there is to say of a descriptor beyond its path.
type Info struct {
	linux.FD
	Pos     int64         `json:"pos"`
	Flags   uint32        `json:"flags"` // O_ flags, with O_CLOEXEC of the descriptor (include/uapi/asm-generic/fcntl.h)
	MountID int32         `json:"mountID"`
	Inode   uint64        `json:"inode"`
	Locks   []Lock        `json:"locks"` // that are held by this descriptor
	Epoll   []EpollTarget `json:"epoll,omitempty"`
	Inotify []Watch       `json:"inotify,omitempty"`
	Notify  *Fanotify     `json:"fanotify,omitempty"`
	Eventfd *Eventfd      `json:"eventfd,omitempty"`
	Signals *uint64       `json:"signalfd,omitempty"` // the signals that it takes: bit n-1 for signal n
	Timerfd *Timerfd      `json:"timerfd,omitempty"`
	Pidfd   *Pidfd        `json:"pidfd,omitempty"`
	IOUring *IOUring      `json:"ioUring,omitempty"`
	SCMFDs  *int64        `json:"scmFDs,omitempty"` // of a unix socket: descriptors on the way to it; not those to sockets that it has not accepted
}

// kinds are the objects that are told in depth, by their paths.
var kinds = []struct {
	path string
	read func(*Reader, context.Context, *Info, *object) error
}{
	{"anon_inode:[eventpoll]", (*Reader).epoll},
	{"anon_inode:inotify", (*Reader).inotify},
	{"anon_inode:[fanotify]", (*Reader).fanotify},
	{"anon_inode:[eventfd]", (*Reader).eventfd},
	{"anon_inode:[signalfd]", (*Reader).signalfd},
	{"anon_inode:[timerfd]", (*Reader).timerfd},
	{"anon_inode:[pidfd]", (*Reader).pidfd},
	{"anon_inode:[io_uring]", (*Reader).ioUring},
	{"socket:[", (*Reader).unixSocket},
}

// An object is an open file as it is read.
type object struct {
	file  fileStruct
	inode inodeStruct
}

// Info tells of a descriptor of a task, as [linux.Task.Files] yields them. The error is the first loss, a [vmem.Gap], or the context's own; with it
// comes what could be read.
func (r *Reader) Info(ctx context.Context, t *linux.Task, fd linux.FD) (*Info, error) {
	what := fmt.Sprintf("descriptor %d of %v", fd.FD, t)
	info := &Info{FD: fd, Locks: []Lock{}}
	var o object
	var err error
	if o.file, o.inode, err = r.file(fd.Addr); err != nil {
		return info, lost(what, fd.Addr, err)
	}
	info.Pos, info.Flags, info.Inode = o.file.Pos, o.file.Flags, o.inode.Number
	if info.MountID, err = r.views.mntID.Load(r.mem, r.views.mnt.Container(o.file.Mount)); err != nil {
		err = lost(what, o.file.Mount, cause(err, r.views.err))
	}
	keep := func(e error) {
		if err == nil && e != nil {
			err = lost(what, fd.Addr, e)
		}
	}
	files, e := r.views.files.Load(r.mem, t.Addr)
	keep(e)
	set, e := r.closes(files, fd.FD)
	keep(e)
	if set {
		info.Flags |= closeOnExec
	}
	keep(r.heldBy(ctx, info, &o, files))
	for _, k := range kinds {
		if strings.HasPrefix(fd.Path, k.path) {
			keep(k.read(r, ctx, info, &o))
		}
	}
	return info, err
}

// closes reports whether a descriptor is closed by execve.
func (r *Reader) closes(files vmem.VirtAddr, fd int) (bool, error) {
	table, err := r.views.fdt.Load(r.mem, files)
	if err != nil {
		return false, err
	}
	bits, err := r.views.onExec.Load(r.mem, table)
	if err != nil {
		return false, err
	}
	word, err := r.mem.Uint64(bits + vmem.VirtAddr(fd/64*8))
	return word>>(fd%64)&1 != 0, err
}

// String returns the descriptor as /proc/PID/fdinfo of a kernel of 5.14 or later shows it, less what package documentation says. What is left of a timer is not in it.
func (i *Info) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "pos:\t%d\nflags:\t0%o\nmnt_id:\t%d\nino:\t%d\n", i.Pos, i.Flags, i.MountID, i.Inode)
	for n := range i.Locks {
		fmt.Fprintf(&b, "lock:\t%d: %v\n", n+1, &i.Locks[n])
	}
	for _, t := range i.Epoll {
		fmt.Fprintf(&b, "tfd: %8d events: %8x data: %16x  pos:%d ino:%x sdev:%x\n", t.FD, t.Events, t.Data, t.Pos, t.Inode, t.Device)
	}
	for _, w := range i.Inotify {
		fmt.Fprintf(&b, "inotify wd:%x ino:%x sdev:%x mask:%x ignored_mask:0 \n", w.WD, w.Inode, w.Device, w.Mask)
	}
	if f := i.Notify; f != nil {
		b.WriteString(f.String())
	}
	if e := i.Eventfd; e != nil {
		fmt.Fprintf(&b, "eventfd-count: %16x\neventfd-id: %d\neventfd-semaphore: %d\n", e.Count, e.ID, e.Flags&1)
	}
	if i.Signals != nil {
		fmt.Fprintf(&b, "sigmask:\t%016x\n", *i.Signals)
	}
	if t := i.Timerfd; t != nil {
		fmt.Fprintf(&b, "clockid: %d\nticks: %d\nsettime flags: 0%o\nit_interval: (%d, %d)\n", t.Clock, t.Ticks, t.SetFlags, int64(t.Interval/1e9), int64(t.Interval%1e9))
	}
	if p := i.Pidfd; p != nil {
		fmt.Fprintf(&b, "Pid:\t%d\nNSpid:", p.PID())
		for _, n := range p.Numbers {
			fmt.Fprintf(&b, "\t%d", n)
		}
		if len(p.Numbers) == 0 {
			b.WriteString("\t-1")
		}
		b.WriteByte('\n')
	}
	if u := i.IOUring; u != nil {
		b.WriteString(u.String())
	}
	if i.SCMFDs != nil {
		fmt.Fprintf(&b, "scm_fds: %d\n", *i.SCMFDs)
	}
	return b.String()
}
