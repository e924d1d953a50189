package socket

import (
	"github.com/nodelens/nodelens/linux/network"
	"github.com/nodelens/nodelens/vmem"
)

// A space is a network namespace, with what is read of it.
type space struct {
	netStruct
	addr vmem.VirtAddr
}

// findSpaces takes the network namespaces, and reads where their tables are.
func (f *finder) findSpaces() {
	if f.opts.Namespaces == nil {
		for n, err := range network.Namespaces(f.ctx, f.k, f.opts.Tasks) {
			if err != nil {
				f.lose("network namespaces", err)
				continue
			}
			f.opts.Namespaces = append(f.opts.Namespaces, n)
		}
	}
	for _, n := range f.opts.Namespaces {
		s := &space{addr: n.Addr}
		if err := f.v.net.Read(f.mem, n.Addr, &s.netStruct); err != nil {
			f.loseAt(object+" of "+n.String(), n.Addr, err)
			s.netStruct = netStruct{}
		}
		s.Inum = n.Inum
		f.nets = append(f.nets, s)
		f.netAt[n.Addr] = s
	}
}

// spaceAt returns the namespace at addr, nil where none is. A namespace that is in no list
// any more may still have sockets.
func (f *finder) spaceAt(addr vmem.VirtAddr) *space {
	if s, ok := f.netAt[addr]; ok {
		return s
	}
	s := &space{addr: addr}
	if addr == 0 && len(f.nets) == 0 { // a kernel without namespaces
		f.netAt[addr] = s
		return s
	}
	if !plausible(addr) || len(f.nets) == 0 || f.v.net.Read(f.mem, addr, &s.netStruct) != nil || !f.sameOps(addr) {
		s = nil
	}
	f.netAt[addr] = s
	return s
}

// sameOps reports whether what is at addr has the operations of a network namespace, those of
// the first one.
func (f *finder) sameOps(addr vmem.VirtAddr) bool {
	ops := f.v.netOps
	a, err := ops.Load(f.mem, f.nets[0].addr)
	if err != nil {
		return false
	}
	b, err := ops.Load(f.mem, addr)
	return err == nil && a == b
}
