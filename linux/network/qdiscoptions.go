package network

import (
	"fmt"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// qdiscOptions reads what qdiscs of some kinds are set to.
func (r *reader) qdiscOptions(d *device, q *Qdisc, s *qdisc) {
	switch q.Kind {
	case "fq_codel":
		r.fqCodel(d, q, s)
	case "htb":
		r.htb(d, q, s)
	case "tbf":
		r.tbf(d, q, s)
	case "prio":
		if p, ok := structAt[prioSched](r, d, "sch_prio", "prio_sched_data", s.Private); ok {
			q.Options = map[string]uint64{"bands": uint64(p.Bands)}
		}
	case "pfifo_fast":
		q.Options = map[string]uint64{"bands": 3} // PFIFO_FAST_BANDS of net/sched/sch_generic.c
	case "pfifo", "bfifo", "pfifo_head_drop":
		q.Options = map[string]uint64{"limit": uint64(s.Limit)}
	case "fq":
		r.fq(d, q, s)
	case "netem":
		if p, ok := structAt[netemSched](r, d, "sch_netem", "netem_sched_data", s.Private); ok {
			q.Options = map[string]uint64{"limit": uint64(p.Limit), "delay": uint64(p.Latency) / 1000, "jitter": uint64(p.Jitter) / 1000}
		}
	}
}

// A fqCodelSched is struct fq_codel_sched_data of net/sched/sch_fq_codel.c, with the struct
// codel_params in it.
type fqCodelSched struct {
	Block    vmem.VirtAddr `kernel:"block"`
	Flows    uint32        `kernel:"flows_cnt"`
	Quantum  uint32        `kernel:"quantum"`
	Batch    uint32        `kernel:"drop_batch_size"`
	Memory   uint32        `kernel:"memory_limit"`
	Target   uint32        `kernel:"cparams.target"`
	Interval uint32        `kernel:"cparams.interval"`
	ECN      bool          `kernel:"cparams.ecn"`
}

// codelMicroseconds follows codel_time_to_us of include/net/codel.h.
func codelMicroseconds(t uint32) uint64 { return uint64(t) << 10 / 1000 }

func (r *reader) fqCodel(d *device, q *Qdisc, s *qdisc) {
	p, ok := structAt[fqCodelSched](r, d, "sch_fq_codel", "fq_codel_sched_data", s.Private)
	if !ok {
		return
	}
	q.Options = map[string]uint64{
		"limit": uint64(s.Limit), "flows": uint64(p.Flows), "quantum": uint64(p.Quantum), "target": codelMicroseconds(p.Target),
		"interval": codelMicroseconds(p.Interval), "memory_limit": uint64(p.Memory), "ecn": 0, "drop_batch": uint64(p.Batch),
	}
	if p.ECN {
		q.Options["ecn"] = 1
	}
}

// A fqSched is struct fq_sched_data of net/sched/sch_fq.c.
type fqSched struct {
	Quantum    uint32 `kernel:"quantum"`
	Initial    uint32 `kernel:"initial_quantum"`
	FlowLimit  uint32 `kernel:"flow_plimit"`
	OrphanMask uint32 `kernel:"orphan_mask"`
	Buckets    uint8  `kernel:"fq_trees_log"`
}

func (r *reader) fq(d *device, q *Qdisc, s *qdisc) {
	p, ok := structAt[fqSched](r, d, "sch_fq", "fq_sched_data", s.Private)
	if !ok {
		return
	}
	q.Options = map[string]uint64{
		"limit": uint64(s.Limit), "flow_limit": uint64(p.FlowLimit), "buckets": 1 << (p.Buckets & 31), "orphan_mask": uint64(p.OrphanMask),
		"quantum": uint64(p.Quantum), "initial_quantum": uint64(p.Initial),
	}
}

// A tbfSched is struct tbf_sched_data of net/sched/sch_tbf.c.
type tbfSched struct {
	Limit uint32 `kernel:"limit"`
	Rate  uint64 `kernel:"rate.rate_bytes_ps"`
	Peak  uint64 `kernel:"peak.rate_bytes_ps"`
	// How long a burst takes at the rate, in nanoseconds.
	Buffer int64 `kernel:"buffer"`
}

func (r *reader) tbf(d *device, q *Qdisc, s *qdisc) {
	p, ok := structAt[tbfSched](r, d, "sch_tbf", "tbf_sched_data", s.Private)
	if !ok {
		return
	}
	q.Options = map[string]uint64{"limit": uint64(p.Limit), "rate": p.Rate, "burst": uint64(float64(p.Buffer) * float64(p.Rate) / 1e9)}
	if p.Peak != 0 {
		q.Options["peakrate"] = p.Peak
	}
}

// A prioSched is struct prio_sched_data of net/sched/sch_prio.c.
type prioSched struct {
	Bands int32         `kernel:"bands"`
	Block vmem.VirtAddr `kernel:"block"`
}

// A netemSched is struct netem_sched_data of net/sched/sch_netem.c. Times are in nanoseconds.
type netemSched struct {
	Latency int64  `kernel:"latency"`
	Jitter  int64  `kernel:"jitter"`
	Limit   uint32 `kernel:"limit"`
}

// A htbSched is struct htb_sched of net/sched/sch_htb.c.
type htbSched struct {
	Hash    vmem.VirtAddr `kernel:"clhash.hash"`
	Size    uint32        `kernel:"clhash.hashsize"`
	Default int32         `kernel:"defcls"`
	R2Q     int32         `kernel:"rate2quantum"`
	QLen    int32         `kernel:"direct_qlen"`
	Block   vmem.VirtAddr `kernel:"block"`
}

// A htbClass is struct htb_class.
type htbClass struct {
	ID      uint32        `kernel:"common.classid"`
	Node    vmem.VirtAddr `kernel:"&common.hnode"`
	Rate    uint64        `kernel:"rate.rate_bytes_ps"`
	Ceil    uint64        `kernel:"ceil.rate_bytes_ps"`
	Prio    uint32        `kernel:"prio"`
	Quantum int32         `kernel:"quantum"`
	Level   int32         `kernel:"level"`
	Parent  vmem.VirtAddr `kernel:"parent"`
	Leaf    vmem.VirtAddr `kernel:"leaf.q"` // where the level is 0
}

func (r *reader) htb(d *device, q *Qdisc, s *qdisc) {
	p, ok := structAt[htbSched](r, d, "sch_htb", "htb_sched", s.Private)
	if !ok {
		return
	}
	q.Options = map[string]uint64{"r2q": uint64(p.R2Q), "default": uint64(uint32(p.Default)), "direct_qlen": uint64(p.QLen)}
	v, ok := viewOf[htbClass](r, "sch_htb", "htb_class")
	if !ok {
		return
	}
	node, _ := v.Offset("Node")
	what := fmt.Sprintf("classes of qdisc %v of %s", q.Handle, d.text())
	if p.Size > maxQdiscs {
		r.lose(what, s.Private, corrupt("a hash table of %d classes", p.Size))
		return
	}
	for at, head := range r.hashed(what, p.Hash, int(p.Size)) {
		if len(q.Classes) >= maxQdiscs {
			r.lose(what, head, fmt.Errorf("%w: more than %d", kstruct.ErrTooMany, maxQdiscs))
			return
		}
		class, err := r.htbClass(v, at-vmem.VirtAddr(node), q.Handle)
		if err != nil {
			r.lose(what, head, err)
			continue
		}
		q.Classes = append(q.Classes, *class)
	}
}

// htbClass reads the class at addr of the qdisc with a handle.
func (r *reader) htbClass(v *kstruct.View[htbClass], addr vmem.VirtAddr, of TCHandle) (*QdiscClass, error) {
	s, err := v.Load(r.space, addr)
	if err != nil {
		return nil, err
	}
	class := &QdiscClass{
		Handle: TCHandle(s.ID), Parent: tcRoot, Rate: s.Rate, Ceil: s.Ceil, Prio: s.Prio, Quantum: uint32(s.Quantum), Addr: addr,
	}
	if class.Handle>>16 != of>>16 {
		return nil, corrupt("class %v %v of the qdisc %v", addr, class.Handle, of)
	}
	if s.Parent != 0 {
		up, err := v.Load(r.space, s.Parent)
		if err != nil {
			return nil, err
		}
		class.Parent = TCHandle(up.ID)
	}
	if s.Level == 0 && s.Leaf != 0 {
		leaf, err := r.views.qdisc.qdisc.Load(r.space, s.Leaf)
		if err != nil {
			return nil, err
		}
		class.Leaf = TCHandle(leaf.Handle)
	}
	return class, nil
}
