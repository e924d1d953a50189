package ipvs

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/linux/internal/jiffies"
	"github.com/nodelens/nodelens/linux/network"
	"github.com/nodelens/nodelens/linux/network/internal/nfkit"
	"github.com/nodelens/nodelens/vmem"
)

const vsModule = "ip_vs"

type serviceStruct struct {
	Family    uint16        `kernel:"af"`
	Protocol  uint16        `kernel:"protocol"`
	Address   [16]byte      `kernel:"addr.all"`
	Port      uint16        `kernel:"port,be"`
	Mark      uint32        `kernel:"fwmark"`
	Flags     uint32        `kernel:"flags"`
	Timeout   uint32        `kernel:"timeout"` // ticks
	IPVS      vmem.VirtAddr `kernel:"ipvs"`
	Dests     vmem.VirtAddr `kernel:"&destinations"`
	Scheduler vmem.VirtAddr `kernel:"scheduler"`
}

type destStruct struct {
	Family   uint16        `kernel:"af"`
	Port     uint16        `kernel:"port,be"`
	Address  [16]byte      `kernel:"addr.all"`
	Flags    int32         `kernel:"conn_flags.counter"`
	Weight   int32         `kernel:"weight.counter"`
	Active   int32         `kernel:"activeconns.counter"`
	Inactive int32         `kernel:"inactconns.counter,optional"`
	Total    int32         `kernel:"totalconns.counter,optional"`
	Service  vmem.VirtAddr `kernel:"svc"`
}

type connStruct struct {
	Family   uint16        `kernel:"af"`
	DFamily  uint16        `kernel:"daf"`
	CPort    uint16        `kernel:"cport,be"`
	DPort    uint16        `kernel:"dport,be"`
	VPort    uint16        `kernel:"vport,be"`
	Client   [16]byte      `kernel:"caddr.all"`
	Virtual  [16]byte      `kernel:"vaddr.all"`
	Server   [16]byte      `kernel:"daddr.all"`
	Protocol uint16        `kernel:"protocol"`
	State    uint16        `kernel:"state"`
	Flags    uint32        `kernel:"flags"`
	IPVS     vmem.VirtAddr `kernel:"ipvs"`
	Expires  uint64        `kernel:"timer.expires"`
	Use      int32         `kernel:"refcnt.refs.counter|refcnt.counter"`
}

type reader struct {
	ctx   context.Context //nolint:containedctx // it lives as long as one call
	src   *nfkit.Source
	ns    *network.Namespace
	lost  func(error) bool
	ended bool
	told  bool          // that there are too many
	ipvs  vmem.VirtAddr // of the namespace

	svc     *kstruct.View[serviceStruct]
	dest    *kstruct.View[destStruct]
	conn    *kstruct.View[connStruct]
	sched   *kstruct.Field[vmem.VirtAddr]
	time    jiffies.Time
	timeErr error
}

func (r *reader) object() string { return "IPVS of " + r.ns.String() }

func (r *reader) lose(addr vmem.VirtAddr, err error) {
	if err != nil && !r.ended {
		r.ended = !r.lost(nfkit.Gap(r.object(), addr, err))
	}
}

// bind reports whether there is an IPVS in the namespace that can be read.
func (r *reader) bind() bool {
	if r.src.Mods.Find(vsModule) == nil {
		if _, err := r.src.K.Symbol("ip_vs_conn_put"); err != nil {
			return false // the kernel has no IPVS
		}
	}
	types, lost := r.src.Types("ip_vs_service", vsModule)
	b := kstruct.NewBinder(types)
	of := kstruct.BindField[vmem.VirtAddr](b, "net", "ipvs")
	r.svc = kstruct.Bind[serviceStruct](b, "ip_vs_service")
	r.dest = kstruct.Bind[destStruct](b, "ip_vs_dest")
	r.conn = kstruct.Bind[connStruct](b, "ip_vs_conn")
	r.sched = kstruct.BindField[vmem.VirtAddr](b, "ip_vs_scheduler", "name")
	if err := b.Err(); err != nil {
		r.lose(r.ns.Addr, cmp.Or(lost, err))
		return false
	}
	at, err := of.Load(r.src.Mem(), r.ns.Addr)
	switch {
	case err != nil:
		r.lose(r.ns.Addr, err)
		return false
	case at == 0:
		return false
	case !nfkit.Plausible(at):
		r.lose(r.ns.Addr, nfkit.Pointer("netns_ipvs", at))
		return false
	}
	r.ipvs = at
	if r.time, r.timeErr = r.src.Jiffies(); r.timeErr != nil {
		r.lose(0, fmt.Errorf("timeouts are not known: %w", r.timeErr))
	}
	return true
}

