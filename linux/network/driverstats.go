package network

import (
	"encoding/binary"

	"github.com/nodelens/nodelens/vmem"
)

// A vethStats is struct veth_priv of drivers/net/veth.c.
type vethStats struct {
	Peer    vmem.VirtAddr `kernel:"peer"`
	Dropped int64         `kernel:"dropped.counter"`
	Queues  vmem.VirtAddr `kernel:"rq"`
}

// A vethQueue is struct veth_rq: what XDP had of a queue.
type vethQueue struct {
	Packets   uint64 `kernel:"stats.vs.xdp_packets"`
	Bytes     uint64 `kernel:"stats.vs.xdp_bytes"`
	Drops     uint64 `kernel:"stats.vs.rx_drops"`
	TXErrors  uint64 `kernel:"stats.vs.xdp_tx_err"`
	PeerError uint64 `kernel:"stats.vs.peer_tq_xdp_xmit_err"`
}

// vethCounters follows veth_get_stats64 of drivers/net/veth.c: what one end received is what
// the other one sent.
func (r *reader) vethCounters(d *device, s *deviceCounters) (*counters, error) {
	p, ok := private[vethStats](r, d, "veth", "veth_priv")
	if !ok {
		return nil, nil
	}
	sum, err := r.sent(d, s)
	if err != nil {
		return nil, err
	}
	own, ok := r.vethQueues(d, p.Queues)
	if !ok {
		return nil, nil
	}
	sum[txDropped] += uint64(p.Dropped) + own.TXErrors
	sum[rxDropped] += own.Drops + own.PeerError
	sum[rxBytes] += own.Bytes
	sum[rxPackets] += own.Packets
	other := r.devices[p.Peer]
	if other == nil {
		return sum, nil // told with the pair
	}
	o, err := r.views.stats.device.Load(r.space, other.Addr)
	if err != nil {
		return nil, err
	}
	came, err := r.sent(other, &o)
	if err != nil {
		return nil, err
	}
	q, ok := private[vethStats](r, other, "veth", "veth_priv")
	if !ok {
		return nil, nil
	}
	theirs, ok := r.vethQueues(other, q.Queues)
	if !ok {
		return nil, nil
	}
	sum[rxBytes] += came[txBytes]
	sum[rxPackets] += came[txPackets]
	sum[txDropped] += theirs.PeerError
	sum[rxDropped] += theirs.TXErrors
	sum[txBytes] += theirs.Bytes
	sum[txPackets] += theirs.Packets
	return sum, nil
}

// sent returns what one end of a pair sent. It counts in lstats, or, since 6.8 (6f2684bf2b44)
// and in kernels that took that over, in tstats, which are of the same size for the page
// allocator and nowhere marked. In tstats a veth has nothing where lstats have what was sent;
// and each that is up has sent something, were it for its own address.
func (r *reader) sent(d *device, s *deviceCounters) (*counters, error) {
	link, err := r.linkCounters(s)
	if err != nil || link[txPackets]|link[txBytes] != 0 {
		return link, err
	}
	if d.Flags&flagUp == 0 && !r.views.stats.device.Has("Core") {
		return link, nil
	}
	sum := new(counters)
	return sum, perCPU(r, r.views.stats.traffic, s.PerCPU, sum.add)
}

// vethQueues sums what the queues of a veth count. Their number is that of the device's.
func (r *reader) vethQueues(d *device, at vmem.VirtAddr) (sum vethQueue, ok bool) {
	v, ok := viewOf[vethQueue](r, "veth", "veth_rq")
	if !ok {
		return sum, false
	}
	for i := range min(d.s.RXQueues, maxQueues) {
		q, ok := structAt[vethQueue](r, d, "veth", "veth_rq", at+vmem.VirtAddr(uint64(i)*v.Size()))
		if !ok {
			return sum, false
		}
		sum.Packets += q.Packets
		sum.Bytes += q.Bytes
		sum.Drops += q.Drops
		sum.TXErrors += q.TXErrors
		sum.PeerError += q.PeerError
	}
	return sum, true
}

