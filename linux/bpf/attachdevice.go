package bpf

import (
	"fmt"

	"github.com/nodelens/nodelens/linux/network"
	"github.com/nodelens/nodelens/linux/network/socket"
)

// readDeviceOf notes the programs of a device: of XDP, tcx, and filters of queueing disciplines.
func (s *Set) readDeviceOf(d *network.Device, netns uint32) {
	at := Attachment{Target: d.Name, Index: uint32(d.Index), NetNS: netns, Address: d.Addr}
	for _, x := range d.XDP {
		a := at
		a.Kind, a.Type, a.Link = "xdp", x.Mode, x.Link
		s.attachNetwork(x.Prog, a)
	}
	for _, x := range d.TCX {
		a := at
		a.Kind, a.Type, a.Link = "tcx", "tcx_"+x.Direction, x.Link
		s.attachNetwork(x.Prog, a)
	}
	for _, q := range d.Qdiscs {
		for i := range q.Filters {
			f := &q.Filters[i]
			for _, p := range f.Programs {
				a := at
				a.Kind, a.Type = "tc", f.Direction
				if a.Type == "" {
					a.Type = q.Kind
				}
				a.Flags = fmt.Sprintf("pref %d, %s", f.Pref, p.Name)
				s.attachNetwork(p.Prog, a)
			}
		}
	}
}

func (s *Set) attachNetwork(p *network.Program, a Attachment) {
	if p == nil {
		return
	}
	if l := cmpLink(s.links, a.Link); l != nil {
		s.attachedBy[l.Address] = true
	}
	s.attach(p.Addr, a)
}

// socketName says which socket it is.
func socketName(k *socket.Socket) string {
	return fmt.Sprintf("socket:[%d] %s", k.Inode, k.Protocol)
}