// services calls do for each service of the namespace, and maybe others.
func (r *reader) services(do func(vmem.VirtAddr)) {
	types, _ := r.src.Types("ip_vs_service", vsModule)
	if types.HasField("netns_ipvs", "svc_table") { // since 7.1
		r.resizable("svc_table", "ip_vs_service", "s_list", do)
		return
	}
	var t svcTables
	t.services, _ = r.src.Symbol(vsModule, "ip_vs_svc_table")
	t.marks, _ = r.src.Symbol(vsModule, "ip_vs_svc_fwm_table")
	seen := map[vmem.VirtAddr]bool{}
	if t.services == 0 {
		t = r.unnamed(seen, do)
	}
	once := func(at vmem.VirtAddr) {
		if !seen[at] {
			seen[at] = true
			do(at)
		}
	}
	r.chains(t.services, "s_list", once)
	r.chains(t.marks, "f_list", once)
	n := r.count("num_services") + r.count("num_services6")
	if (t.services == 0 || t.marks == 0) && uint64(len(seen)) < n {
		r.lose(r.ipvs, fmt.Errorf("%w: ip_vs_svc_table has no symbol: of %d services, %d are not found",
			kstruct.ErrUnsupported, n, n-uint64(len(seen))))
	}
}

// count returns what IPVS counts in the namespace, 0 where it does not.
func (r *reader) count(member string) uint64 {
	types, _ := r.src.Types("netns_ipvs", vsModule)
	b := kstruct.NewBinder(types)
	f := kstruct.BindOptionalField[int32](b, "netns_ipvs", member)
	if !f.Ok() {
		return 0
	}
	n, err := f.Load(r.src.Mem(), r.ipvs)
	r.lose(r.ipvs, err)
	return uint64(max(n, 0)) //nolint:gosec // not negative
}

// byServers calls do for the services that the servers in the namespace's table belong to.
func (r *reader) byServers(do func(vmem.VirtAddr)) {
	types, _ := r.src.Types("netns_ipvs", vsModule)
	b := kstruct.NewBinder(types)
	table := kstruct.BindMember(b, "netns_ipvs", "rs_table")
	if err := b.Err(); err != nil {
		r.lose(r.ipvs, err)
		return
	}
	w := r.src.Walk(r.ctx, r.object(), maxObjects, vsModule)
	for i := range min(table.Count(), 1024) {
		for at, err := range w.Entries(w.HList(table.Of(r.ipvs)+vmem.VirtAddr(8*i)), "ip_vs_dest", "d_list") {
			if err != nil {
				r.lose(at, err)
				continue
			}
			d, err := r.dest.Load(r.src.Mem(), at)
			r.lose(at, err)
			if err == nil && d.Service != 0 {
				do(d.Service)
			}
		}
	}
}

// resizable walks the struct ip_vs_rht tables of the namespace: the one in use, and the one
// that its entries are being moved to, which leads to itself where there is none.
func (r *reader) resizable(member, structure, node string, do func(vmem.VirtAddr)) {
	types, _ := r.src.Types("ip_vs_rht", vsModule)
	b := kstruct.NewBinder(types)
	table := kstruct.BindField[vmem.VirtAddr](b, "netns_ipvs", member)
	buckets := kstruct.BindField[vmem.VirtAddr](b, "ip_vs_rht", "buckets")
	next := kstruct.BindField[vmem.VirtAddr](b, "ip_vs_rht", "new_tbl")
	size := kstruct.BindField[int32](b, "ip_vs_rht", "size")
	if err := b.Err(); err != nil {
		r.lose(r.ipvs, err)
		return
	}
	mem := r.src.Mem()
	at, err := table.Load(mem, r.ipvs)
	if err != nil {
		r.lose(r.ipvs, err)
		return
	}
	w := r.src.Walk(r.ctx, r.object(), 0, vsModule)
	seen := map[vmem.VirtAddr]bool{}
	for at != 0 && !seen[at] && len(seen) < 3 {
		seen[at] = true
		if !nfkit.Plausible(at) {
			r.lose(r.ipvs, nfkit.Pointer("ip_vs_rht", at))
			return
		}
		n, err := size.Load(mem, at)
		if err == nil && (n <= 0 || n > 1<<24) {
			err = nfkit.Corrupt("ip_vs_rht of %d chains", n)
		}
		if err != nil {
			r.lose(at, err)
			return
		}
		first, err := buckets.Load(mem, at)
		if err != nil {
			r.lose(at, err)
			return
		}
		for i := range n {
			if r.ended || i%1024 == 0 && r.ctx.Err() != nil {
				return
			}
			for e, err := range w.Entries(w.HListBL(first+vmem.VirtAddr(8*uint64(i))), structure, node) { //nolint:gosec // not negative
				if err != nil {
					r.lose(e, err)
				} else {
					do(e)
				}
			}
		}
		if at, err = next.Load(mem, at); err != nil {
			r.lose(r.ipvs, err)
			return
		}
	}
}

