package network

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// A Qdisc is a queueing discipline, as `tc -s qdisc` shows it.
type Qdisc struct {
	Kind   string   `json:"kind"`
	Handle TCHandle `json:"handle"`
	Parent TCHandle `json:"parent"` // root, a class, or ffff:fff1 of what sees packets that come in
	// What tc shows of some kinds, under its names: numbers, times in microseconds, sizes and
	// rates in bytes, and 1 for what is on.
	Options    map[string]uint64 `json:"options,omitempty"`
	Bytes      uint64            `json:"bytes"`
	Packets    uint64            `json:"packets"`
	Drops      uint32            `json:"drops"`
	Overlimits uint32            `json:"overlimits"`
	Requeues   uint32            `json:"requeues"`
	Backlog    uint32            `json:"backlog"`           // in bytes
	QLen       uint32            `json:"qlen"`              // in packets
	Classes    []QdiscClass      `json:"classes,omitempty"` // of htb
	Filters    []Filter          `json:"filters,omitempty"`
	Addr       vmem.VirtAddr     `json:"kernelAddress"` // of struct Qdisc
}

// A QdiscClass is a class of an htb.
type QdiscClass struct {
	Handle  TCHandle      `json:"handle"`
	Parent  TCHandle      `json:"parent"`         // root, or a class
	Leaf    TCHandle      `json:"leaf,omitempty"` // the qdisc below
	Rate    uint64        `json:"rate"`           // in bytes a second
	Ceil    uint64        `json:"ceil"`           // in bytes a second
	Prio    uint32        `json:"prio"`
	Quantum uint32        `json:"quantum"`
	Addr    vmem.VirtAddr `json:"kernelAddress"` // of struct htb_class
}

// A TCHandle names a qdisc or class: the number of the qdisc in the upper half.
type TCHandle uint32

const tcRoot TCHandle = 0xffffffff

// String returns the handle as tc prints it, such as 1: or 1:10, root or none.
func (h TCHandle) String() string {
	switch {
	case h == tcRoot:
		return "root"
	case h == 0:
		return "none"
	case h>>16 == 0:
		return fmt.Sprintf(":%x", uint32(h))
	case h&0xffff == 0:
		return fmt.Sprintf("%x:", uint32(h>>16))
	}
	return fmt.Sprintf("%x:%x", uint32(h>>16), uint32(h&0xffff))
}

// MarshalText returns what String does.
func (h TCHandle) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText takes what MarshalText gives.
func (h *TCHandle) UnmarshalText(b []byte) error {
	switch string(b) {
	case "root":
		*h = tcRoot
		return nil
	case "none":
		*h = 0
		return nil
	}
	major, minor, ok := strings.Cut(string(b), ":")
	number := func(s string) (uint64, error) {
		if s == "" {
			return 0, nil
		}
		return strconv.ParseUint(s, 16, 16)
	}
	hi, err := number(major)
	lo, errLo := number(minor)
	if !ok || err != nil || errLo != nil {
		return fmt.Errorf("network: no handle of tc: %q", b)
	}
	*h = TCHandle(hi<<16 | lo)
	return nil
}

// A qdisc is struct Qdisc (include/net/sch_generic.h).
type qdisc struct {
	Flags    uint32        `kernel:"flags"`
	Limit    uint32        `kernel:"limit"`
	Ops      vmem.VirtAddr `kernel:"ops"`
	Handle   uint32        `kernel:"handle"`
	Parent   uint32        `kernel:"parent"`
	Queue    vmem.VirtAddr `kernel:"dev_queue"`
	QLen     uint32        `kernel:"q.qlen"`
	Bytes    [8]byte       `kernel:"bstats.bytes"`
	Packets  [8]byte       `kernel:"bstats.packets"`
	Stats    queueStats    `kernel:"qstats"`
	CPUBytes vmem.VirtAddr `kernel:"cpu_bstats"`
	CPUStats vmem.VirtAddr `kernel:"cpu_qstats"`
	Private  vmem.VirtAddr `kernel:"&privdata"`
}

// Flags of a qdisc (TCQ_F_ of include/net/sch_generic.h).
const (
	qdiscBuiltin   = 1 << 0 // noop_qdisc and its like, which are everybody's
	qdiscCPUStats  = 1 << 5
	qdiscInvisible = 1 << 7
)

// A queueStats is struct gnet_stats_queue (include/uapi/linux/gen_stats.h).
type queueStats struct {
	QLen       uint32 `kernel:"qlen"`
	Backlog    uint32 `kernel:"backlog"`
	Drops      uint32 `kernel:"drops"`
	Requeues   uint32 `kernel:"requeues"`
	Overlimits uint32 `kernel:"overlimits"`
}

