package socket

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// A unixSock is what is read of struct unix_sock (include/net/af_unix.h).
type unixSock struct {
	Name   vmem.VirtAddr `kernel:"addr"`
	Peer   vmem.VirtAddr `kernel:"peer"`
	InqLen int32         `kernel:"inq_len,optional"` // of a stream, bytes that wait; since 6.18
}

// A unixAddress is struct unix_address.
type unixAddress struct {
	Len  int32         `kernel:"len"` // with the family before the name, of two bytes
	Name vmem.VirtAddr `kernel:"&name"`
}

type unixViews struct {
	sock   *kstruct.View[unixSock]
	addr   *kstruct.View[unixAddress]
	socket *kstruct.Field[vmem.VirtAddr] // sk_socket
	ino    *kstruct.Field[uint64]        // sk_ino
	err    error
}

func bindUnix(types *isf.File) (v unixViews) {
	b := kstruct.NewBinder(types)
	v.sock = kstruct.Bind[unixSock](b, "unix_sock")
	v.addr = kstruct.Bind[unixAddress](b, "unix_address")
	v.socket = kstruct.BindField[vmem.VirtAddr](b, "sock", "sk_socket")
	v.ino = kstruct.BindOptionalField[uint64](b, "sock", "sk_ino")
	v.err = b.Err()
	return v
}

// How many chains the tables have: UNIX_HASH_SIZE of include/net/af_unix.h, twice that in
// both forms of the table.
const unixChains = 512

var unixTable = table{object: "unix sockets", families: []Family{Unix}, protos: []string{"UNIX", "UNIX-STREAM", "UNIX-DGRAM"}}

// walkUnix adds the unix sockets. All are in the table, from when they are made: that of their
// namespace since 5.19, and unix_socket_table (exported) before.
func (f *finder) walkUnix() {
	if f.v.net.Has("Unix") {
		f.walked[Unix] = true
		for _, n := range f.nets {
			if n.Unix == 0 {
				f.walked[Unix] = false
				f.loseAt(unixTable.object, n.addr, corrupt("namespace %d has no table", n.Inum))
				continue
			}
			f.walkHeads(&unixTable, n.Unix, unixChains, false)
		}
		return
	}
	at, err := f.k.Symbol("unix_socket_table")
	if err != nil {
		f.loseAt(unixTable.object, 0, err)
		return
	}
	f.walked[Unix] = true
	f.walkHeads(&unixTable, at, unixChains, false)
}

// fillUnix follows sk_diag_fill of net/unix/diag.c.
func (f *finder) fillUnix(s *Socket) {
	u := &f.unix
	if err := f.v.unix.sock.Read(f.mem, s.Addr, u); err != nil {
		f.loseAt(unixTable.object, s.Addr, cause(err, f.v.unix.err))
		return
	}
	if u.Name != 0 {
		if err := f.nameUnix(s, u.Name); err != nil {
			f.loseAt("name of a unix socket", u.Name, err)
		}
	}
	if u.Peer != 0 {
		ino, err := f.inodeOf(u.Peer)
		if err != nil {
			f.loseAt("peer of a unix socket", u.Peer, err)
		}
		s.Peer = ino
	}
	queued, first := f.rest.Queued, f.rest.Received
	if s.State == Listen {
		s.ReceiveQueue, s.SendQueue = int64(queued), int64(f.rest.MaxBacklog)
	} else {
		s.ReceiveQueue = 0
	}
	if queued != 0 {
		f.readMessages(s, first)
	}
	if s.State != Listen && s.Type == Stream && f.v.unix.sock.Has("InqLen") {
		s.ReceiveQueue = int64(u.InqLen)
	}
}

// unixPathMax is the size of sockaddr_un.sun_path.
const unixPathMax = 108

// nameUnix sets the name of a socket.
func (f *finder) nameUnix(s *Socket, at vmem.VirtAddr) error {
	a, err := f.v.unix.addr.Load(f.mem, at)
	if err != nil {
		return err
	}
	n := int(a.Len) - 2 // sun_family
	if n < 0 || n > unixPathMax+1 {
		return corrupt("unix address of %d bytes", a.Len)
	}
	var name [unixPathMax + 1]byte
	got, err := f.mem.ReadVirt(name[:n], a.Name+2)
	b := name[:got]
	if len(b) == 0 || b[0] != 0 {
		s.Path = text(b)
		return err
	}
	s.Abstract = true
	if bytes.IndexByte(b[1:], 0) >= 0 {
		s.Name = bytes.Clone(b)
	}
	s.Path = string(bytes.ReplaceAll(b, []byte{0}, []byte{'@'}))
	return err
}