// maxQueues is how many queues of a device are read: netlink lets it have 4096.
const maxQueues = 4096

// netkitCounters follows netkit_get_stats of drivers/net/netkit.c.
func (r *reader) netkitCounters(s *deviceCounters) (*counters, error) {
	sum := new(counters)
	err := perCPU(r, r.views.stats.traffic, s.PerCPU, sum.add)
	sum[txDropped] += s.base()[txDropped]
	return sum, err
}

// A stackedStats is struct vlan_pcpu_stats (include/linux/if_vlan.h), of macvlan too, or
// ipvl_pcpu_stats of drivers/net/ipvlan/ipvlan.h.
type stackedStats struct {
	RXPackets [8]byte `kernel:"rx_packets|rx_pkts"`
	RXBytes   [8]byte `kernel:"rx_bytes"`
	Multicast [8]byte `kernel:"rx_multicast|rx_mcast"`
	TXPackets [8]byte `kernel:"tx_packets|tx_pkts"`
	TXBytes   [8]byte `kernel:"tx_bytes"`
	RXErrors  uint32  `kernel:"rx_errors|rx_errs"`
	TXDropped uint32  `kernel:"tx_dropped|tx_drps"`
}

// stackedCounters follows macvlan_dev_get_stats64, ipvlan_get_stats64 and
// vlan_dev_get_stats64.
func (r *reader) stackedCounters(d *device) (*counters, error) {
	module, typ := "8021q", "vlan_pcpu_stats"
	var at vmem.VirtAddr
	var ok bool
	switch d.Kind {
	case "vlan":
		var p vlanDev
		p, ok = private[vlanDev](r, d, "8021q", "vlan_dev_priv")
		at = p.Stats
	case "macvlan", "macvtap":
		var p macvlanDev
		p, ok = private[macvlanDev](r, d, "macvlan", "macvlan_dev")
		module, at = "macvlan", p.Stats
	default:
		var p ipvlDev
		p, ok = private[ipvlDev](r, d, "ipvlan", "ipvl_dev")
		module, typ, at = "ipvlan", "ipvl_pcpu_stats", p.Stats
	}
	if !ok {
		return nil, nil
	}
	v, ok := viewOf[stackedStats](r, module, typ)
	if !ok {
		return nil, nil
	}
	sum := new(counters)
	err := perCPU(r, v, at, func(s *stackedStats) {
		sum[rxPackets] += binary.LittleEndian.Uint64(s.RXPackets[:])
		sum[rxBytes] += binary.LittleEndian.Uint64(s.RXBytes[:])
		sum[multicast] += binary.LittleEndian.Uint64(s.Multicast[:])
		sum[txPackets] += binary.LittleEndian.Uint64(s.TXPackets[:])
		sum[txBytes] += binary.LittleEndian.Uint64(s.TXBytes[:])
		sum[rxErrors] += uint64(s.RXErrors)
		sum[txDropped] += uint64(s.TXDropped)
	})
	if d.Kind != "vlan" {
		sum[rxDropped] = sum[rxErrors]
	}
	return sum, err
}

// tunCounters follows tun_net_get_stats64 of drivers/net/tun.c. Before 5.11 a tun had
// counters of its own.
func (r *reader) tunCounters(d *device, s *deviceCounters) (*counters, error) {
	p, ok := private[tunDev](r, d, "tun", "tun_struct")
	if !ok {
		return nil, nil
	}
	if p.Stats == 0 {
		return r.tunnelCounters(s)
	}
	v, ok := viewOf[tunStats](r, "tun", "tun_pcpu_stats")
	if !ok {
		return nil, nil
	}
	sum := new(counters)
	return sum, perCPU(r, v, p.Stats, func(t *tunStats) {
		sum.add(&t.trafficStats)
		sum[rxDropped] += uint64(t.RXDropped)
		sum[txDropped] += uint64(t.TXDropped)
	})
}

