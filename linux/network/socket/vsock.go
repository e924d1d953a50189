package socket

import (
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

// vsockSymbol returns where a table of vsock is (exported): in the kernel, or in the module.
// It returns false where there is no vsock.
func (f *finder) vsockSymbol(name string) (vmem.VirtAddr, bool) {
	if at, err := f.k.Symbol(name); err == nil {
		return at, true
	}
	set := f.moduleSet()
	if set == nil || set.Find(vsockModule) == nil {
		return 0, false
	}
	at, err := set.Symbol(vsockModule, name)
	if err != nil {
		f.lose(vsockTable.object, err)
	}
	return at, err == nil
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

// bindModules binds what may be a module's: it needs to be there only where there are such
// sockets.
func (f *finder) bindModules() {
	if f.v.vsock.err == nil {
		return // it is the kernel's own
	}
	set := f.moduleSet()
	if set == nil || set.Find(vsockModule) == nil {
		return
	}
	space, err := set.Space(vsockModule)
	if err != nil {
		f.v.vsock.err = err
		return
	}
	f.v.vsock = bindVsock(space.Types())
}

// walkVsock adds the vsock sockets: those that are bound, or were made to be, and those that
// are connected.
func (f *finder) walkVsock() {
	bound, ok := f.vsockSymbol("vsock_bind_table")
	if !ok {
		return
	}
	v := &f.v.vsock
	if v.err != nil {
		f.loseAt(vsockTable.object, bound, v.err)
		return
	}
	f.walked[Vsock] = true
	// The last chain is of those that have no port.
	f.walkLists(bound, vsockChains+1, v.bound, InBound)
	if connected, ok := f.vsockSymbol("vsock_connected_table"); ok {
		f.walkLists(connected, vsockChains, v.connected, InTable)
	}
}

func (f *finder) walkLists(at vmem.VirtAddr, n int, member kstruct.Member, from Sources) {
	w := f.walk(vsockTable.object)
	for i := range n {
		f.chain(&vsockTable, w.List(at+vmem.VirtAddr(16*i)), member.Offset(), from, nil)
	}
}

// fillVsock follows sk_diag_fill of net/vmw_vsock/diag.c.
func (f *finder) fillVsock(s *Socket) {
	a, err := f.v.vsock.sock.Load(f.mem, s.Addr)
	if err != nil {
		f.loseAt(vsockTable.object, s.Addr, cause(err, f.v.vsock.err))
		return
	}
	s.LocalAddress, s.LocalPort = vsockCID(a.LocalCID), a.LocalPort
	s.RemoteAddress, s.RemotePort = vsockCID(a.RemoteCID), a.RemotePort
	s.ReceiveQueue, s.SendQueue = 0, 0 // as ss has it
	if s.State != Listen {
		return
	}
	for node, err := range f.walk("queue of a listening socket").List(f.v.vsock.accepted.Of(s.Addr)) {
		if err != nil {
			f.lose("queue of a listening socket", err)
			continue
		}
		f.queued[f.v.vsock.accepted.Container(node)] = s.Addr
	}
}