// A basicStats is struct gnet_stats_basic_sync, or gnet_stats_basic_cpu before 5.16.
type basicStats struct {
	Bytes   [8]byte `kernel:"bytes|bstats.bytes"`
	Packets [8]byte `kernel:"packets|bstats.packets"`
}

// A qdiscDevice is what struct net_device has of qdiscs.
type qdiscDevice struct {
	Root    vmem.VirtAddr `kernel:"qdisc"`
	Hash    vmem.VirtAddr `kernel:"&qdisc_hash"`
	Ingress vmem.VirtAddr `kernel:"ingress_queue,optional"`
}

// qdiscBuckets is how many lists qdisc_hash of net_device has.
const qdiscBuckets = 16

// A netdevQueue is struct netdev_queue.
type netdevQueue struct {
	Dev      vmem.VirtAddr `kernel:"dev"`
	Sleeping vmem.VirtAddr `kernel:"qdisc_sleeping"`
}

type qdiscViews struct {
	device *kstruct.View[qdiscDevice]
	qdisc  *kstruct.View[qdisc]
	queue  *kstruct.View[netdevQueue]
	queues *kstruct.View[deviceQueues]
	basic  *kstruct.View[basicStats]
	stats  *kstruct.View[queueStats]
	node   kstruct.Member // of Qdisc
	id     kstruct.Member // of Qdisc_ops
	filter filterViews
	err    error
}

func bindQdisc(types *isf.File) (v qdiscViews) {
	b := kstruct.NewBinder(types)
	v.device = kstruct.Bind[qdiscDevice](b, "net_device")
	v.qdisc = kstruct.Bind[qdisc](b, "Qdisc")
	v.queue = kstruct.Bind[netdevQueue](b, "netdev_queue")
	v.queues = kstruct.Bind[deviceQueues](b, "net_device")
	v.basic = kstruct.Bind[basicStats](b, "gnet_stats_basic_sync", "gnet_stats_basic_cpu")
	v.stats = kstruct.Bind[queueStats](b, "gnet_stats_queue")
	v.node = kstruct.BindMember(b, "Qdisc", "hash")
	v.id = kstruct.BindMember(b, "Qdisc_ops", "id")
	v.err = b.Err()
	b = kstruct.NewBinder(types)
	v.filter = bindFilter(b)
	return v
}

// A deviceQueues is what struct net_device has of queues to send by.
type deviceQueues struct {
	Queues vmem.VirtAddr `kernel:"_tx"`
	Count  uint32        `kernel:"num_tx_queues"`
}

// mqStats sums what the qdiscs of all queues count, as mq_dump of net/sched/sch_mq.c does. The one above them counts
// nothing itself: it has the sum as it was when somebody last asked.
func (r *reader) mqStats(d *device, q *Qdisc) {
	v := &r.views.qdisc
	what := "counters of the queues of " + d.text()
	s, err := v.queues.Load(r.space, d.Addr)
	if err == nil && s.Count > maxQueues {
		err = corrupt("%d queues", s.Count)
	}
	if err != nil {
		r.lose(what, d.Addr, err)
		return
	}
	q.Bytes, q.Packets, q.Drops, q.Overlimits, q.Requeues, q.Backlog, q.QLen = 0, 0, 0, 0, 0, 0, 0
	for i := range vmem.VirtAddr(s.Count) {
		if r.done() {
			return
		}
		at := s.Queues + i*vmem.VirtAddr(v.queue.Size())
		queue, err := v.queue.Load(r.space, at)
		if err == nil && queue.Dev != d.Addr {
			err = corrupt("netdev_queue %v of another device, %v", at, queue.Dev)
		}
		var one *Qdisc
		var raw *qdisc
		if err == nil {
			one, raw, err = r.qdisc(d, queue.Sleeping)
		}
		if err == nil {
			err = r.qdiscStats(one, raw)
		}
		if err != nil {
			r.lose(what, at, err)
			continue
		}
		q.Bytes += one.Bytes
		q.Packets += one.Packets
		q.Drops += one.Drops
		q.Overlimits += one.Overlimits
		q.Requeues += one.Requeues
		q.Backlog += one.Backlog
		q.QLen += one.QLen
	}
}

// maxQdiscs is how many qdiscs of one device are told: a handle has 16 bits.
const maxQdiscs = 1 << 16

