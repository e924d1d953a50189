package fdinfo

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/vmem"
)

// A Lock is a lock of a file, or one that waits for it (struct file_lock, struct file_lease; /proc/locks).
type Lock struct {
	Kind    string        `json:"kind"`   // POSIX, OFDLCK, FLOCK, LEASE, DELEG, ACCESS
	State   string        `json:"state"`  // ADVISORY, or of a lease ACTIVE, BREAKING, BREAKER
	Access  string        `json:"access"` // READ, WRITE, UNLCK
	PID     int32         `json:"pid"`    // who took it, -1 for one of an open file
	Device  uint32        `json:"device"`
	Inode   uint64        `json:"inode"`
	Start   int64         `json:"start"` // bytes, inclusive
	End     int64         `json:"end"`   // inclusive; -1 to the end of the file
	Path    string        `json:"path" jsonx:"null"`
	Holders []Holder      `json:"holders"` // of the open file that it was taken with
	Waiters []Lock        `json:"waiters"`
	Address vmem.VirtAddr `json:"address"`

	file vmem.VirtAddr
}

// A Holder is a process that has an open file.
type Holder struct {
	PID int32 `json:"pid"`
	FD  int   `json:"fd"`
}

// String returns the lock as a line of /proc/locks, without its number.
func (l *Lock) String() string {
	end := fmt.Sprint(l.End)
	if l.End < 0 {
		end = "EOF"
	}
	file := fmt.Sprintf("%02x:%02x", l.Device>>20, l.Device&(1<<20-1))
	if l.Device == 0 && l.Inode == 0 { // of no file: who waits for a lease to be broken
		file = "<none>"
	}
	return fmt.Sprintf("%-6s %-9s %s %d %s:%d %d %s", l.Kind, l.State, l.Access, l.PID, file, l.Inode, l.Start, end)
}

// A lockStruct is struct file_lock, whose beginning is a struct file_lock_core of its own since 6.9 (a69ce85ec9af).
type lockStruct struct {
	Owner vmem.VirtAddr `kernel:"c.flc_owner|fl_owner"`
	Flags uint32        `kernel:"c.flc_flags|fl_flags"`
	Type  uint8         `kernel:"c.flc_type|fl_type"`
	PID   int64         `kernel:"c.flc_pid|fl_pid"`
	File  vmem.VirtAddr `kernel:"c.flc_file|fl_file"`
	Start int64         `kernel:"fl_start"`
	End   int64         `kernel:"fl_end"`
}

type lockViews struct {
	lock    *kstruct.View[lockStruct]
	link    kstruct.Member // of file_lock, in the list of its file
	blocked kstruct.Member // those that wait for it
	member  kstruct.Member // and their links
	lists   [3]kstruct.Member
	err     error
}

func bindLocks(types *isf.File) (v lockViews) {
	b := kstruct.NewBinder(types)
	v.lock = kstruct.Bind[lockStruct](b, "file_lock")
	v.link = kstruct.BindMember(b, "file_lock", "c.flc_list", "fl_list")
	v.blocked = kstruct.BindMember(b, "file_lock", "c.flc_blocked_requests", "fl_blocked_requests")
	v.member = kstruct.BindMember(b, "file_lock", "c.flc_blocked_member", "fl_blocked_member")
	for i, name := range []string{"flc_flock", "flc_posix", "flc_lease"} {
		v.lists[i] = kstruct.BindMember(b, "file_lock_context", name)
	}
	v.err = b.Err()
	return v
}

// Flags of locks (FL_ of include/linux/filelock.h, include/linux/fs.h before).
const (
	lockPOSIX     = 1
	lockFlock     = 2
	lockDeleg     = 4
	lockAccess    = 8
	lockLease     = 32
	lockDowngrade = 256
	lockUnlock    = 512
	lockOFD       = 1024
	lockLayout    = 2048
)

// accesses are the types of locks (F_RDLCK of include/uapi/asm-generic/fcntl.h).
var accesses = [...]string{"READ", "WRITE", "UNLCK"}

// locksOf reads the locks of an inode, by kinds as fdinfo does.
func (r *Reader) locksOf(ctx context.Context, i *inodeStruct, each func(*lockStruct, *Lock)) (first error) {
	v := &r.views.locks
	if i.Locks == 0 {
		return nil
	}
	if v.err != nil {
		return v.err
	}
	w := r.walk(ctx, "locks of a file")
	for _, list := range v.lists {
		for node, err := range w.List(list.Of(i.Locks)) {
			if err == nil {
				var l *Lock
				var s lockStruct
				if l, err = r.lock(w, v.link.Container(node), &s, 0); l != nil {
					each(&s, l)
				}
			}
			if err != nil && first == nil {
				first = err
			}
		}
	}
	return first
}

// maxWaiting bounds how many locks wait for one that waits, and so on: processes that all want a file for themselves do, each for
// the one before (__locks_insert_block of fs/locks.c).
const maxWaiting = 1000

