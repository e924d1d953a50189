package network

import (
	"encoding/binary"
	"fmt"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// Stats are the counters of a device, as `ip -s link` shows them.
type Stats struct {
	RX ReceiveStats  `json:"rx"`
	TX TransmitStats `json:"tx"`
}

// ReceiveStats count what a device received.
type ReceiveStats struct {
	Bytes      uint64 `json:"bytes"`
	Packets    uint64 `json:"packets"`
	Errors     uint64 `json:"errors"`
	Dropped    uint64 `json:"dropped"`
	OverErrors uint64 `json:"overErrors"`
	Multicast  uint64 `json:"multicast"`
}

// TransmitStats count what a device sent.
type TransmitStats struct {
	Bytes         uint64 `json:"bytes"`
	Packets       uint64 `json:"packets"`
	Errors        uint64 `json:"errors"`
	Dropped       uint64 `json:"dropped"`
	CarrierErrors uint64 `json:"carrierErrors"`
	Collisions    uint64 `json:"collisions"`
}

// counters are those of struct net_device_stats, in its order, which is that of the first of
// struct rtnl_link_stats64.
type counters [23]uint64

const (
	rxPackets = iota
	txPackets
	rxBytes
	txBytes
	rxErrors
	txErrors
	rxDropped
	txDropped
	multicast
	collisions
	_
	rxOver
	_
	rxFrame
	_
	_
	_
	txCarrier
)

func (c *counters) stats() *Stats {
	return &Stats{
		RX: ReceiveStats{c[rxBytes], c[rxPackets], c[rxErrors], c[rxDropped], c[rxOver], c[multicast]},
		TX: TransmitStats{c[txBytes], c[txPackets], c[txErrors], c[txDropped], c[txCarrier], c[collisions]},
	}
}

// A deviceCounters is what struct net_device says of its counters.
type deviceCounters struct {
	Ops    vmem.VirtAddr             `kernel:"netdev_ops"`
	Stats  [len(counters{}) * 8]byte `kernel:"stats"`
	PerCPU vmem.VirtAddr             `kernel:"lstats"`              // the same as tstats and dstats
	Core   vmem.VirtAddr             `kernel:"core_stats,optional"` // since 5.18 (625788b58445)
	// Before there were three of their own.
	RXDropped [8]byte `kernel:"rx_dropped,optional"`
	TXDropped [8]byte `kernel:"tx_dropped,optional"`
	Kind      uint32  `kernel:"pcpu_stat_type,optional"` // since 6.6 (34d21de99cea)
}

// The kinds of counters for each CPU: enum netdev_stat_type.
const (
	statsOfTunnels = 2
	statsWithDrops = 3
)

// A trafficStats is struct pcpu_sw_netstats, or pcpu_dstats with what was dropped. The
// members have been of a type of their own since 5.19.
type trafficStats struct {
	RXPackets [8]byte `kernel:"rx_packets"`
	RXBytes   [8]byte `kernel:"rx_bytes"`
	TXPackets [8]byte `kernel:"tx_packets"`
	TXBytes   [8]byte `kernel:"tx_bytes"`
	RXDrops   [8]byte `kernel:"rx_drops,optional"`
	TXDrops   [8]byte `kernel:"tx_drops,optional"`
}

// A linkStats is struct pcpu_lstats: one direction.
type linkStats struct {
	Packets [8]byte `kernel:"packets"`
	Bytes   [8]byte `kernel:"bytes"`
}

// A coreStats is struct net_device_core_stats.
type coreStats struct {
	RXDropped uint64 `kernel:"rx_dropped"`
	TXDropped uint64 `kernel:"tx_dropped"`
}

// A deviceOps is struct net_device_ops.
type deviceOps struct {
	Stats64 vmem.VirtAddr `kernel:"ndo_get_stats64"`
	Stats   vmem.VirtAddr `kernel:"ndo_get_stats"`
}

type statsViews struct {
	device  *kstruct.View[deviceCounters]
	ops     *kstruct.View[deviceOps]
	traffic *kstruct.View[trafficStats]
	drops   *kstruct.View[trafficStats] // of pcpu_dstats
	link    *kstruct.View[linkStats]
	core    *kstruct.View[coreStats]
	err     error
}

func bindStats(types *isf.File) (v statsViews) {
	b := kstruct.NewBinder(types)
	v.device = kstruct.Bind[deviceCounters](b, "net_device")
	v.ops = kstruct.Bind[deviceOps](b, "net_device_ops")
	v.traffic = kstruct.Bind[trafficStats](b, "pcpu_sw_netstats")
	v.link = kstruct.Bind[linkStats](b, "pcpu_lstats")
	v.err = b.Err()
	b = kstruct.NewBinder(types)
	v.drops = kstruct.BindOptional[trafficStats](b, "pcpu_dstats")
	v.core = kstruct.BindOptional[coreStats](b, "net_device_core_stats")
	return v
}

// readStats reads the counters of a namespace's devices. Which they are the code of the
// driver says (dev_get_stats of net/core/dev.c): of drivers that are not known here there are
// none.
func (r *reader) readStats(c *Configuration) {
	for _, dev := range c.Devices {
		d := r.devices[dev.Addr]
		sum, err := r.counters(d, 0)
		switch {
		case err != nil:
			r.lose("counters of "+d.text(), d.Addr, err)
		case sum == nil:
			r.unknownStats(d)
		default:
			d.Stats = sum.stats()
		}
	}
}

// unknownStats tells that the counters of devices of a kind are not known, once.
func (r *reader) unknownStats(d *device) {
	kind := d.Kind
	if kind == "" {
		kind = d.Driver
	}
	if key := "counters of " + kind; !r.once[key] {
		r.once[key] = true
		r.lose("counters of "+d.text(), d.Addr, fmt.Errorf("%w: where the driver of a device of the kind %q counts is not known", kstruct.ErrUnsupported, kind))
	}
}

// counters follows dev_get_stats of net/core/dev.c. A bond's are those of its slaves, depth
// devices below one another. It returns nil where the driver's own are
// not known.
func (r *reader) counters(d *device, depth int) (*counters, error) {
	v := &r.views.stats
	s, err := v.device.Load(r.space, d.Addr)
	if err != nil {
		return nil, err
	}
	sum, err := r.ownCounters(d, &s, depth)
	if sum == nil || err != nil {
		return nil, err
	}
	sum[rxDropped] += binary.LittleEndian.Uint64(s.RXDropped[:])
	sum[txDropped] += binary.LittleEndian.Uint64(s.TXDropped[:])
	if s.Core == 0 || !v.core.Ok() {
		return sum, nil
	}
	return sum, perCPU(r, v.core, s.Core, func(c *coreStats) {
		sum[rxDropped] += c.RXDropped
		sum[txDropped] += c.TXDropped
	})
}

// ownCounters returns what the functions of the driver would have.
func (r *reader) ownCounters(d *device, s *deviceCounters, depth int) (*counters, error) {
	ops, err := r.views.stats.ops.Load(r.space, s.Ops)
	switch {
	case err != nil:
		return nil, err
	case ops.Stats64 == 0 && ops.Stats == 0:
		return r.commonCounters(s)
	case ops.Stats64 != 0 && (ops.Stats64 == r.symbol("dev_get_tstats64") || ops.Stats64 == r.symbol("ip_tunnel_get_stats64")):
		return r.tunnelCounters(s)
	case d.Flags&flagLoopback != 0:
		sum, err := r.linkCounters(s)
		if err == nil {
			sum[rxPackets], sum[rxBytes] = sum[txPackets], sum[txBytes]
		}
		return sum, err
	}
	switch d.Kind {
	case "dummy":
		return r.linkCounters(s)
	case "veth":
		return r.vethCounters(d, s)
	case "netkit":
		return r.netkitCounters(s)
	case "macvlan", "macvtap", "vlan", "ipvlan", "ipvtap":
		return r.stackedCounters(d)
	case "tun":
		return r.tunCounters(d, s)
	case "ifb":
		return r.ifbCounters(d, s)
	case "bridge":
		return r.bridgeCounters(d, s)
	case "bond":
		return r.bondCounters(d, depth)
	}
	if d.Driver == "virtio_net" {
		return r.virtioCounters(d, s)
	}
	return nil, nil
}

// symbol returns the address of a symbol, 0 for none.
func (r *reader) symbol(name string) vmem.VirtAddr {
	at, err := r.k.Symbol(name)
	if err != nil {
		return 0
	}
	return at
}

// base returns the counters in a net_device itself.
func (s *deviceCounters) base() *counters {
	var c counters
	for i := range c {
		c[i] = binary.LittleEndian.Uint64(s.Stats[i*8:])
	}
	return &c
}

func (r *reader) commonCounters(s *deviceCounters) (*counters, error) {
	switch s.Kind {
	case statsOfTunnels:
		return r.tunnelCounters(s)
	case statsWithDrops:
		sum := s.base()
		if !r.views.stats.drops.Ok() {
			return nil, nil
		}
		return sum, perCPU(r, r.views.stats.drops, s.PerCPU, sum.add)
	}
	return s.base(), nil
}

// tunnelCounters follows dev_get_tstats64 of net/core/dev.c.
func (r *reader) tunnelCounters(s *deviceCounters) (*counters, error) {
	sum := s.base()
	return sum, perCPU(r, r.views.stats.traffic, s.PerCPU, sum.add)
}

func (c *counters) add(s *trafficStats) {
	c[rxPackets] += binary.LittleEndian.Uint64(s.RXPackets[:])
	c[rxBytes] += binary.LittleEndian.Uint64(s.RXBytes[:])
	c[txPackets] += binary.LittleEndian.Uint64(s.TXPackets[:])
	c[txBytes] += binary.LittleEndian.Uint64(s.TXBytes[:])
	c[rxDropped] += binary.LittleEndian.Uint64(s.RXDrops[:])
	c[txDropped] += binary.LittleEndian.Uint64(s.TXDrops[:])
}

// linkCounters returns what lstats count, as what was sent.
func (r *reader) linkCounters(s *deviceCounters) (*counters, error) {
	sum := new(counters)
	return sum, perCPU(r, r.views.stats.link, s.PerCPU, func(l *linkStats) {
		sum[txPackets] += binary.LittleEndian.Uint64(l.Packets[:])
		sum[txBytes] += binary.LittleEndian.Uint64(l.Bytes[:])
	})
}

// perCPU calls add with the structure of each CPU that a __percpu pointer stands for.
func perCPU[T any](r *reader, v *kstruct.View[T], ptr vmem.VirtAddr, add func(*T)) error {
	if ptr == 0 {
		return nil
	}
	cpus, err := r.cpus()
	if err != nil {
		return err
	}
	for _, cpu := range cpus {
		at, err := r.objs.PerCPUPtr(ptr, cpu)
		if err != nil {
			return err
		}
		s, err := v.Load(r.space, at)
		if err != nil {
			return err
		}
		add(&s)
	}
	return nil
}