// readQdiscs reads the qdiscs of a namespace's devices in the order of tc_dump_qdisc of
// net/sched/sch_api.c: the root, those below it, and what sees packets that come in.
func (r *reader) readQdiscs(c *Configuration) {
	v := &r.views.qdisc
	for _, dev := range c.Devices {
		d := r.devices[dev.Addr]
		what := "qdiscs of " + d.text()
		s, err := v.device.Load(r.space, d.Addr)
		if err != nil {
			r.lose(what, d.Addr, err)
			continue
		}
		if s.Root != 0 {
			r.addQdisc(d, s.Root, tcRoot)
		}
		r.readHash(d, what, s.Hash)
		if s.Ingress == 0 {
			continue
		}
		q, err := v.queue.Load(r.space, s.Ingress)
		if err == nil && q.Dev != d.Addr {
			err = corrupt("netdev_queue %v of another device, %v", s.Ingress, q.Dev)
		}
		if err != nil {
			r.lose(what, s.Ingress, err)
			continue
		}
		if q.Sleeping != 0 {
			r.addQdisc(d, q.Sleeping, 0)
		}
	}
}

// readHash reads the qdiscs below the root.
func (r *reader) readHash(d *device, what string, table vmem.VirtAddr) {
	v := &r.views.qdisc
	for node, head := range r.hashed(what, table, qdiscBuckets) {
		if len(d.Qdiscs) >= maxQdiscs {
			r.lose(what, head, fmt.Errorf("%w: more than %d", kstruct.ErrTooMany, maxQdiscs))
			return
		}
		r.addQdisc(d, v.node.Container(node), 0)
	}
}

// addQdisc reads the qdisc at addr. Those that tc does not show are none.
func (r *reader) addQdisc(d *device, addr vmem.VirtAddr, parent TCHandle) {
	q, s, err := r.qdisc(d, addr)
	if err != nil {
		r.lose("qdisc of "+d.text(), addr, err)
		return
	}
	if s.Flags&(qdiscBuiltin|qdiscInvisible) != 0 {
		return
	}
	if parent != 0 {
		q.Parent = parent
	}
	if err := r.qdiscStats(q, s); err != nil {
		r.lose("counters of a qdisc of "+d.text(), addr, err)
	}
	if q.Kind == "mq" && parent == tcRoot { // it can be no other
		r.mqStats(d, q)
	}
	r.qdiscOptions(d, q, s)
	r.qdiscFilters(d, q, s)
	d.Qdiscs = append(d.Qdiscs, q)
}

func (r *reader) qdisc(d *device, addr vmem.VirtAddr) (*Qdisc, *qdisc, error) {
	v := &r.views.qdisc
	if !plausible(addr) {
		return nil, nil, errPointer("Qdisc", addr)
	}
	s := new(qdisc)
	if err := v.qdisc.Read(r.space, addr, s); err != nil {
		return nil, nil, err
	}
	q := &Qdisc{Handle: TCHandle(s.Handle), Parent: TCHandle(s.Parent), Addr: addr}
	if s.Flags&qdiscBuiltin != 0 {
		return q, s, nil
	}
	queue, err := v.queue.Load(r.space, s.Queue)
	if err == nil && queue.Dev != d.Addr {
		err = corrupt("Qdisc %v of another device, %v", addr, queue.Dev)
	}
	if err == nil {
		q.Kind, err = r.space.CString(v.id.Of(s.Ops), int(v.id.Size()))
	}
	return q, s, err
}

// qdiscStats follows tc_fill_qdisc of net/sched/sch_api.c. Some qdiscs count for each CPU.
func (r *reader) qdiscStats(q *Qdisc, s *qdisc) error {
	q.Bytes, q.Packets = binary.LittleEndian.Uint64(s.Bytes[:]), binary.LittleEndian.Uint64(s.Packets[:])
	add := func(n *queueStats) {
		q.QLen += n.QLen
		q.Backlog += n.Backlog
		q.Drops += n.Drops
		q.Requeues += n.Requeues
		q.Overlimits += n.Overlimits
	}
	if s.Flags&qdiscCPUStats == 0 {
		add(&s.Stats)
		q.QLen += s.QLen
		return nil
	}
	q.Bytes, q.Packets = 0, 0
	err := perCPU(r, r.views.qdisc.basic, s.CPUBytes, func(n *basicStats) {
		q.Bytes += binary.LittleEndian.Uint64(n.Bytes[:])
		q.Packets += binary.LittleEndian.Uint64(n.Packets[:])
	})
	if err != nil {
		return err
	}
	err = perCPU(r, r.views.qdisc.stats, s.CPUStats, add)
	q.QLen += s.Stats.QLen // qdisc_qlen_sum of include/net/sch_generic.h
	return err
}