// lock reads a lock and those that wait for it (lock_get_status of fs/locks.c).
func (r *Reader) lock(w *kstruct.Walk, at vmem.VirtAddr, s *lockStruct, depth int) (*Lock, error) {
	v := &r.views.locks
	var err error
	if *s, err = v.lock.Load(r.mem, at); err != nil {
		return nil, err
	}
	l := &Lock{PID: int32(s.PID), End: -1, Holders: []Holder{}, Waiters: []Lock{}, Address: at, file: s.File}
	access := s.Type
	switch {
	case s.Flags&lockPOSIX != 0:
		l.Kind, l.State, l.Start = "POSIX", "ADVISORY", s.Start
		if s.End != math.MaxInt64 {
			l.End = s.End
		}
		if s.Flags&lockAccess != 0 {
			l.Kind = "ACCESS"
		} else if s.Flags&lockOFD != 0 {
			l.Kind, l.PID = "OFDLCK", -1
		}
	case s.Flags&lockFlock != 0:
		l.Kind, l.State = "FLOCK", "ADVISORY"
	case s.Flags&(lockLease|lockDeleg|lockLayout) != 0:
		access = l.lease(s)
	default:
		return nil, corrupt("lock %v with the flags %#x", at, s.Flags)
	}
	if int(access) >= len(accesses) {
		return nil, corrupt("lock %v of the type %d", at, access)
	}
	l.Access = accesses[access]
	if s.File != 0 {
		var i inodeStruct
		if _, i, err = r.file(s.File); err == nil {
			l.Inode = i.Number
			l.Device, err = r.device(i.Super)
		}
	}
	for node, e := range w.List(v.blocked.Of(at)) {
		var waiter *Lock
		if e == nil && depth == maxWaiting {
			return l, cmp.Or(err, fmt.Errorf("%w: locks that wait for one another", kstruct.ErrTooMany))
		}
		if e == nil {
			waiter, e = r.lock(w, v.member.Container(node), new(lockStruct), depth+1)
		}
		if waiter != nil {
			l.Waiters = append(l.Waiters, *waiter)
		}
		if e != nil && err == nil {
			err = e
		}
	}
	return l, err
}

// lease tells of a lease, and returns what it becomes (target_leasetype).
func (l *Lock) lease(s *lockStruct) uint8 {
	l.Kind, l.State = "LEASE", "ACTIVE"
	if s.Flags&lockDeleg != 0 {
		l.Kind = "DELEG"
	}
	if s.File == 0 {
		l.State = "BREAKER"
	}
	switch {
	case s.Flags&lockUnlock != 0:
		l.State = "BREAKING"
		return 2
	case s.Flags&lockDowngrade != 0:
		l.State = "BREAKING"
		return 0
	}
	return s.Type
}

// heldBy tells which locks a descriptor has (show_fd_locks of fs/locks.c).
func (r *Reader) heldBy(ctx context.Context, info *Info, o *object, files vmem.VirtAddr) error {
	return r.locksOf(ctx, &o.inode, func(s *lockStruct, l *Lock) {
		if s.File == info.Addr && (s.Owner == files || s.Owner == info.Addr) {
			info.Locks = append(info.Locks, *l)
		}
	})
}

// Locks returns the locks of all files that tasks have open, as /proc/locks shows them, ordered by device and inode. gaps are what was lost; the error is the
// context's own.
func (r *Reader) Locks(ctx context.Context, tasks []*linux.Task) (locks []Lock, gaps []vmem.Gap, err error) {
	opened, gaps, err := r.opened(ctx, tasks)
	if err != nil {
		return nil, gaps, err
	}
	seen := map[vmem.VirtAddr]bool{}
	for _, f := range opened.order {
		file, inode, err := r.file(f)
		if err != nil {
			gaps = append(gaps, vmem.NewGap("locks of "+opened.paths[f], vmem.KernelPlace(f), err))
		}
		if err != nil || inode.Locks == 0 || seen[file.Inode] {
			continue
		}
		seen[file.Inode] = true
		err = r.locksOf(ctx, &inode, func(s *lockStruct, l *Lock) {
			l.Holders, l.Path = opened.holders[s.File], opened.paths[s.File]
			locks = append(locks, *l)
		})
		if ctx.Err() != nil {
			return nil, nil, ctx.Err()
		}
		if err != nil {
			gaps = append(gaps, vmem.NewGap("locks of "+opened.paths[f], vmem.KernelPlace(file.Inode), err))
		}
	}
	slices.SortStableFunc(locks, func(a, b Lock) int {
		return cmp.Or(cmp.Compare(a.Device, b.Device), cmp.Compare(a.Inode, b.Inode))
	})
	return locks, gaps, nil
}

// openFiles are the files that tasks have open.
type openFiles struct {
	order   []vmem.VirtAddr // struct file, as they were found
	holders map[vmem.VirtAddr][]Holder
	paths   map[vmem.VirtAddr]string
}

// opened returns all open files of tasks.
func (r *Reader) opened(ctx context.Context, tasks []*linux.Task) (o openFiles, gaps []vmem.Gap, err error) {
	o = openFiles{holders: map[vmem.VirtAddr][]Holder{}, paths: map[vmem.VirtAddr]string{}}
	for _, t := range tasks {
		for fd, err := range t.Files(ctx) {
			if ctx.Err() != nil {
				return o, gaps, ctx.Err()
			}
			if err != nil {
				gaps = append(gaps, vmem.NewGap("open files of "+t.String(), vmem.Place{}, err))
			}
			if fd.Addr == 0 {
				continue
			}
			if o.holders[fd.Addr] == nil {
				o.order = append(o.order, fd.Addr)
			}
			o.holders[fd.Addr] = append(o.holders[fd.Addr], Holder{t.PID, fd.FD})
			o.paths[fd.Addr] = fd.Path
		}
	}
	return o, gaps, nil
}
