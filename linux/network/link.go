package network

import (
	"net/netip"

	"github.com/nodelens/nodelens/vmem"
)

// LinkInfo is what only devices of some kinds have.
type LinkInfo struct {
	Mode         string     `json:"mode,omitempty"`         // of macvlan, ipvlan, bond and netkit
	VLAN         uint16     `json:"vlanId,omitempty"`       // of vlan
	VLANProtocol string     `json:"vlanProtocol,omitempty"` // of vlan: 802.1Q or 802.1ad
	VNI          uint32     `json:"vni,omitempty"`          // of vxlan
	Local        netip.Addr `json:"local,omitzero"`         // of vxlan
	Remote       netip.Addr `json:"remote,omitzero"`        // of vxlan: a machine or a group of them
	Port         uint16     `json:"port,omitempty"`         // of vxlan: of UDP
	Table        Table      `json:"table,omitempty"`        // of vrf
	Tun          *Tun       `json:"tun,omitempty"`
	Bridge       *Bridge    `json:"bridge,omitempty"`
	Active       *DeviceRef `json:"activeSlave,omitempty"` // of bond
}

// A Tun is a device whose packets a program reads and writes.
type Tun struct {
	Type       string  `json:"type"` // tun for packets, tap for frames
	PacketInfo bool    `json:"pi"`   // packets have a header
	VNetHeader bool    `json:"vnetHdr"`
	MultiQueue bool    `json:"multiQueue"`
	Persist    bool    `json:"persist"` // it stays when the program ends
	Queues     uint32  `json:"queues"`  // of programs that are attached
	User       *uint32 `json:"user,omitempty"`
	Group      *uint32 `json:"group,omitempty"`
}

// A Bridge is what a bridge has of its own.
type Bridge struct {
	STP           bool        `json:"stp"`
	VLANFiltering bool        `json:"vlanFiltering"`
	Ports         []DeviceRef `json:"ports"`
}

// A BridgePort is a device as the port of a bridge.
type BridgePort struct {
	State PortState `json:"state"`
	No    uint16    `json:"no"`
	Cost  uint32    `json:"cost"`
}

// PortState is the state of a port by the spanning tree protocol (BR_STATE_ of
// include/uapi/linux/if_bridge.h).
type PortState uint8

var portStateNames = map[PortState]string{0: "disabled", 1: "listening", 2: "learning", 3: "forwarding", 4: "blocking"}

// String returns the name that `ip` has for the state.
func (s PortState) String() string { return nameOf(portStateNames, s) }

// MarshalText returns what String does.
func (s PortState) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText takes what MarshalText gives.
func (s *PortState) UnmarshalText(b []byte) error { return parseName(portStateNames, b, s) }

// readLinks reads what devices have to do with each other, once all are known.
func (r *reader) readLinks(c *Configuration) {
	for _, dev := range c.Devices {
		d := r.devices[dev.Addr]
		r.readMaster(d)
		switch d.Kind {
		case "veth":
			r.readPair(d)
		case "netkit":
			r.readPair(d)
			r.readNetkit(d)
		case "macvlan", "macvtap":
			r.readMacvlan(d)
		case "ipvlan", "ipvtap":
			r.readIPvlan(d)
		case "vlan":
			r.readVLAN(d)
		case "vxlan":
			r.readVXLAN(d)
		case "vrf":
			r.readVRF(d)
		case "tun":
			r.readTun(d)
		case "bridge":
			r.readBridge(d)
		case "bond":
			r.readBond(d)
		}
	}
}

// priv returns the address of the private part of a device: netdev_priv of
// include/linux/netdevice.h. It is a member since 6.11 (13cabc47f8ae), and before it came
// behind the structure.
func (r *reader) priv(d *device) vmem.VirtAddr {
	v := &r.views.device
	if v.priv.Ok() {
		return v.priv.Of(d.Addr)
	}
	const align = 32 // NETDEV_ALIGN
	return d.Addr + vmem.VirtAddr((v.device.Size()+align-1)&^(align-1))
}

// known returns the device at addr, which another one leads to, nil for none.
func (r *reader) known(d *device, what string, addr vmem.VirtAddr) *device {
	if addr == 0 {
		return nil
	}
	other := r.devices[addr]
	if other == nil {
		r.lose(what+" of "+d.text(), addr, corrupt("the device %v is in no namespace", addr))
	}
	return other
}

// lower sets the device that another is made from.
func (r *reader) lower(d *device, addr vmem.VirtAddr) {
	if other := r.known(d, "lower device", addr); other != nil {
		d.Link = other.ref()
	}
}

