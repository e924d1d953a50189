package socket

import (
	"github.com/nodelens/nodelens/vmem"
)

// fill reads the socket that begins with c. The error says that it can't be read, or is no
// such socket.
func (f *finder) fill(s *Socket, c *sockCommon) error {
	f.fillCommon(s, c)
	isTCP := s.Family == Inet || s.Family == Inet6
	switch State(c.State) {
	case TimeWait:
		if isTCP {
			return f.fillTimeWait(s)
		}
	case newSynRecv:
		if isTCP {
			return f.fillRequest(s, c)
		}
	}
	r := &f.rest
	if err := f.v.sock.Read(f.mem, s.Addr, r); err != nil {
		return cause(err, f.v.err)
	}
	if c.State > uint8(boundInactive) || r.Type > 10 {
		return corrupt("socket of type %d in state %d", r.Type, c.State)
	}
	f.fillSock(s, r)
	switch s.Family {
	case Inet, Inet6:
		f.fillInet(s)
	case Unix:
		f.fillUnix(s)
	case Netlink:
		f.fillNetlink(s)
	case Packet:
		f.fillPacket(s)
	case XDP:
		f.fillXDP(s)
	case Vsock:
		f.fillVsock(s)
	}
	return nil
}

// fillCommon sets what is in all that begins with a sock_common.
func (f *finder) fillCommon(s *Socket, c *sockCommon) {
	s.Family, s.State = Family(c.Family), State(c.State)
	s.Cookie, s.Refs = uint64(c.Cookie), c.Refs
	s.Index = c.Index
	if s.State > Closing { // of requests, and of a socket that is bound and no more
		s.State = Unconn
	}
	switch s.Family {
	case Inet:
		s.LocalAddress, s.RemoteAddress = ip4(c.Saddr), ip4(c.Daddr)
	case Inet6:
		s.LocalAddress, s.RemoteAddress = ip6(c.Saddr6), ip6(c.Daddr6)
		s.Only6 = c.Only6
	default:
		return
	}
	s.LocalPort, s.RemotePort = uint32(c.Num), uint32(c.Dport)
}

// fillSock sets what all whole sockets have.
func (f *finder) fillSock(s *Socket, r *sockRest) {
	s.Type, s.Number = Type(r.Type), r.Protocol
	s.Protocol = protocolName(s.Family, r.Protocol)
	s.Mark, s.Shut, s.Owner = r.Mark, Shutdown(r.Shutdown&3), r.UID
	if r.Stamp > 0 {
		s.Stamp = r.Stamp
	}
	f.fillFile(s, r)
	m := f.memory.next()
	*m = Memory{
		Receive: uint32(r.Rmem), ReceiveBuffer: uint32(r.Rcvbuf), Transmit: uint32(r.Wmem - 1), SendBuffer: uint32(r.Sndbuf), Forward: uint32(r.Forward),
		Queued: uint32(r.WmemQueued), Options: uint32(r.Omem), Backlog: uint32(r.BacklogLen), Drops: uint32(r.Drops),
	}
	if r.NodeDrops != 0 {
		m.Drops = f.nodeDrops(r.NodeDrops)
	}
	s.Memory = m
	s.ReceiveQueue, s.SendQueue = int64(r.Rmem), int64(r.Wmem-1)
	s.Filter = f.filterOf(r.Filter)
	s.ReusePort = f.reuseportOf(r.Reuseport)
	s.Cgroup = f.cgroupOf(r)
}

// nodeDrops sums up packets that were dropped, which busy sockets count by NUMA node.
func (f *finder) nodeDrops(at vmem.VirtAddr) uint32 {
	a, err := f.v.drops.Load(f.mem, at)
	if err != nil {
		f.loseAt("drops of sockets", at, err)
		return 0
	}
	b, err := f.v.drops1.Load(f.mem, at)
	if err != nil {
		f.loseAt("drops of sockets", at, err)
	}
	return uint32(a + b)
}

// fillFile sets the inode and the user of the socket's file, and who holds it as far as it
// says itself.
func (f *finder) fillFile(s *Socket, r *sockRest) {
	s.Inode, s.UID = r.Ino, r.UID
	known := f.v.sock.Has("Ino")
	if r.Kern {
		s.Held = HeldByKernel
	}
	if r.Socket == 0 {
		if !known {
			s.UID = 0
		}
		return
	}
	h := f.open[s.Addr]
	if h != nil && h.socket == r.Socket { // it was read with the descriptor
		if !known {
			s.Inode, s.UID = h.ino, h.uid
		}
		if s.Held == HeldByNone {
			s.Held = HeldUnknown
		}
		return
	}
	if f.sockets[r.Socket] != nil {
		s.through = r.Socket
		f.through = append(f.through, s)
	}
	a, err := f.v.alloc.Load(f.mem, f.v.inSocket.Container(r.Socket))
	if err != nil {
		f.loseAt("inode of a socket", r.Socket, err)
		return
	}
	if !known {
		s.Inode, s.UID = a.Ino, a.UID
	}
	switch {
	case s.Held == HeldByKernel:
	case a.File == 0:
		s.Held = HeldByKernel
	default:
		s.Held = HeldUnknown
	}
}

// cgroupOf returns the path of the cgroup that a socket is counted for (sock_cgroup_ptr of
// include/linux/cgroup.h), empty where it has none.
func (f *finder) cgroupOf(r *sockRest) string {
	at := r.Cgroup
	if r.CgroupVal != 0 || !f.v.sock.Has("Cgroup") {
		if r.CgroupVal&3 != 0 || r.CgroupVal == 0 { // it tells other things, and the root is meant
			if f.v.sock.Has("CgroupVal") {
				return "/"
			}
			return ""
		}
		at = vmem.VirtAddr(r.CgroupVal)
	}
	if at == 0 {
		return ""
	}
	path, ok := f.cgroups[at]
	if !ok {
		p, err := f.k.Cgroup(at)
		if err != nil {
			f.lose("cgroup of a socket", err)
		}
		path = p.Path
		f.cgroups[at] = path
	}
	return path
}