// inodeOf returns the number of a socket's inode (sock_i_ino), 0 if it has none any more.
func (f *finder) inodeOf(sock vmem.VirtAddr) (uint64, error) {
	v := &f.v.unix
	if !plausible(sock) {
		return 0, corrupt("socket pointer %v", sock)
	}
	if v.ino.Ok() {
		return v.ino.Load(f.mem, sock)
	}
	if h := f.open[sock]; h != nil {
		return h.ino, nil
	}
	socket, err := v.socket.Load(f.mem, sock)
	if err != nil || socket == 0 {
		return 0, err
	}
	a, err := f.v.alloc.Load(f.mem, f.v.inSocket.Container(socket))
	return a.Ino, err
}

// A message is what is read of struct sk_buff, and struct unix_skb_parms in its cb.
type message struct {
	Next vmem.VirtAddr `kernel:"next"`
	Sock vmem.VirtAddr `kernel:"sk"`
	Len  uint32        `kernel:"len"`
	CB   vmem.VirtAddr `kernel:"&cb"`
}

// A parms is struct unix_skb_parms.
type parms struct {
	Files    vmem.VirtAddr `kernel:"fp"`
	Consumed uint32        `kernel:"consumed"`
}

// A fileList is struct scm_fp_list (include/net/scm.h): descriptors in a message.
type fileList struct {
	Count int16         `kernel:"count"`
	Files vmem.VirtAddr `kernel:"&fp"`
}

type flightViews struct {
	message *kstruct.View[message]
	parms   *kstruct.View[parms]
	list    *kstruct.View[fileList]
	queue   kstruct.Member // sk_receive_queue
	err     error
}

func bindFlight(types *isf.File) (v flightViews) {
	b := kstruct.NewBinder(types)
	v.message = kstruct.Bind[message](b, "sk_buff")
	v.parms = kstruct.Bind[parms](b, "unix_skb_parms")
	v.list = kstruct.Bind[fileList](b, "scm_fp_list")
	v.queue = kstruct.BindMember(b, "sock", "sk_receive_queue")
	v.err = b.Err()
	return v
}

const (
	// maxFiles is SCM_MAX_FD of include/net/scm.h.
	maxFiles = 253
	// maxMessages bounds what is looked at of the queue of one socket.
	maxMessages = 1 << 16
)

// readMessages goes over what waits at a unix socket: how much that is (unix_inq_len of
// net/unix/af_unix.c), which connections, and which descriptors are in flight.
func (f *finder) readMessages(s *Socket, first vmem.VirtAddr) {
	v := &f.v.flight
	if v.err != nil {
		f.loseAt("messages of unix sockets", s.Addr, v.err)
		return
	}
	head := v.queue.Of(s.Addr)
	var m message
	for at, n := first, 0; at != head; at, n = m.Next, n+1 {
		err := f.ctx.Err()
		switch {
		case err != nil:
			return
		case n >= maxMessages:
			err = fmt.Errorf("%w: more than %d messages", kstruct.ErrTooLong, n)
		case !plausible(at):
			err = corrupt("message pointer %v", at)
		case n > int(f.rest.Queued):
			err = fmt.Errorf("%w: more than %d messages", kstruct.ErrCorrupt, n)
		default:
			err = v.message.Read(f.mem, at, &m)
		}
		var p parms
		if err == nil {
			p, err = v.parms.Load(f.mem, m.CB)
		}
		if err != nil {
			f.loseAt("messages of unix sockets", at, err)
			return
		}
		switch {
		case s.State == Listen:
			f.queued[m.Sock] = s.Addr
		case s.Type != Dgram:
			s.ReceiveQueue += int64(m.Len - p.Consumed)
		case n == 0:
			s.ReceiveQueue = int64(m.Len)
		}
		if p.Files != 0 {
			if err := f.readFlight(p.Files); err != nil {
				f.loseAt("descriptors in flight", p.Files, err)
			}
		}
	}
}

// readFlight finds the sockets among the files that a message passes on.
func (f *finder) readFlight(at vmem.VirtAddr) error {
	l, err := f.v.flight.list.Load(f.mem, at)
	if err != nil {
		return err
	}
	if l.Count < 0 || l.Count > maxFiles {
		return corrupt("%d descriptors in one message", l.Count)
	}
	var lost error
	for i := range int(l.Count) {
		file, err := f.mem.Uint64(l.Files + vmem.VirtAddr(8*i))
		if err != nil {
			return err
		}
		o, err := f.fileAt(vmem.VirtAddr(file))
		if err != nil {
			lost = errors.Join(lost, err)
		}
		if o.sock != 0 {
			f.heldAt(o).flights++
		}
	}
	return lost
}
