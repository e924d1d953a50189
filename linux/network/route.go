package network

import (
	"fmt"
	"net/netip"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// A Route is a route, as `ip route show table all` shows it.
type Route struct {
	Family    Family            `json:"family"`
	Type      RouteType         `json:"type"`
	Dst       string            `json:"dst"`            // a network, an address or default
	From      string            `json:"from,omitempty"` // the sources that it is for, of IPv6
	TOS       uint8             `json:"tos,omitempty"`
	Table     Table             `json:"table"`
	Gateway   netip.Addr        `json:"gateway,omitzero"` // may be of IPv6 though the route is not
	Device    string            `json:"dev,omitempty"`
	Protocol  RouteProtocol     `json:"protocol"`
	Scope     Scope             `json:"scope"` // of IPv4; those of IPv6 are global
	PrefSrc   netip.Addr        `json:"prefsrc,omitzero"`
	Metric    uint32            `json:"metric,omitempty"`
	Metrics   map[string]uint32 `json:"metrics,omitempty"` // such as mtu, in the units of the kernel
	NextHopID uint32            `json:"nhid,omitempty"`    // of the nexthop object
	Encap     string            `json:"encap,omitempty"`   // the kind of a lightweight tunnel
	Flags     RouteFlags        `json:"flags"`
	NextHops  []NextHop         `json:"nexthops,omitempty"` // where there are several
	Expires   uint32            `json:"expires,omitempty"`  // in seconds from when memory was captured, of IPv6
	Pref      string            `json:"pref,omitempty"`     // of IPv6: low, medium or high
	Addr      vmem.VirtAddr     `json:"kernelAddress"`      // of struct fib_alias or fib6_info
}

// A NextHop is one of several ways of a route.
type NextHop struct {
	Gateway netip.Addr `json:"gateway,omitzero"`
	Device  string     `json:"dev,omitempty"`
	Weight  uint32     `json:"weight"`
	Encap   string     `json:"encap,omitempty"`
	Flags   RouteFlags `json:"flags"`
}

// A nextHop is struct fib_nh_common (include/net/ip_fib.h).
type nextHop struct {
	Dev      vmem.VirtAddr `kernel:"nhc_dev"`
	Index    int32         `kernel:"nhc_oif"`
	GWFamily uint8         `kernel:"nhc_gw_family"`
	Flags    uint8         `kernel:"nhc_flags"`
	Encap    vmem.VirtAddr `kernel:"nhc_lwtstate,optional"`
	Gateway  [16]byte      `kernel:"nhc_gw"`
	Weight   int32         `kernel:"nhc_weight"`
}

// A nextHopObject is struct nexthop (include/net/nexthop.h), since 5.3.
type nextHopObject struct {
	Net   vmem.VirtAddr `kernel:"net"`
	ID    uint32        `kernel:"id"`
	Group bool          `kernel:"is_group"`
	Info  vmem.VirtAddr `kernel:"nh_info"` // and the group
}

// A nextHopInfo is struct nh_info.
type nextHopInfo struct {
	Parent vmem.VirtAddr `kernel:"nh_parent"`
	Reject bool          `kernel:"reject_nh"`
	Common vmem.VirtAddr `kernel:"&fib_nhc"`
}

// A groupEntry is struct nh_grp_entry.
type groupEntry struct {
	Object vmem.VirtAddr `kernel:"nh"`
	Weight uint16        `kernel:"weight"` // a byte before 6.12 (b72a6a7ab957)
}

type routeViews struct {
	hop       *kstruct.View[nextHop]
	object    *kstruct.View[nextHopObject]
	info      *kstruct.View[nextHopInfo]
	groupSize *kstruct.Field[uint16] // of nh_group
	entries   kstruct.Member         // of nh_group
	entry     *kstruct.View[groupEntry]
	encap     *kstruct.Field[uint16] // the type of a lwtunnel_state
	metrics   *kstruct.View[routeMetrics]
	err       error
}

// routeMetrics is struct dst_metrics (include/net/dst.h).
type routeMetrics struct {
	Values [len(metricNames)]uint32 `kernel:"metrics"`
}

func bindRoute(types *isf.File) (v routeViews) {
	b := kstruct.NewBinder(types)
	v.hop = kstruct.Bind[nextHop](b, "fib_nh_common")
	v.metrics = kstruct.Bind[routeMetrics](b, "dst_metrics")
	v.err = b.Err()
	b = kstruct.NewBinder(types)
	v.object = kstruct.BindOptional[nextHopObject](b, "nexthop")
	v.info = kstruct.BindOptional[nextHopInfo](b, "nh_info")
	v.groupSize = kstruct.BindOptionalField[uint16](b, "nh_group", "num_nh")
	v.entries = kstruct.BindOptionalMember(b, "nh_group", "nh_entries")
	v.entry = kstruct.BindOptional[groupEntry](b, "nh_grp_entry")
	v.encap = kstruct.BindOptionalField[uint16](b, "lwtunnel_state", "type")
	return v
}

// maxHops is how many ways a route is told to have. A netlink message has room for fewer.
const maxHops = 4096

// hops sets the ways of a route: one is the route's own.
func (t *Route) hops(hops []NextHop) {
	if len(hops) != 1 {
		t.NextHops = hops
		return
	}
	h := hops[0]
	t.Gateway, t.Device, t.Flags, t.Encap = h.Gateway, h.Device, h.Flags, h.Encap
}

// hop reads the fib_nh_common at addr, whose device must be one of the namespace.
func (r *reader) hop(c *Configuration, addr vmem.VirtAddr) (NextHop, error) {
	v := &r.views.route
	s, err := v.hop.Load(r.space, addr)
	if err != nil {
		return NextHop{}, err
	}
	h := NextHop{Flags: RouteFlags(s.Flags) & shownRouteFlags, Weight: uint32(s.Weight)}
	switch Family(s.GWFamily) {
	case 0:
	case Inet:
		h.Gateway = netip.AddrFrom4([4]byte(s.Gateway[:4]))
	case Inet6:
		h.Gateway = netip.AddrFrom16(s.Gateway)
	default:
		return h, corrupt("next hop %v with a gateway of family %d", addr, s.GWFamily)
	}
	if s.Dev != 0 {
		d := r.devices[s.Dev]
		if d == nil || d.config != c {
			return h, corrupt("next hop %v by the device %v, which is none of the namespace", addr, s.Dev)
		}
		h.Device = d.Name
	}
	if s.Encap != 0 && v.encap.Ok() {
		typ, err := v.encap.Load(r.space, s.Encap)
		if err != nil {
			return h, err
		}
		h.Encap = encapNames[typ]
		if h.Encap == "" {
			h.Encap = fmt.Sprint(typ)
		}
	}
	return h, nil
}

// objectHops reads the ways of a nexthop object: nexthop_info_notify and its like of
// net/ipv4/nexthop.c. It sets what the object says of the route.
func (r *reader) objectHops(c *Configuration, t *Route, addr vmem.VirtAddr) ([]NextHop, error) {
	v := &r.views.route
	o, err := r.nextHopObject(c, addr)
	if err != nil {
		return nil, err
	}
	t.NextHopID = o.ID
	if !o.Group {
		h, reject, err := r.objectHop(c, addr, &o)
		if reject {
			t.Type = routeBlackhole
		}
		return []NextHop{h}, err
	}
	n, err := v.groupSize.Load(r.space, o.Info)
	if err != nil {
		return nil, err
	}
	var hops []NextHop
	for i := range min(int(n), maxHops) {
		e, err := v.entry.Load(r.space, v.entries.Of(o.Info)+vmem.VirtAddr(uint64(i)*v.entry.Size()))
		if err != nil {
			return hops, err
		}
		of, err := r.nextHopObject(c, e.Object)
		if err != nil {
			return hops, err
		}
		h, _, err := r.objectHop(c, e.Object, &of)
		if err != nil {
			return hops, err
		}
		h.Weight = uint32(e.Weight)
		hops = append(hops, h)
	}
	if int(n) > maxHops {
		return hops, fmt.Errorf("%w: more than %d next hops", kstruct.ErrTooMany, maxHops)
	}
	return hops, nil
}

func (r *reader) nextHopObject(c *Configuration, addr vmem.VirtAddr) (o nextHopObject, err error) {
	v := &r.views.route
	if !v.object.Ok() || !v.info.Ok() || !v.entry.Ok() || !v.groupSize.Ok() || !v.entries.Ok() {
		return o, fmt.Errorf("%w: no types of nexthop objects", kstruct.ErrUnsupported)
	}
	if !plausible(addr) {
		return o, errPointer("nexthop", addr)
	}
	if o, err = v.object.Load(r.space, addr); err != nil {
		return o, err
	}
	if o.Net != c.Namespace.Addr {
		return o, corrupt("nexthop %v of another namespace, %v", addr, o.Net)
	}
	return o, nil
}

// objectHop reads the one way of the object at addr, and reports whether it is none: a black
// hole.
func (r *reader) objectHop(c *Configuration, addr vmem.VirtAddr, o *nextHopObject) (h NextHop, reject bool, err error) {
	info, err := r.views.route.info.Load(r.space, o.Info)
	if err != nil {
		return h, false, err
	}
	if info.Parent != addr || o.Group {
		return h, false, corrupt("nh_info %v of another nexthop, %v", o.Info, info.Parent)
	}
	h, err = r.hop(c, info.Common)
	return h, info.Reject, err
}

// routeMetrics reads the metrics of a route that are set.
func (r *reader) routeMetrics(addr vmem.VirtAddr) (map[string]uint32, error) {
	if addr == 0 {
		return nil, nil
	}
	s, err := r.views.route.metrics.Load(r.space, addr)
	if err != nil {
		return nil, err
	}
	var set map[string]uint32
	for i, v := range s.Values {
		if v != 0 {
			if set == nil {
				set = map[string]uint32{}
			}
			set[metricNames[i]] = v
		}
	}
	return set, nil
}

// destination prints a network as `ip` does.
func destination(p netip.Prefix) string {
	switch p.Bits() {
	case 0:
		return "default"
	case p.Addr().BitLen():
		return p.Addr().String()
	}
	return p.String()
}
