package bpf

import (
	"fmt"
	"slices"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/linux/network"
	"github.com/nodelens/nodelens/linux/network/socket"
	"github.com/nodelens/nodelens/vmem"
)

// A deviceProgs is what struct net_device has of programs.
type deviceProgs struct {
	XDP     [3]xdpState   `kernel:"xdp_state,optional"`                 // since 5.9
	Ingress vmem.VirtAddr `kernel:"tcx_ingress|miniq_ingress,optional"` // since 6.6 (e420bed02507)
	Egress  vmem.VirtAddr `kernel:"tcx_egress|miniq_egress,optional"`
}

// A xdpState is struct bpf_xdp_entity.
type xdpState struct {
	Program vmem.VirtAddr `kernel:"prog"`
	Link    vmem.VirtAddr `kernel:"link"`
}

type deviceViews struct {
	progs   *kstruct.View[deviceProgs]
	list    kstruct.Member // dev_base_head of struct net
	node    kstruct.Member // of net_device
	netList kstruct.Member // of struct net
	err     error
}

func bindDevices(types *isf.File) (v deviceViews) {
	b := kstruct.NewBinder(types)
	v.progs = kstruct.Bind[deviceProgs](b, "net_device")
	v.list = kstruct.BindMember(b, "net", "dev_base_head")
	v.node = kstruct.BindMember(b, "net_device", "dev_list")
	v.netList = kstruct.BindMember(b, "net", "list")
	v.err = b.Err()
	return v
}

// networkTypes are those of programs that devices and sockets have: socket_filter, sched_cls, sched_act, xdp, lwt_in,
// lwt_out, lwt_xmit, lwt_seg6local and sk_reuseport.
var networkTypes = []ProgramType{SocketFilter, 3, 4, 6, 10, 11, 12, 19, 21}

// readNetwork notes the programs of devices and sockets, as package network reads them. That takes longer than all
// the rest, and is not done where there can be none.
func (s *Set) readNetwork() {
	if s.opts.Network == nil {
		return
	}
	needed := slices.ContainsFunc(s.programs, func(p *Program) bool { return slices.Contains(networkTypes, p.Type) })
	if !needed && !s.devicesHaveProgs() {
		return
	}
	configurations, sockets := s.opts.Network()
	for _, c := range configurations {
		var inum uint32
		if c.Namespace != nil {
			inum = c.Namespace.Inum
		}
		for _, d := range c.Devices {
			s.readDeviceOf(d, inum)
		}
	}
	for _, k := range sockets {
		if f := k.Filter; f != nil && f.Kind == "ebpf" {
			s.attach(f.Addr, Attachment{Kind: "socket", Type: "filter", Target: socketName(k), NetNS: k.NetNS, Address: k.Addr})
		}
		if f := k.ReusePort; f != nil && f.Kind == "ebpf" {
			s.attach(f.Addr, Attachment{Kind: "socket", Type: "reuseport", Target: socketName(k), NetNS: k.NetNS, Address: k.Addr})
		}
	}
}

// devicesHaveProgs reports whether a device has a program, or a place for some, or can't be read.
func (s *Set) devicesHaveProgs() bool {
	v := &s.views.devices
	head, err := s.k.Symbol("net_namespace_list")
	if err != nil || v.err != nil {
		return true
	}
	w := s.walk("devices with BPF programs")
	for net, err := range w.List(head) {
		if err != nil {
			return true
		}
		for node, err := range w.List(v.list.Of(v.netList.Container(net))) {
			var d deviceProgs
			if err == nil {
				d, err = v.progs.Load(s.mem, v.node.Container(node))
			}
			if err != nil || d != (deviceProgs{}) {
				return true
			}
		}
	}
	return false
}

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
	for _, l := range s.links {
		if a.Link != 0 && l.ID == a.Link {
			s.attachedBy[l.Address] = true
		}
	}
	s.attach(p.Addr, a)
}

// socketName says which socket it is.
func socketName(k *socket.Socket) string {
	return fmt.Sprintf("socket:[%d] %s", k.Inode, k.Protocol)
}