// A tunStats is struct tun_pcpu_stats of drivers/net/tun.c, until 5.10.
type tunStats struct {
	trafficStats
	RXDropped uint32 `kernel:"rx_dropped"`
	TXDropped uint32 `kernel:"tx_dropped"`
}

// An ifbDev is struct ifb_dev_private of drivers/net/ifb.c, and an ifbQueue one of its struct ifb_q_private.
type ifbDev struct {
	Queues vmem.VirtAddr `kernel:"tx_private"`
}

// The counters of a queue are in two structures in 6.1, and side by side in 5.10.
type ifbQueue struct {
	RXPackets [8]byte `kernel:"rx_stats.packets|rx_packets"`
	RXBytes   [8]byte `kernel:"rx_stats.bytes|rx_bytes"`
	TXPackets [8]byte `kernel:"tx_stats.packets|tx_packets"`
	TXBytes   [8]byte `kernel:"tx_stats.bytes|tx_bytes"`
}

// ifbCounters follows ifb_stats64 of drivers/net/ifb.c.
func (r *reader) ifbCounters(d *device, s *deviceCounters) (*counters, error) {
	p, ok := private[ifbDev](r, d, "ifb", "ifb_dev_private")
	v, okQueue := viewOf[ifbQueue](r, "ifb", "ifb_q_private")
	if !ok || !okQueue {
		return nil, nil
	}
	n, err := r.views.qdisc.queues.Load(r.space, d.Addr)
	if err == nil && n.Count > maxQueues {
		err = corrupt("%d queues", n.Count)
	}
	if err != nil {
		return nil, err
	}
	sum, base := new(counters), s.base()
	for i := range n.Count {
		q, ok := structAt[ifbQueue](r, d, "ifb", "ifb_q_private", p.Queues+vmem.VirtAddr(uint64(i)*v.Size()))
		if !ok {
			return nil, nil
		}
		sum.add(&trafficStats{RXPackets: q.RXPackets, RXBytes: q.RXBytes, TXPackets: q.TXPackets, TXBytes: q.TXBytes})
	}
	sum[rxDropped], sum[txDropped] = base[rxDropped], base[txDropped]
	return sum, nil
}

// A virtnetInfo is struct virtnet_info of drivers/net/virtio_net.c.
type virtnetInfo struct {
	Dev   vmem.VirtAddr `kernel:"dev"`
	Send  vmem.VirtAddr `kernel:"sq"`
	Recv  vmem.VirtAddr `kernel:"rq"`
	Pairs uint16        `kernel:"max_queue_pairs"`
}

// A virtQueue is struct send_queue or receive_queue.
type virtQueue struct {
	Packets  [8]byte `kernel:"stats.packets"`
	Bytes    [8]byte `kernel:"stats.bytes"`
	Drops    [8]byte `kernel:"stats.drops,optional"`
	Timeouts [8]byte `kernel:"stats.tx_timeouts,optional"` // since 5.19
}

// virtioCounters follows virtnet_stats of drivers/net/virtio_net.c.
func (r *reader) virtioCounters(d *device, s *deviceCounters) (*counters, error) {
	p, ok := private[virtnetInfo](r, d, "virtio_net", "virtnet_info")
	if !ok || !r.ofDevice(d, p.Dev) {
		return nil, nil
	}
	send, okSend := viewOf[virtQueue](r, "virtio_net", "send_queue")
	recv, okRecv := viewOf[virtQueue](r, "virtio_net", "receive_queue")
	if !okSend || !okRecv {
		return nil, nil
	}
	sum, base := new(counters), s.base()
	for i := range min(uint32(p.Pairs), maxQueues) {
		t, okSend := structAt[virtQueue](r, d, "virtio_net", "send_queue", p.Send+vmem.VirtAddr(uint64(i)*send.Size()))
		q, okRecv := structAt[virtQueue](r, d, "virtio_net", "receive_queue", p.Recv+vmem.VirtAddr(uint64(i)*recv.Size()))
		if !okSend || !okRecv {
			return nil, nil
		}
		sum[txPackets] += binary.LittleEndian.Uint64(t.Packets[:])
		sum[txBytes] += binary.LittleEndian.Uint64(t.Bytes[:])
		sum[txErrors] += binary.LittleEndian.Uint64(t.Timeouts[:])
		sum[rxPackets] += binary.LittleEndian.Uint64(q.Packets[:])
		sum[rxBytes] += binary.LittleEndian.Uint64(q.Bytes[:])
		sum[rxDropped] += binary.LittleEndian.Uint64(q.Drops[:])
	}
	sum[txDropped] = base[txDropped]
	return sum, nil
}

