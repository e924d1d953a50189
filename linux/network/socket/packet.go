package socket

import (
	"cmp"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// PacketInfo is what a packet socket has beside others: who has one sees the frames of a
// device, or of all.
type PacketInfo struct {
	Running  bool   `json:"running"`  // it gets frames
	Ring     bool   `json:"ring"`     // frames are put into memory that its process maps
	Fanout   bool   `json:"fanout"`   // it shares them with other sockets
	Version  uint32 `json:"version"`  // of the ring, TPACKET_V1 is 0
	Received uint32 `json:"received"` // frames since the statistics were asked for last
	Dropped  uint32 `json:"dropped"`
}

// A packetSock is what is read of struct packet_sock (net/packet/internal.h).
type packetSock struct {
	Index   int32         `kernel:"ifindex"`
	Num     uint16        `kernel:"num,be"`
	Flags   uint64        `kernel:"flags,optional"`   // since 6.3, and in stable kernels before
	Running uint32        `kernel:"running,optional"` // before
	Ring    vmem.VirtAddr `kernel:"rx_ring.pg_vec"`
	Fanout  vmem.VirtAddr `kernel:"fanout"`
	Version uint32        `kernel:"tp_version"`
	Packets uint32        `kernel:"stats.stats1.tp_packets"`
	Drops   int32         `kernel:"tp_drops.counter"`
}

type packetViews struct {
	sock    *kstruct.View[packetSock]
	running int64 // PACKET_SOCK_RUNNING, a bit of its flags
	err     error
}

func bindPacket(types *isf.File) (v packetViews) {
	b := kstruct.NewBinder(types)
	v.sock = kstruct.Bind[packetSock](b, "packet_sock")
	v.err = b.Err()
	if v.err == nil && !v.sock.Has("Running") {
		v.running, v.err = types.Constant("packet_sock_flags", "PACKET_SOCK_RUNNING")
	}
	return v
}

var packetTable = table{object: "packet sockets", families: []Family{Packet}, protos: []string{"PACKET"}}

// walkPacket adds the packet sockets, all of which are in the list of their namespace.
func (f *finder) walkPacket() {
	if !f.v.net.Has("Packets") {
		return // the kernel has none
	}
	f.walked[Packet] = true
	w := f.walk(packetTable.object)
	for _, n := range f.nets {
		if n.Packets != 0 {
			f.chain(&packetTable, w.HList(n.Packets), f.v.node.Offset(), InTable, nil)
		}
	}
}

// fillPacket follows sk_diag_fill of net/packet/diag.c.
func (f *finder) fillPacket(s *Socket) {
	p, err := f.v.packet.sock.Load(f.mem, s.Addr)
	if err = cmp.Or(f.v.packet.err, err); err != nil {
		f.loseAt(packetTable.object, s.Addr, cause(err, f.v.packet.err))
		return
	}
	s.State = Unconn // as ss has it
	s.Number, s.Protocol, s.Index = p.Num, protocolName(Packet, p.Num), p.Index
	running := p.Running != 0
	if !f.v.packet.sock.Has("Running") {
		running = p.Flags>>(f.v.packet.running&63)&1 != 0
	}
	s.Packet = &PacketInfo{Running: running, Ring: p.Ring != 0, Fanout: p.Fanout != 0, Version: p.Version, Received: p.Packets, Dropped: uint32(p.Drops)}
}

// XDPInfo is what an XDP socket has beside others.
type XDPInfo struct {
	Queue  uint16 `json:"queue"` // of the device, that it is bound to
	Bound  bool   `json:"bound"`
	Memory uint64 `json:"memory"` // how much memory frames are in, in bytes
}

// An xdpSock is what is read of struct xdp_sock (include/net/xdp_sock.h).
type xdpSock struct {
	Dev   vmem.VirtAddr `kernel:"dev"`
	Queue uint16        `kernel:"queue_id"`
	State uint32        `kernel:"state"`
	Umem  vmem.VirtAddr `kernel:"umem"`
}

type xdpViews struct {
	sock  *kstruct.View[xdpSock]
	index *kstruct.Field[int32]  // of net_device
	size  *kstruct.Field[uint64] // of xdp_umem
	err   error
}

func bindXDP(types *isf.File) (v xdpViews) {
	b := kstruct.NewBinder(types)
	v.sock = kstruct.Bind[xdpSock](b, "xdp_sock")
	v.index = kstruct.BindField[int32](b, "net_device", "ifindex")
	v.size = kstruct.BindField[uint64](b, "xdp_umem", "size")
	v.err = b.Err()
	return v
}

var xdpTable = table{object: "XDP sockets", families: []Family{XDP}, protos: []string{"XDP"}}

// walkXDP adds the XDP sockets, all of which are in the list of their namespace.
func (f *finder) walkXDP() {
	if !f.v.net.Has("XDP") {
		return // the kernel has none
	}
	f.walked[XDP] = true
	w := f.walk(xdpTable.object)
	for _, n := range f.nets {
		if n.XDP != 0 {
			f.chain(&xdpTable, w.HList(n.XDP), f.v.node.Offset(), InTable, nil)
		}
	}
}

// xskBound is XSK_BOUND.
const xskBound = 1

func (f *finder) fillXDP(s *Socket) {
	v := &f.v.xdp
	x, err := v.sock.Load(f.mem, s.Addr)
	if err != nil {
		f.loseAt(xdpTable.object, s.Addr, cause(err, v.err))
		return
	}
	s.State = Unconn
	s.XDP = &XDPInfo{Queue: x.Queue, Bound: x.State == xskBound}
	if x.Dev != 0 {
		if s.Index, err = v.index.Load(f.mem, x.Dev); err != nil {
			f.loseAt("device of an XDP socket", x.Dev, err)
		}
	}
	if x.Umem != 0 {
		if s.XDP.Memory, err = v.size.Load(f.mem, x.Umem); err != nil {
			f.loseAt("memory of an XDP socket", x.Umem, err)
		}
	}
}
