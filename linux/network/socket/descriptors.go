package socket

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/vmem"
)

// held is what descriptors tell of a socket.
type held struct {
	owners  []Owner
	flights int
	socket  vmem.VirtAddr // the struct socket
	ino     uint64
	uid     uint32
	foreign bool // the socket belongs to another file than the descriptor's

	one [1]Owner // room for the only one that most have
}

// An openFile is what a struct file stands for.
type openFile struct {
	sock    vmem.VirtAddr // 0 if it is no socket
	socket  vmem.VirtAddr
	ino     uint64
	uid     uint32
	foreign bool
}

// readDescriptors finds the sockets that processes have open, and the threads that have
// descriptors of their own.
func (f *finder) readDescriptors() {
	for _, t := range f.opts.Tasks {
		if f.ctx.Err() != nil {
			return
		}
		if t.KernelThread {
			continue
		}
		f.descriptorsOf(t, 0)
		own, err := f.v.files.Load(f.mem, t.Addr)
		if err != nil {
			continue // which the descriptors told
		}
		seen := map[vmem.VirtAddr]bool{own: true, 0: true}
		for thread, err := range t.Threads(f.ctx) {
			if err != nil { // who reads the threads tells it
				continue
			}
			if files, err := f.v.files.Load(f.mem, thread.Addr); err == nil && !seen[files] {
				seen[files] = true
				f.descriptorsOf(thread, thread.PID)
			}
		}
	}
}

func (f *finder) descriptorsOf(t *linux.Task, tid int32) {
	for fd, err := range t.Descriptors(f.ctx) {
		if err != nil {
			f.lose("descriptors", err)
			continue
		}
		f.descriptor(t, tid, fd)
	}
}

func (f *finder) descriptor(t *linux.Task, tid int32, fd linux.FD) {
	file, err := f.fileAt(fd.Addr)
	if err != nil {
		f.lose("descriptors", gap(fmt.Sprintf("descriptor %d of %v", fd.FD, t), fd.Addr, err))
	}
	if file.sock != 0 {
		h := f.heldAt(file)
		if h.owners == nil {
			h.owners = h.one[:0]
		}
		h.owners = append(h.owners, Owner{PID: t.TGID, FD: fd.FD, TID: tid})
	}
}

// heldAt returns what is known to hold the socket of a file.
func (f *finder) heldAt(file openFile) *held {
	h := f.open[file.sock]
	if h == nil {
		h = f.helds.next()
		*h = held{socket: file.socket, ino: file.ino, uid: file.uid}
		f.open[file.sock] = h
		f.sockets[file.socket] = h
		f.openList = append(f.openList, file.sock)
	}
	h.foreign = h.foreign || file.foreign
	return h
}

// fileAt returns the socket of the struct file at addr. It is one if what the file is private
// to lies where a socket does that the file's inode is part of (struct socket_alloc), which
// needs no symbol.
func (f *finder) fileAt(addr vmem.VirtAddr) (openFile, error) {
	if o, ok := f.files[addr]; ok {
		return o, nil
	}
	o, err := f.readFile(addr)
	f.files[addr] = o
	return o, err
}

func (f *finder) readFile(addr vmem.VirtAddr) (o openFile, err error) {
	if !plausible(addr) {
		return o, corrupt("file pointer %v", addr)
	}
	file, err := f.v.file.Load(f.mem, addr)
	if err != nil {
		return o, err
	}
	base := f.v.inSocket.Container(file.Private)
	if !plausible(file.Private) || f.v.inode.Of(base) != file.Inode {
		return o, nil
	}
	a, err := f.v.alloc.Load(f.mem, base)
	if err != nil {
		return o, err
	}
	return openFile{sock: a.Sock, socket: file.Private, ino: a.Ino, uid: a.UID, foreign: a.File != addr}, nil
}

// addOpen adds the sockets that no table led to and descriptors do.
func (f *finder) addOpen() {
	for i := 0; i < len(f.openList); { // which grows by what is in flight
		addr := f.openList[i]
		i++
		if f.byAddr[addr] != nil {
			continue
		}
		if _, err := f.add(&anyTable, addr, 0); err != nil {
			f.loseAt(anyTable.object, addr, err)
		}
	}
}

// anyTable is of sockets of any kind.
var anyTable = table{object: "sockets of descriptors"}

// settle joins sockets with what holds them, and says where views don't agree.
func (f *finder) settle() {
	for _, addr := range f.openList {
		s, h := f.byAddr[addr], f.open[addr]
		if s == nil {
			continue
		}
		slices.SortFunc(h.owners, func(a, b Owner) int {
			return cmp.Or(cmp.Compare(a.PID, b.PID), cmp.Compare(a.TID, b.TID), cmp.Compare(a.FD, b.FD))
		})
		s.Owners, s.Flights = h.owners, h.flights
		if len(h.owners) > 0 {
			s.Held = HeldByDescriptors
			s.Sources |= InDescriptors
		}
		if h.flights > 0 {
			s.Sources |= InFlight
			if len(h.owners) == 0 {
				s.Held = HeldInFlight
			}
		}
		if h.foreign {
			s.Anomalies |= ForeignFile
		}
	}
	for _, s := range f.through { // a subflow is held by who has its connection open
		if h := f.sockets[s.through]; len(h.owners) > 0 {
			s.Owners, s.Held = h.owners, HeldByDescriptors
		}
	}
	for _, s := range f.all {
		if listener, ok := f.queued[s.Addr]; ok {
			s.Listener = listener
			s.Sources |= InQueue
		}
		if e := f.expected(s); e != 0 && s.Sources&e == 0 {
			s.Anomalies |= NotInTable
		}
		switch {
		case s.Held == HeldUnknown:
			s.Anomalies |= NoOwner
		case s.Held == HeldByNone && s.Sources&InQueue != 0:
			s.Held = HeldByQueue
		}
	}
}
