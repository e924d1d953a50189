package socket

import (
	"fmt"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/linux/module"
	"github.com/nodelens/nodelens/vmem"
)

// A vsockSock is what is read of struct vsock_sock (include/net/af_vsock.h).
type vsockSock struct {
	LocalCID   uint32 `kernel:"local_addr.svm_cid"`
	LocalPort  uint32 `kernel:"local_addr.svm_port"`
	RemoteCID  uint32 `kernel:"remote_addr.svm_cid"`
	RemotePort uint32 `kernel:"remote_addr.svm_port"`
}

type vsockViews struct {
	sock      *kstruct.View[vsockSock]
	bound     kstruct.Member
	connected kstruct.Member
	accepted  kstruct.Member // accept_queue, a list of others by the same member
	err       error
}

func bindVsock(types *isf.File) (v vsockViews) {
	b := kstruct.NewBinder(types)
	v.sock = kstruct.Bind[vsockSock](b, "vsock_sock")
	v.bound = kstruct.BindMember(b, "vsock_sock", "bound_table")
	v.connected = kstruct.BindMember(b, "vsock_sock", "connected_table")
	v.accepted = kstruct.BindMember(b, "vsock_sock", "accept_queue")
	v.err = b.Err()
	return v
}

// vsockChains is VSOCK_HASH_SIZE of net/vmw_vsock/af_vsock.c.
const vsockChains = 251

// vsockModule is what vsock sockets are in, where they are not in the kernel itself.
const vsockModule = "vsock"

var vsockTable = table{object: "vsock sockets", families: []Family{Vsock}, protos: []string{"AF_VSOCK"}}

// moduleSymbol returns where a table is that a module has, or the kernel itself, whose object it is. It
// returns false where there is no such module.
func (f *finder) moduleSymbol(name, object, symbol string) (vmem.VirtAddr, bool) {
	if at, err := f.k.Symbol(symbol); err == nil {
		return at, true
	}
	set := f.moduleSet()
	if set == nil || set.Find(name) == nil {
		return 0, false
	}
	at, err := set.Symbol(name, symbol)
	if err != nil {
		f.lose(object, fmt.Errorf("%w: %w", kstruct.ErrUnsupported, err))
	}
	return at, err == nil
}

// vsockSymbol returns where a table of vsock is (exported).
func (f *finder) vsockSymbol(name string) (vmem.VirtAddr, bool) {
	return f.moduleSymbol(vsockModule, vsockTable.object, name)
}

// moduleSet returns the modules of the kernel, nil where they can't be read.
func (f *finder) moduleSet() *module.Set {
	if f.modules == nil && !f.noModules {
		set, err := module.Open(f.ctx, f.k, nil)
		f.noModules = err != nil // the context has ended
		f.modules = set
	}
	return f.modules
}

// vsock returns what vsock sockets are read with. Types of a module take as long to get as
// thousands of sockets, so it is done only where there is such a socket.
func (f *finder) vsock() *vsockViews {
	v := &f.v.vsock
	if v.err == nil || f.hasVsock {
		return v // it is the kernel's own, or was bound before
	}
	f.hasVsock = true
	types, err := f.typesOf(vsockModule)
	if types == nil {
		return v
	}
	if *v = bindVsock(types); err != nil && v.err != nil {
		v.err = err
	}
	return v
}

// typesOf returns the types of a module over those of the kernel, nil where there is no such
// module. What there is without its types comes beside the error.
func (f *finder) typesOf(name string) (*isf.File, error) {
	set := f.moduleSet()
	if set == nil || set.Find(name) == nil {
		return nil, nil
	}
	return set.Types(name)
}

// walkVsock adds the vsock sockets: those that are bound, or were made to be, and those that
// are connected.
func (f *finder) walkVsock() {
	bound, ok := f.vsockSymbol("vsock_bind_table")
	if !ok {
		return
	}
	f.walked[Vsock] = true
	// The last chain is of those that have no port.
	f.walkLists(bound, vsockChains+1, InBound)
	if connected, ok := f.vsockSymbol("vsock_connected_table"); ok {
		f.walkLists(connected, vsockChains, InTable)
	}
}

// walkLists adds the sockets of an array of lists.
func (f *finder) walkLists(at vmem.VirtAddr, n int, from Sources) {
	w := f.walk(vsockTable.object)
	for i := range n {
		head := at + vmem.VirtAddr(16*i)
		if next, err := f.mem.Uint64(head); err == nil && vmem.VirtAddr(next) == head {
			continue
		}
		v := f.vsock()
		if v.err != nil {
			f.walked[Vsock] = false
			f.loseAt(vsockTable.object, head, v.err)
			return
		}
		member := v.bound
		if from == InTable {
			member = v.connected
		}
		f.chain(&vsockTable, w.List(head), member.Offset(), from, nil)
	}
}

// fillVsock follows sk_diag_fill of net/vmw_vsock/diag.c.
func (f *finder) fillVsock(s *Socket) {
	v := f.vsock()
	a, err := v.sock.Load(f.mem, s.Addr)
	if err != nil {
		f.loseAt(vsockTable.object, s.Addr, cause(err, v.err))
		return
	}
	s.LocalAddress, s.LocalPort = vsockCID(a.LocalCID), a.LocalPort
	s.RemoteAddress, s.RemotePort = vsockCID(a.RemoteCID), a.RemotePort
	s.ReceiveQueue, s.SendQueue = 0, 0 // as ss has it
	if s.State != Listen {
		return
	}
	for node, err := range f.walk("queue of a listening socket").List(v.accepted.Of(s.Addr)) {
		if err != nil {
			f.lose("queue of a listening socket", err)
			continue
		}
		f.queued[v.accepted.Container(node)] = s.Addr
	}
}
