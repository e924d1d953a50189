package network

import (
	"encoding/json"
	"fmt"
	"math"
	"net/netip"

	"github.com/nodelens/nodelens/internal/jsonx"
	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// Forever is the lifetime of what has no end (INFINITY_LIFE_TIME of include/net/addrconf.h).
const Forever = math.MaxUint32

// An Address is an address of a network device, as `ip address` shows it.
type Address struct {
	Family    Family       `json:"family"`
	Index     int32        `json:"ifindex"`
	Device    string       `json:"ifname"`
	Local     netip.Addr   `json:"local"`
	Peer      netip.Addr   `json:"address,omitzero"` // of the other end, where there is one
	PrefixLen uint8        `json:"prefixlen"`
	Broadcast netip.Addr   `json:"broadcast,omitzero"`
	Scope     Scope        `json:"scope"`
	Label     string       `json:"label,omitempty"` // of IPv4
	Flags     AddressFlags `json:"flags"`
	Metric    uint32       `json:"metric,omitempty"` // of the route to its network; 0 is the default
	// How many seconds the address was still valid and preferred for when memory was
	// captured, or Forever. Where the kernel's clock is not known: when it was set.
	ValidLifeTime     uint32        `json:"validLifeTime"`
	PreferredLifeTime uint32        `json:"preferredLifeTime"`
	Addr              vmem.VirtAddr `json:"kernelAddress"` // of struct in_ifaddr or inet6_ifaddr
}

// AddressFlags are the IFA_F_ flags of an address (include/uapi/linux/if_addr.h).
type AddressFlags uint32

// flagPermanent is IFA_F_PERMANENT.
const flagPermanent AddressFlags = 0x80

var addressBits = []bit{
	{0x1, "secondary"}, {0x2, "nodad"}, {0x4, "optimistic"}, {0x8, "dadfailed"}, {0x10, "home"}, {0x20, "deprecated"}, {0x40, "tentative"},
	{0x80, "permanent"}, {0x100, "mngtmpaddr"}, {0x200, "noprefixroute"}, {0x400, "autojoin"}, {0x800, "stable-privacy"},
}

// Names returns the flags under the names of `ip`, with permanent, for which that prints
// dynamic where it is missing. What is secondary of IPv4 is temporary of IPv6.
func (f AddressFlags) Names() []string { return bitNames(addressBits, uint32(f)) }

var _ = jsonx.Describe[AddressFlags, []string]()

// MarshalJSON returns an array of the names.
func (f AddressFlags) MarshalJSON() ([]byte, error) { return json.Marshal(f.Names()) }

// UnmarshalJSON takes what MarshalJSON gives.
func (f *AddressFlags) UnmarshalJSON(b []byte) error {
	v, err := unmarshalBits(addressBits, b)
	*f = AddressFlags(v)
	return err
}

// An inIfaddr is struct in_ifaddr (include/linux/inetdevice.h).
type inIfaddr struct {
	Dev       vmem.VirtAddr `kernel:"ifa_dev"`
	Local     [4]byte       `kernel:"ifa_local"`
	Address   [4]byte       `kernel:"ifa_address"`
	Broadcast [4]byte       `kernel:"ifa_broadcast"`
	Scope     uint8         `kernel:"ifa_scope"`
	PrefixLen uint8         `kernel:"ifa_prefixlen"`
	Flags     uint32        `kernel:"ifa_flags"`
	Label     [16]byte      `kernel:"ifa_label"`
	Metric    uint32        `kernel:"ifa_rt_priority"`
	Valid     uint32        `kernel:"ifa_valid_lft"`
	Preferred uint32        `kernel:"ifa_preferred_lft"`
	Updated   uint64        `kernel:"ifa_tstamp"`
}

// An inDevice is struct in_device: what IPv4 has of a device.
type inDevice struct {
	Dev  vmem.VirtAddr `kernel:"dev"`
	List vmem.VirtAddr `kernel:"ifa_list"`
}

type address4Views struct {
	of   *kstruct.View[inDevice]
	ifa  *kstruct.View[inIfaddr]
	next kstruct.Member
	err  error
}

func bindAddress4(types *isf.File) (v address4Views) {
	b := kstruct.NewBinder(types)
	v.of = kstruct.Bind[inDevice](b, "in_device")
	v.ifa = kstruct.Bind[inIfaddr](b, "in_ifaddr")
	v.next = kstruct.BindMember(b, "in_ifaddr", "ifa_next")
	v.err = b.Err()
	return v
}

// readAddresses4 reads the addresses of IPv4 of a namespace (in_device.ifa_list).
func (r *reader) readAddresses4(c *Configuration) {
	for _, dev := range c.Devices {
		if d := r.devices[dev.Addr]; d.s.IP != 0 {
			r.addressesOf4(c, d)
		}
	}
}

func (r *reader) addressesOf4(c *Configuration, d *device) {
	v := &r.views.v4
	what := "addresses of " + d.text()
	of, err := v.of.Load(r.space, d.s.IP)
	if err == nil && of.Dev != d.Addr {
		err = corrupt("in_device %v of another device, %v", d.s.IP, of.Dev)
	}
	if err != nil {
		r.lose(what, d.s.IP, err)
		return
	}
	for addr, err := range r.walk(what).Chain(of.List, v.next.Offset()) {
		if r.done() {
			break
		}
		var ifa inIfaddr
		if err == nil {
			err = v.ifa.Read(r.space, addr, &ifa)
		}
		if err == nil && (ifa.Dev != d.s.IP || ifa.PrefixLen > 32) {
			err = corrupt("in_ifaddr %v of in_device %v with a prefix of %d bits", addr, ifa.Dev, ifa.PrefixLen)
		}
		if err != nil {
			r.lose(what, addr, err)
			continue
		}
		if !r.room(ofAddresses, c) {
			return
		}
		c.Addresses = append(c.Addresses, r.address4(d, addr, &ifa))
	}
}

// address4 follows inet_fill_ifaddr of net/ipv4/devinet.c.
func (r *reader) address4(d *device, addr vmem.VirtAddr, ifa *inIfaddr) *Address {
	a := &Address{
		Family: Inet, Index: d.Index, Device: d.Name, Local: netip.AddrFrom4(ifa.Local), PrefixLen: ifa.PrefixLen, Scope: Scope(ifa.Scope),
		Label: text(ifa.Label[:]), Flags: AddressFlags(ifa.Flags), Metric: ifa.Metric, Addr: addr,
	}
	if ifa.Address != ifa.Local {
		a.Peer = netip.AddrFrom4(ifa.Address)
	}
	if ifa.Broadcast != [4]byte{} {
		a.Broadcast = netip.AddrFrom4(ifa.Broadcast)
	}
	a.ValidLifeTime, a.PreferredLifeTime = Forever, Forever
	if a.Flags&flagPermanent == 0 {
		a.ValidLifeTime, a.PreferredLifeTime = r.lifeTimes(ifa.Valid, ifa.Preferred, ifa.Updated)
	}
	return a
}

// lifeTimes returns what is left of the lifetimes of an address that were set some time ago.
func (r *reader) lifeTimes(valid, preferred uint32, set uint64) (leftValid, leftPreferred uint32) {
	ago, ok := r.ticks().since(set)
	if !ok || preferred == Forever {
		return valid, preferred
	}
	left := func(of uint32) uint32 {
		if of == Forever {
			return of
		}
		return uint32(max(0, float64(of)-math.Floor(ago.Seconds())))
	}
	return left(valid), left(preferred)
}

// An inet6Ifaddr is struct inet6_ifaddr (include/net/if_inet6.h).
type inet6Ifaddr struct {
	Address   [16]byte      `kernel:"addr"`
	PrefixLen uint32        `kernel:"prefix_len"`
	Metric    uint32        `kernel:"rt_priority"`
	Valid     uint32        `kernel:"valid_lft"`
	Preferred uint32        `kernel:"prefered_lft"` //nolint:misspell // the kernel does
	Flags     uint32        `kernel:"flags"`
	Scope     uint16        `kernel:"scope"`
	Updated   uint64        `kernel:"tstamp"`
	Dev       vmem.VirtAddr `kernel:"idev"`
	Peer      [16]byte      `kernel:"peer_addr"`
}

type address6Views struct {
	dev  *kstruct.Field[vmem.VirtAddr] // of inet6_dev
	list kstruct.Member
	ifa  *kstruct.View[inet6Ifaddr]
	node kstruct.Member
	err  error
}

func bindAddress6(types *isf.File) (v address6Views) {
	b := kstruct.NewBinder(types)
	v.dev = kstruct.BindField[vmem.VirtAddr](b, "inet6_dev", "dev")
	v.list = kstruct.BindMember(b, "inet6_dev", "addr_list")
	v.ifa = kstruct.Bind[inet6Ifaddr](b, "inet6_ifaddr")
	v.node = kstruct.BindMember(b, "inet6_ifaddr", "if_list")
	v.err = b.Err()
	return v
}

// readAddresses6 reads the addresses of IPv6 of a namespace (inet6_dev.addr_list).
func (r *reader) readAddresses6(c *Configuration) {
	for _, dev := range c.Devices {
		if d := r.devices[dev.Addr]; d.s.IP6 != 0 {
			r.addressesOf6(c, d)
		}
	}
}

func (r *reader) addressesOf6(c *Configuration, d *device) {
	v := &r.views.v6
	what := "addresses of IPv6 of " + d.text()
	dev, err := v.dev.Load(r.space, d.s.IP6)
	if err == nil && dev != d.Addr {
		err = corrupt("inet6_dev %v of another device, %v", d.s.IP6, dev)
	}
	if err != nil {
		r.lose(what, d.s.IP6, err)
		return
	}
	for node, err := range r.walk(what).List(v.list.Of(d.s.IP6)) {
		if r.done() {
			break
		}
		var ifa inet6Ifaddr
		addr := v.node.Container(node)
		if err == nil {
			err = v.ifa.Read(r.space, addr, &ifa)
		}
		if err == nil && (ifa.Dev != d.s.IP6 || ifa.PrefixLen > 128) {
			err = corrupt("inet6_ifaddr %v of inet6_dev %v with a prefix of %d bits", addr, ifa.Dev, ifa.PrefixLen)
		}
		if err != nil {
			r.lose(what, addr, err)
			continue
		}
		if !r.room(ofAddresses, c) {
			return
		}
		c.Addresses = append(c.Addresses, r.address6(d, addr, &ifa))
	}
}

// address6 follows inet6_fill_ifaddr of net/ipv6/addrconf.c.
func (r *reader) address6(d *device, addr vmem.VirtAddr, ifa *inet6Ifaddr) *Address {
	a := &Address{
		Family: Inet6, Index: d.Index, Device: d.Name, Local: netip.AddrFrom16(ifa.Address), PrefixLen: uint8(ifa.PrefixLen), Scope: scope6(ifa.Scope),
		Flags: AddressFlags(ifa.Flags), Metric: ifa.Metric, Addr: addr,
	}
	if ifa.Peer != [16]byte{} {
		a.Peer = netip.AddrFrom16(ifa.Peer)
	}
	a.ValidLifeTime, a.PreferredLifeTime = Forever, Forever
	if a.Flags&flagPermanent == 0 || ifa.Preferred != Forever {
		a.ValidLifeTime, a.PreferredLifeTime = r.lifeTimes(ifa.Valid, ifa.Preferred, ifa.Updated)
	}
	return a
}

// scope6 follows rt_scope of net/ipv6/addrconf.c.
func scope6(s uint16) Scope {
	switch {
	case s&0x10 != 0: // IFA_HOST
		return 254
	case s&0x20 != 0: // IFA_LINK
		return 253
	case s&0x40 != 0: // IFA_SITE
		return 200
	}
	return 0
}

// String returns the address as `ip address` shows it, such as 10.0.0.1/24.
func (a *Address) String() string {
	if a.Peer.IsValid() {
		return fmt.Sprintf("%v peer %v/%d", a.Local, a.Peer, a.PrefixLen)
	}
	return fmt.Sprintf("%v/%d", a.Local, a.PrefixLen)
}

// text returns the bytes of b before the first NUL.
func text(b []byte) string {
	for i, v := range b {
		if v == 0 {
			return string(b[:i])
		}
	}
	return string(b)
}
