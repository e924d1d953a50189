package integrity

import (
	"fmt"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/linux/network"
	"github.com/nodelens/nodelens/vmem"
)

// PacketTable is [Hook].Table of what sees packets before protocols do.
const PacketTable = "packet_types"

type packetViews struct {
	list     kstruct.Member // packet_type.list
	protocol *kstruct.Field[uint16]
	devices  kstruct.Member // net.dev_base_head
	device   kstruct.Member // net_device.dev_list
	name     kstruct.Member // net_device.name
	handler  *kstruct.Field[vmem.VirtAddr]
	lists    []kstruct.Member // of net_device
	nets     []kstruct.Member // of net
	hot      kstruct.Member   // net_hotdata.ptype_all
	err      error
}

func bindPackets(types *isf.File) (v packetViews) {
	b := kstruct.NewBinder(types)
	v.list = kstruct.BindMember(b, "packet_type", "list")
	v.protocol = kstruct.BindField[uint16](b, "packet_type", "type")
	v.devices = kstruct.BindMember(b, "net", "dev_base_head")
	v.device = kstruct.BindMember(b, "net_device", "dev_list")
	v.name = kstruct.BindMember(b, "net_device", "name")
	v.handler = kstruct.BindField[vmem.VirtAddr](b, "net_device", "rx_handler")
	for _, name := range []string{"ptype_all", "ptype_specific"} {
		v.lists = append(v.lists, kstruct.BindMember(b, "net_device", name))
		if types.HasField("net", name) { // since 6.15
			v.nets = append(v.nets, kstruct.BindMember(b, "net", name))
		}
	}
	v.hot = kstruct.BindOptionalMember(b, "net_hotdata", "ptype_all") // 6.9 to 6.15
	v.err = b.Err()
	return v
}

// readPackets yields what sees packets of devices: taps on all packets and handlers of protocols, as /proc/net/ptype shows them, and what
// takes packets away from protocols (rx_handler, as that of bridges).
func readPackets(r *reader) {
	v := bindPackets(r.k.Symbols())
	if v.err != nil {
		r.lost("packet types", 0, v.err)
		return
	}
	r.readRegistry(&registry{
		table: PacketTable, variable: "ptype_base", functions: []string{"dev_add_pack", "__dev_remove_pack"},
		count: 16, typ: "packet_type", links: []string{"list"},
	})
	if len(v.nets) == 0 {
		r.allPackets(&v)
	}
	for ns, err := range network.Namespaces(r.ctx, r.k, r.tasks) {
		if err != nil {
			continue // told by the table of netfilter
		}
		for _, list := range v.nets {
			r.taps(&v, ns.String(), list.Of(ns.Addr))
		}
		for node, err := range r.walk("devices of " + ns.String()).List(v.devices.Of(ns.Addr)) {
			if err != nil {
				r.lost("devices of "+ns.String(), ns.Addr, err)
				continue
			}
			if r.packetsOf(&v, ns, v.device.Container(node)); !r.alive() {
				return
			}
		}
	}
}

// allPackets yields the taps on all devices of kernels before 6.15.
func (r *reader) allPackets(v *packetViews) {
	if at, err := r.k.Symbol("net_hotdata"); v.hot.Ok() && err == nil {
		r.taps(v, "all", v.hot.Of(at))
		return
	}
	head, err := r.find(variable{"ptype_all", []string{"dev_add_pack", "dev_nit_active", "dev_queue_xmit_nit"}, func(a vmem.VirtAddr) bool {
		base, err := r.k.Symbol("ptype_base")
		return r.isList(a) && (err != nil || a < base || a >= base+16*16)
	}})
	if err != nil {
		r.lost("packet types", 0, err)
		return
	}
	r.taps(v, "all", head)
}

// packetsOf yields what sees the packets of a device.
func (r *reader) packetsOf(v *packetViews, ns *network.Namespace, at vmem.VirtAddr) {
	name, err := r.k.Space().CString(v.name.Of(at), 16)
	if err != nil {
		r.lost("device in "+ns.String(), at, err)
		return
	}
	entry := fmt.Sprintf("%d %s", ns.Inum, name)
	for _, list := range v.lists {
		r.taps(v, entry, list.Of(at))
	}
	target, err := v.handler.Load(r.k.Space(), at)
	switch {
	case err != nil:
		r.lost("device "+entry, at, err)
	case target != 0:
		r.call(PacketTable, entry+" rx_handler", at+vmem.VirtAddr(v.handler.Offset()), at, target)
	}
}

// taps yields the functions of a list of packet types.
func (r *reader) taps(v *packetViews, entry string, head vmem.VirtAddr) {
	for node, err := range r.walk("packet types of " + entry).List(head) {
		if r.over {
			return
		}
		at := v.list.Container(node)
		var protocol uint16
		if err == nil {
			protocol, err = v.protocol.Load(r.k.Space(), at)
		}
		if err != nil {
			r.lost("packet types of "+entry, head, err)
			continue
		}
		r.structure(PacketTable, fmt.Sprintf("%s %04x", entry, protocol), "packet_type", at)
	}
}