func address(family uint16, b [16]byte) netip.Addr {
	if family == 10 {
		return netip.AddrFrom16(b)
	}
	return netip.AddrFrom4([4]byte(b[:4]))
}

var protocols = map[uint16]string{6: "tcp", 17: "udp", 132: "sctp"}

// service reads a service; nil where it is of another namespace.
func (r *reader) service(at vmem.VirtAddr) (*Service, error) {
	if !nfkit.Plausible(at) {
		return nil, nfkit.Pointer("ip_vs_service", at)
	}
	raw, err := r.svc.Load(r.src.Mem(), at)
	if err != nil || raw.IPVS != r.ipvs {
		return nil, err
	}
	if raw.Family != 2 && raw.Family != 10 {
		return nil, nfkit.Corrupt("ip_vs_service of the family %d", raw.Family)
	}
	s := &Service{
		NetNS: r.ns.Inum, Address: address(raw.Family, raw.Address), Port: raw.Port, Mark: raw.Mark, Family: map[uint16]string{2: "inet", 10: "inet6"}[raw.Family], Addr: at,
	}
	if raw.Mark == 0 {
		s.Protocol = protocols[raw.Protocol]
		if s.Protocol == "" {
			s.Protocol = fmt.Sprint(raw.Protocol)
		}
	}
	if raw.Flags&1 != 0 && r.timeErr == nil { // IP_VS_SVC_F_PERSISTENT
		s.Persistent = int64(r.time.Ticks(uint64(raw.Timeout)) / time.Second)
	}
	if raw.Scheduler != 0 {
		if s.Scheduler, err = r.name(raw.Scheduler); err != nil {
			r.lose(at, err)
		}
	}
	w := r.src.Walk(r.ctx, r.object(), maxObjects, vsModule)
	for d, err := range w.Entries(w.List(raw.Dests), "ip_vs_dest", "n_list") {
		if err != nil {
			r.lose(d, err)
			continue
		}
		if len(s.Destinations) >= 1<<16 {
			return s, fmt.Errorf("%w: more than %d servers", kstruct.ErrTooMany, 1<<16)
		}
		dest, err := r.destination(d, at)
		r.lose(d, err)
		if err == nil {
			s.Destinations = append(s.Destinations, dest)
		}
	}
	return s, nil
}

func (r *reader) name(scheduler vmem.VirtAddr) (string, error) {
	if !nfkit.Plausible(scheduler) {
		return "", nfkit.Pointer("ip_vs_scheduler", scheduler)
	}
	at, err := r.sched.Load(r.src.Mem(), scheduler)
	if err != nil {
		return "", err
	}
	name, err := r.src.CString("name of a scheduler", at, 32)
	if err == nil && !nfkit.Printable(name) {
		err = nfkit.Corrupt("scheduler %q", name)
	}
	return name, err
}

// template is IP_VS_CONN_F_TEMPLATE: a connection that stands for those of a client, who stays with
// a server.
const template = 0x1000

// forwards are how packets reach a server: IP_VS_CONN_F_FWD_MASK.
var forwards = [8]string{"Masq", "Local", "Tunnel", "Route", "Bypass", "5", "6", "7"}

// destination reads a server of the service at svc.
func (r *reader) destination(at, svc vmem.VirtAddr) (Destination, error) {
	raw, err := r.dest.Load(r.src.Mem(), at)
	switch {
	case err != nil:
		return Destination{}, err
	case raw.Service != svc:
		return Destination{}, nfkit.Corrupt("ip_vs_dest %v is of the service %v", at, raw.Service)
	}
	return Destination{
		Address: address(raw.Family, raw.Address), Port: raw.Port, Forward: forwards[raw.Flags&7], Weight: raw.Weight,
		Active: raw.Active, Inactive: raw.Inactive, Total: raw.Total, Addr: at,
	}, nil
}