// readMaster follows netdev_master_upper_dev_get of net/core/dev.c.
func (r *reader) readMaster(d *device) {
	v := &r.views.device
	if !v.adjacent.Ok() || !v.above.Ok() {
		return
	}
	head := v.upper.Of(d.Addr)
	first, err := r.space.Uint64(head)
	if err != nil {
		r.lose("master of "+d.text(), head, err)
		return
	}
	if vmem.VirtAddr(first) == head {
		return
	}
	if !plausible(vmem.VirtAddr(first)) {
		r.lose("master of "+d.text(), head, errPointer("list", vmem.VirtAddr(first)))
		return
	}
	a, err := v.adjacent.Load(r.space, v.above.Container(vmem.VirtAddr(first)))
	if err != nil {
		r.lose("master of "+d.text(), head, err)
		return
	}
	if !a.Master {
		return
	}
	if m := r.known(d, "master", a.Dev); m != nil {
		d.Master = m.ref()
		if m.Kind == "bridge" {
			r.readBridgePort(d, m)
		}
	}
}

// readPair reads the other end of a pair: the first member of struct veth_priv of
// drivers/net/veth.c since 2.6.24, and of struct netkit of drivers/net/netkit.c. It is read
// without the types of the module, which old kernels do not have; that it leads back is the
// proof.
func (r *reader) readPair(d *device) {
	peer, err := r.space.Uint64(r.priv(d))
	if err != nil {
		r.lose("peer of "+d.text(), d.Addr, err)
		return
	}
	other := r.known(d, "peer", vmem.VirtAddr(peer))
	if other == nil {
		return
	}
	back, err := r.space.Uint64(r.priv(other))
	if err == nil && (vmem.VirtAddr(back) != d.Addr || other.Kind != d.Kind) {
		err = corrupt("%s is paired with %v", other.text(), vmem.VirtAddr(back))
	}
	if err != nil {
		r.lose("peer of "+d.text(), d.Addr, err)
		return
	}
	d.Link = other.ref()
}

// A macvlanDev is struct macvlan_dev (include/linux/if_macvlan.h).
type macvlanDev struct {
	Dev   vmem.VirtAddr `kernel:"dev"`
	Lower vmem.VirtAddr `kernel:"lowerdev"`
	Stats vmem.VirtAddr `kernel:"pcpu_stats"`
	Mode  uint32        `kernel:"mode"`
}

// macvlanModes are those of enum macvlan_mode.
var macvlanModes = map[uint32]string{1: "private", 2: "vepa", 4: "bridge", 8: "passthru", 16: "source"}

func (r *reader) readMacvlan(d *device) {
	// macvlan is exported to macvtap, whose own part comes behind it.
	m, ok := private[macvlanDev](r, d, "macvlan", "macvlan_dev")
	if !ok || !r.ofDevice(d, m.Dev) {
		return
	}
	d.info().Mode = nameOf(macvlanModes, m.Mode)
	r.lower(d, m.Lower)
}

// ofDevice reports whether what is private to a device is its own.
func (r *reader) ofDevice(d *device, dev vmem.VirtAddr) bool {
	if dev != d.Addr {
		r.lose("private part of "+d.text(), d.Addr, corrupt("it is of another device, %v", dev))
	}
	return dev == d.Addr
}

func (d *device) info() *LinkInfo {
	if d.Info == nil {
		d.Info = new(LinkInfo)
	}
	return d.Info
}

// An ipvlDev is struct ipvl_dev of drivers/net/ipvlan/ipvlan.h.
type ipvlDev struct {
	Dev   vmem.VirtAddr `kernel:"dev"`
	Lower vmem.VirtAddr `kernel:"phy_dev"`
	Port  vmem.VirtAddr `kernel:"port"`
	Stats vmem.VirtAddr `kernel:"pcpu_stats"`
}

// An ipvlPort is struct ipvl_port: what all of a lower device share.
type ipvlPort struct {
	Dev  vmem.VirtAddr `kernel:"dev"`
	Mode uint16        `kernel:"mode"`
}

var ipvlanModes = map[uint16]string{0: "l2", 1: "l3", 2: "l3s"}