// A bridgeStats is struct net_bridge of net/bridge/br_private.h.
type bridgeStats struct {
	Stats vmem.VirtAddr `kernel:"stats,optional"` // before 5.11
}

// bridgeCounters follows br_get_stats64 of net/bridge/br_device.c, which bridges had before
// 5.11 (281cc2843ba5); since then they count as tunnels do.
func (r *reader) bridgeCounters(d *device, s *deviceCounters) (*counters, error) {
	p, ok := private[bridgeStats](r, d, "bridge", "net_bridge")
	if !ok || p.Stats == 0 {
		return nil, nil
	}
	sum := s.base()
	return sum, perCPU(r, r.views.stats.traffic, p.Stats, sum.add)
}

// A bondStats is struct bonding (include/net/bonding.h).
type bondStats struct {
	Stats vmem.VirtAddr `kernel:"&bond_stats"` // a struct rtnl_link_stats64
}

// A slaveStats is struct slave.
type slaveStats struct {
	Dev   vmem.VirtAddr `kernel:"dev"`
	Stats vmem.VirtAddr `kernel:"&slave_stats"`
}

// countersAt reads the first counters of a struct rtnl_link_stats64.
func (r *reader) countersAt(addr vmem.VirtAddr) (*counters, error) {
	var s deviceCounters
	if _, err := r.space.ReadVirt(s.Stats[:], addr); err != nil {
		return nil, err
	}
	return s.base(), nil
}

// maxBonds is how deep bonds are in each other: MAX_NEST_DEV of include/linux/netdevice.h.
const maxBonds = 8

// bondCounters follows bond_get_stats of drivers/net/bonding/bond_main.c: what a bond had
// when it was last asked, and what its slaves counted since.
func (r *reader) bondCounters(d *device, depth int) (*counters, error) {
	b, ok := private[bondStats](r, d, "bonding", "bonding")
	if !ok || depth > maxBonds {
		return nil, nil
	}
	v := &r.views.device
	sum, err := r.countersAt(b.Stats)
	if err != nil {
		return nil, err
	}
	seen := map[vmem.VirtAddr]bool{}
	for node, err := range r.walk("slaves of " + d.text()).List(v.lower.Of(d.Addr)) {
		if r.done() {
			break
		}
		var a adjacent
		if err == nil {
			a, err = v.adjacent.Load(r.space, v.above.Container(node))
		}
		if err != nil {
			return nil, err
		}
		s, ok := structAt[slaveStats](r, d, "bonding", "slave", a.Private)
		other := r.devices[s.Dev]
		if !ok || other == nil {
			return nil, nil
		}
		if seen[other.Addr] || a.Dev != s.Dev || other.Master == nil || other.Master.Addr != d.Addr {
			return nil, corrupt("slave %v of %s is no port of it", a.Private, d.text())
		}
		seen[other.Addr] = true
		now, err := r.counters(other, depth+1)
		if now == nil || err != nil {
			return nil, err
		}
		before, err := r.countersAt(s.Stats)
		if err != nil {
			return nil, err
		}
		for i := range sum {
			sum[i] += now[i] - before[i]
		}
	}
	return sum, nil
}