// connections calls tell for each connection of the namespace.
func (r *reader) connections(tell func(*Connection)) {
	seen := map[vmem.VirtAddr]bool{}
	do := func(at vmem.VirtAddr) {
		if r.ended || seen[at] || r.full(len(seen)) {
			return
		}
		seen[at] = true
		c, err := r.connection(at)
		r.lose(at, err)
		if c != nil {
			tell(c)
		}
	}
	types, _ := r.src.Types("ip_vs_conn", vsModule)
	if types.HasField("netns_ipvs", "conn_tab") {
		// A connection has two nodes, of which that of the original direction tells it.
		r.resizable("conn_tab", "ip_vs_conn_hnode", "node", func(at vmem.VirtAddr) { r.direct(at, do) })
		return
	}
	table, err := r.src.Symbol(vsModule, "ip_vs_conn_tab")
	var size vmem.VirtAddr
	if err == nil {
		size, err = r.src.Symbol(vsModule, "ip_vs_conn_tab_size")
	}
	if err != nil {
		if n := r.count("conn_count.counter"); n > 0 {
			r.lose(r.ipvs, fmt.Errorf("%w: %d connections are not found: %w", kstruct.ErrUnsupported, n, err))
		}
		return
	}
	n, err := r.src.Mem().Uint32(size)
	if err == nil && (n == 0 || n > 1<<24) {
		err = nfkit.Corrupt("ip_vs_conn_tab of %d chains", n)
	}
	if err != nil {
		r.lose(size, err)
		return
	}
	at, err := r.src.Mem().Uint64(table)
	if err == nil && !nfkit.Plausible(vmem.VirtAddr(at)) {
		err = nfkit.Pointer("ip_vs_conn_tab", vmem.VirtAddr(at))
	}
	if err != nil {
		r.lose(table, err)
		return
	}
	w := r.src.Walk(r.ctx, r.object(), 0, vsModule)
	for i := range n {
		if r.ended || i%1024 == 0 && r.ctx.Err() != nil {
			return
		}
		for c, err := range w.Entries(w.HList(vmem.VirtAddr(at)+vmem.VirtAddr(8*uint64(i))), "ip_vs_conn", "c_list") {
			if err != nil {
				r.lose(c, err)
			} else {
				do(c)
			}
		}
	}
}

// direct calls do for the connection whose node of the original direction is at addr.
func (r *reader) direct(at vmem.VirtAddr, do func(vmem.VirtAddr)) {
	types, _ := r.src.Types("ip_vs_conn", vsModule)
	b := kstruct.NewBinder(types)
	dir := kstruct.BindField[uint8](b, "ip_vs_conn_hnode", "dir")
	in := kstruct.BindMember(b, "ip_vs_conn", "hn0")
	if err := b.Err(); err != nil {
		r.lose(at, err)
		return
	}
	d, err := dir.Load(r.src.Mem(), at)
	r.lose(at, err)
	if err == nil && d == 0 {
		do(in.Container(at))
	}
}

// The names of states (net/netfilter/ipvs/ip_vs_proto_*.c).
var states = map[uint16][]string{
	6:  {"NONE", "ESTABLISHED", "SYN_SENT", "SYN_RECV", "FIN_WAIT", "TIME_WAIT", "CLOSE", "CLOSE_WAIT", "LAST_ACK", "LISTEN", "SYNACK"},
	17: {"UDP"},
	132: {
		"NONE", "INIT1", "INIT", "C-SENT", "C-REPLIED", "C-WAIT", "COOKIE", "C-ECHOED", "ESTABLISHED", "S-SENT", "S-RECEIVED", "S-ACK-SENT",
		"REJECTED", "CLOSED",
	},
}

// connection reads a connection; nil where it is of another namespace.
func (r *reader) connection(at vmem.VirtAddr) (*Connection, error) {
	raw, err := r.conn.Load(r.src.Mem(), at)
	if err != nil || raw.IPVS != r.ipvs || raw.Use == 0 {
		return nil, err
	}
	if raw.Family != 2 && raw.Family != 10 {
		return nil, nfkit.Corrupt("ip_vs_conn of the family %d", raw.Family)
	}
	c := &Connection{
		NetNS: r.ns.Inum, Addr: at, Forward: forwards[raw.Flags&7], Expires: -1, Protocol: fmt.Sprint(raw.Protocol), State: "NONE",
		Client:  netip.AddrPortFrom(address(raw.Family, raw.Client), raw.CPort),
		Virtual: netip.AddrPortFrom(address(raw.Family, raw.Virtual), raw.VPort),
		Server:  netip.AddrPortFrom(address(raw.DFamily, raw.Server), raw.DPort),
	}
	switch raw.Protocol {
	case 0:
		c.Protocol = "IP"
	case 6:
		c.Protocol = "TCP"
	case 17:
		c.Protocol = "UDP"
	case 132:
		c.Protocol = "SCTP"
	}
	names := states[raw.Protocol]
	if raw.Flags&template != 0 {
		names = []string{"NONE", "ASSURED"} // ip_vs_ctpl_state_name_table
	}
	if int(raw.State) < len(names) {
		c.State = names[raw.State]
	} else {
		c.State = fmt.Sprint(raw.State)
	}
	if r.timeErr == nil {
		c.Expires = int64(r.time.Left64(raw.Expires) / time.Second)
	}
	return c, nil
}