func (r *reader) readIPvlan(d *device) {
	v, ok := private[ipvlDev](r, d, "ipvlan", "ipvl_dev")
	if !ok || !r.ofDevice(d, v.Dev) {
		return
	}
	r.lower(d, v.Lower)
	port, ok := viewOf[ipvlPort](r, "ipvlan", "ipvl_port")
	if !ok {
		return
	}
	p, err := port.Load(r.space, v.Port)
	if err == nil && p.Dev != v.Lower {
		err = corrupt("ipvl_port %v of another device, %v", v.Port, p.Dev)
	}
	if err != nil {
		r.lose("mode of "+d.text(), v.Port, err)
		return
	}
	d.info().Mode = nameOf(ipvlanModes, p.Mode)
}

// A vlanDev is struct vlan_dev_priv (include/linux/if_vlan.h).
type vlanDev struct {
	Protocol uint16        `kernel:"vlan_proto,be"`
	ID       uint16        `kernel:"vlan_id"`
	Lower    vmem.VirtAddr `kernel:"real_dev"`
	Stats    vmem.VirtAddr `kernel:"vlan_pcpu_stats"`
}

func (r *reader) readVLAN(d *device) {
	v, ok := private[vlanDev](r, d, "8021q", "vlan_dev_priv")
	if !ok {
		return
	}
	i := d.info()
	i.VLAN, i.VLANProtocol = v.ID, nameOf(map[uint16]string{0x8100: "802.1Q", 0x88a8: "802.1ad"}, v.Protocol)
	r.lower(d, v.Lower)
}

// A vxlanDev is struct vxlan_dev (include/net/vxlan.h).
type vxlanDev struct {
	Dev    vmem.VirtAddr `kernel:"dev"`
	Net    vmem.VirtAddr `kernel:"net"` // in which it sends
	VNI    uint32        `kernel:"cfg.vni,be"`
	Port   uint16        `kernel:"cfg.dst_port,be"`
	Lower  int32         `kernel:"cfg.remote_ifindex"`
	Remote [28]byte      `kernel:"cfg.remote_ip"` // sockaddr_in or sockaddr_in6
	Local  [28]byte      `kernel:"cfg.saddr"`
}

func (r *reader) readVXLAN(d *device) {
	v, ok := private[vxlanDev](r, d, "vxlan", "vxlan_dev")
	if !ok || !r.ofDevice(d, v.Dev) {
		return
	}
	i := d.info()
	i.VNI, i.Port, i.Local, i.Remote = v.VNI, v.Port, socketAddress(v.Local[:]), socketAddress(v.Remote[:])
	if c := r.configs[v.Net]; c != nil && v.Lower > 0 {
		for _, dev := range c.Devices {
			if dev.Index == v.Lower {
				d.Link = r.devices[dev.Addr].ref()
			}
		}
	}
}

// socketAddress returns the address in a sockaddr_in or sockaddr_in6, none where it is none.
func socketAddress(b []byte) netip.Addr {
	var a netip.Addr
	switch Family(b[0]) | Family(b[1])<<8 {
	case Inet:
		a = netip.AddrFrom4([4]byte(b[4:8]))
	case Inet6:
		a = netip.AddrFrom16([16]byte(b[8:24]))
	}
	if a.IsValid() && a.IsUnspecified() {
		return netip.Addr{}
	}
	return a
}

// A vrfDev is struct net_vrf of drivers/net/vrf.c.
type vrfDev struct {
	Table uint32 `kernel:"tb_id"`
}

func (r *reader) readVRF(d *device) {
	if v, ok := private[vrfDev](r, d, "vrf", "net_vrf"); ok {
		d.info().Table = Table(v.Table)
	}
}

// A tunDev is struct tun_struct of drivers/net/tun.c.
type tunDev struct {
	Dev    vmem.VirtAddr `kernel:"dev"`
	Queues uint32        `kernel:"numqueues"`
	Flags  uint32        `kernel:"flags"`
	Owner  uint32        `kernel:"owner.val"`
	Group  uint32        `kernel:"group.val"`
	Stats  vmem.VirtAddr `kernel:"pcpu_stats,optional"` // before 5.11
}

// Flags of a tun (include/uapi/linux/if_tun.h).
const (
	tunTap        = 0x0002
	tunNoPI       = 0x1000
	tunMultiQueue = 0x0100
	tunPersist    = 0x0800
	tunVNetHeader = 0x4000
)

func (r *reader) readTun(d *device) {
	v, ok := private[tunDev](r, d, "tun", "tun_struct")
	if !ok || !r.ofDevice(d, v.Dev) {
		return
	}
	t := &Tun{
		Type: "tun", PacketInfo: v.Flags&tunNoPI == 0, VNetHeader: v.Flags&tunVNetHeader != 0, MultiQueue: v.Flags&tunMultiQueue != 0,
		Persist: v.Flags&tunPersist != 0, Queues: v.Queues,
	}
	if v.Flags&tunTap != 0 {
		t.Type = "tap"
	}
	const nobody = ^uint32(0)
	if v.Owner != nobody {
		t.User = &v.Owner
	}
	if v.Group != nobody {
		t.Group = &v.Group
	}
	d.info().Tun = t
}

// A netBridge is struct net_bridge of net/bridge/br_private.h.
type netBridge struct {
	Dev     vmem.VirtAddr `kernel:"dev"`
	Ports   vmem.VirtAddr `kernel:"&port_list"`
	STP     uint32        `kernel:"stp_enabled"`
	Options uint64        `kernel:"options"`
}

// bridgeVLANs is BROPT_VLAN_ENABLED of enum net_bridge_opts.
const bridgeVLANs = 1 << 0

// A bridgePort is struct net_bridge_port of net/bridge/br_private.h.
type bridgePort struct {
	Bridge vmem.VirtAddr `kernel:"br"`
	Dev    vmem.VirtAddr `kernel:"dev"`
	Node   vmem.VirtAddr `kernel:"&list"`
	State  uint8         `kernel:"state"`
	No     uint16        `kernel:"port_no"`
	Cost   uint32        `kernel:"path_cost"`
}

func (r *reader) readBridge(d *device) {
	br, ok := private[netBridge](r, d, "bridge", "net_bridge")
	if !ok || !r.ofDevice(d, br.Dev) {
		return
	}
	b := &Bridge{STP: br.STP != 0, VLANFiltering: br.Options&bridgeVLANs != 0, Ports: []DeviceRef{}}
	d.info().Bridge = b
	v, ok := viewOf[bridgePort](r, "bridge", "net_bridge_port")
	if !ok {
		return
	}
	offset, _ := v.Offset("Node")
	what := "ports of " + d.text()
	for node, err := range r.walk(what).List(br.Ports) {
		if r.done() {
			break
		}
		var p bridgePort
		addr := node - vmem.VirtAddr(offset)
		if err == nil {
			p, err = v.Load(r.space, addr)
		}
		if err == nil && p.Bridge != r.priv(d) {
			err = corrupt("net_bridge_port %v of another bridge, %v", addr, p.Bridge)
		}
		if err != nil {
			r.lose(what, br.Ports, err)
			continue
		}
		if other := r.known(d, "port", p.Dev); other != nil && len(b.Ports) < maxDevices {
			b.Ports = append(b.Ports, *other.ref())
		}
	}
}

// readBridgePort reads what the bridge m keeps of a port (rx_handler_data).
func (r *reader) readBridgePort(d, m *device) {
	if d.s.HandlerData == 0 {
		return
	}
	p, ok := structAt[bridgePort](r, d, "bridge", "net_bridge_port", d.s.HandlerData)
	if !ok {
		return
	}
	if p.Dev != d.Addr || p.Bridge != r.priv(m) {
		r.lose("port of "+d.text(), d.s.HandlerData, corrupt("net_bridge_port of the device %v and the bridge %v", p.Dev, p.Bridge))
		return
	}
	d.Port = &BridgePort{State: PortState(p.State), No: p.No, Cost: p.Cost}
}

// A bondDev is struct bonding (include/net/bonding.h).
type bondDev struct {
	Dev    vmem.VirtAddr `kernel:"dev"`
	Active vmem.VirtAddr `kernel:"curr_active_slave"`
	Mode   int32         `kernel:"params.mode"`
}

// A bondSlave is struct slave.
type bondSlave struct {
	Dev vmem.VirtAddr `kernel:"dev"`
}

var bondModes = map[uint32]string{
	0: "balance-rr", 1: "active-backup", 2: "balance-xor", 3: "broadcast", 4: "802.3ad", 5: "balance-tlb", 6: "balance-alb",
}

func (r *reader) readBond(d *device) {
	v, ok := private[bondDev](r, d, "bonding", "bonding")
	if !ok || !r.ofDevice(d, v.Dev) {
		return
	}
	i := d.info()
	i.Mode = nameOf(bondModes, uint32(v.Mode))
	if v.Active == 0 {
		return
	}
	s, ok := structAt[bondSlave](r, d, "bonding", "slave", v.Active)
	if ok {
		if other := r.known(d, "active slave", s.Dev); other != nil {
			i.Active = other.ref()
		}
	}
}
