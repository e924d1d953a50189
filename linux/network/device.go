package network

import (
	"bytes"
	"fmt"
	"net/netip"
	"strings"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// A Device is a network device, as `ip -d link` shows it.
type Device struct {
	Index       int32         `json:"ifindex"`
	Name        string        `json:"ifname"`
	AltNames    []string      `json:"altnames,omitempty"`
	Alias       string        `json:"ifalias,omitempty"`
	Kind        string        `json:"kind"` // of driver, such as veth; empty for hardware and the loopback device
	Type        LinkType      `json:"linkType"`
	Flags       DeviceFlags   `json:"flags"`
	MTU         uint32        `json:"mtu"`
	OperState   OperState     `json:"operstate"`
	Qdisc       string        `json:"qdisc,omitempty"` // the kind of the root queueing discipline
	Group       uint32        `json:"group"`           // 0 is the default one
	TxQueueLen  uint32        `json:"txqlen"`
	Promiscuity uint32        `json:"promiscuity"` // how many want all packets
	AllMulti    uint32        `json:"allmulti"`
	Address     string        `json:"address,omitempty"` // of the link, such as 02:42:ac:11:00:02
	Broadcast   string        `json:"broadcast,omitempty"`
	PermAddress string        `json:"permaddr,omitempty"` // what the device was made with, where that is another
	Master      *DeviceRef    `json:"master,omitempty"`   // the bridge, bond or VRF that it is a port of
	Link        *DeviceRef    `json:"link,omitempty"`     // the device below, or the other end of a pair
	Port        *BridgePort   `json:"port,omitempty"`     // of a bridge
	Info        *LinkInfo     `json:"info,omitempty"`     // of its kind
	XDP         []XDPProgram  `json:"xdp,omitempty"`
	TCX         []TCXProgram  `json:"tcx,omitempty"`
	Netkit      []TCXProgram  `json:"netkit,omitempty"` // that see what a netkit device sends
	Qdiscs      []*Qdisc      `json:"qdiscs,omitempty"`
	Driver      string        `json:"driver,omitempty"` // of the hardware, such as virtio_net
	Stats       *Stats        `json:"stats,omitempty"`  // nil where its driver's counters are not known
	Sources     DeviceSources `json:"sources"`          // which views of the namespace hold it
	Addr        vmem.VirtAddr `json:"kernelAddress"`    // of struct net_device
}

// A DeviceRef names a device, of any namespace.
type DeviceRef struct {
	Index int32         `json:"ifindex"`
	Name  string        `json:"ifname"`
	NetNS uint32        `json:"netns"` // inode number of its namespace; 0 if that is not known
	Addr  vmem.VirtAddr `json:"kernelAddress"`
}

// A device is one that was found, with what leads on from it.
type device struct {
	*Device
	s      netDevice
	config *Configuration
	mini   [2]vmem.VirtAddr // mini_Qdiscs of what comes in and goes out
}

func (d *device) ref() *DeviceRef {
	return &DeviceRef{Index: d.Index, Name: d.Name, NetNS: d.config.Namespace.Inum, Addr: d.Addr}
}

// A netDevice is struct net_device (include/linux/netdevice.h).
type netDevice struct {
	Name        [16]byte      `kernel:"name"` // IFNAMSIZ
	Index       int32         `kernel:"ifindex"`
	MTU         uint32        `kernel:"mtu"`
	Flags       uint32        `kernel:"flags"`
	GFlags      uint16        `kernel:"gflags"` // as programs set them, without what the kernel wants
	State       uint64        `kernel:"state"`
	Oper        uint32        `kernel:"operstate"` // a byte before 6.9
	DevAddr     vmem.VirtAddr `kernel:"dev_addr"`
	PermAddr    [32]byte      `kernel:"perm_addr"` // MAX_ADDR_LEN
	AddrLen     uint8         `kernel:"addr_len"`
	Broadcast   [32]byte      `kernel:"broadcast"`
	Type        uint16        `kernel:"type"`
	Group       int32         `kernel:"group"`
	TxQueueLen  uint32        `kernel:"tx_queue_len"`
	Promiscuity uint32        `kernel:"promiscuity"`
	AllMulti    uint32        `kernel:"allmulti"`
	Net         vmem.VirtAddr `kernel:"nd_net.net,optional"`
	NameNode    vmem.VirtAddr `kernel:"name_node,optional"` // since 5.5
	Alias       vmem.VirtAddr `kernel:"ifalias,optional"`
	LinkOps     vmem.VirtAddr `kernel:"rtnl_link_ops"`
	IP          vmem.VirtAddr `kernel:"ip_ptr,optional"`
	IP6         vmem.VirtAddr `kernel:"ip6_ptr,optional"`
	Qdisc       vmem.VirtAddr `kernel:"qdisc,optional"`
	HandlerData vmem.VirtAddr `kernel:"rx_handler_data"`
	RXQueues    uint32        `kernel:"num_rx_queues,optional"`
	Parent      vmem.VirtAddr `kernel:"dev.parent"` // the device of the bus that it is on
}

// A nameNode is struct netdev_name_node: one of the names of a device.
type nameNode struct {
	Dev  vmem.VirtAddr `kernel:"dev"`
	Name vmem.VirtAddr `kernel:"name"`
}

// An adjacent is struct netdev_adjacent: the one above or below a device.
type adjacent struct {
	Dev     vmem.VirtAddr `kernel:"dev"`
	Master  bool          `kernel:"master"`
	Private vmem.VirtAddr `kernel:"private"` // such as the struct slave of a bond's
}

type deviceViews struct {
	device *kstruct.View[netDevice]
	list   kstruct.Member // of struct net
	node   kstruct.Member // of net_device
	upper  kstruct.Member // of net_device
	lower  kstruct.Member // of net_device
	alias  kstruct.Member // the text of dev_ifalias
	kind   *kstruct.Field[vmem.VirtAddr]

	names    *kstruct.View[nameNode]
	nameList kstruct.Member // of netdev_name_node
	adjacent *kstruct.View[adjacent]
	above    kstruct.Member // of netdev_adjacent
	id       kstruct.Member // of Qdisc_ops
	ops      *kstruct.Field[vmem.VirtAddr]
	tables   deviceTables
	priv     kstruct.Member                // of net_device
	driver   *kstruct.Field[vmem.VirtAddr] // of device
	driverID *kstruct.Field[vmem.VirtAddr] // the name of a device_driver
	err      error
}

func bindDevice(types *isf.File) (v deviceViews) {
	b := kstruct.NewBinder(types)
	v.device = kstruct.Bind[netDevice](b, "net_device")
	v.list = kstruct.BindMember(b, "net", "dev_base_head")
	v.node = kstruct.BindMember(b, "net_device", "dev_list")
	v.upper = kstruct.BindMember(b, "net_device", "adj_list.upper")
	v.lower = kstruct.BindMember(b, "net_device", "adj_list.lower")
	v.kind = kstruct.BindField[vmem.VirtAddr](b, "rtnl_link_ops", "kind")
	v.err = b.Err()
	b = kstruct.NewBinder(types)
	v.names = kstruct.BindOptional[nameNode](b, "netdev_name_node")
	v.nameList = kstruct.BindOptionalMember(b, "netdev_name_node", "list")
	v.adjacent = kstruct.BindOptional[adjacent](b, "netdev_adjacent")
	v.above = kstruct.BindOptionalMember(b, "netdev_adjacent", "list")
	v.alias = kstruct.BindOptionalMember(b, "dev_ifalias", "ifalias")
	v.id = kstruct.BindOptionalMember(b, "Qdisc_ops", "id")
	v.ops = kstruct.BindOptionalField[vmem.VirtAddr](b, "Qdisc", "ops")
	v.tables = bindDeviceTables(b)
	v.priv = kstruct.BindOptionalMember(b, "net_device", "priv")
	v.driver = kstruct.BindOptionalField[vmem.VirtAddr](b, "device", "driver")
	v.driverID = kstruct.BindOptionalField[vmem.VirtAddr](b, "device_driver", "name")
	return v
}

// readDevices reads the devices of a namespace (net.dev_base_head), in the order of `ip link`,
// that of the list, or since there is an array (6.6) that of the indexes, and holds the tables that they are in against that list.
func (r *reader) readDevices(c *Configuration) {
	v := &r.views.device
	what := object("network devices", c)
	found := newDeviceSet()
	for node, err := range r.walk(what).List(v.list.Of(c.Namespace.Addr)) {
		if r.done() {
			break
		}
		if err != nil {
			found.broken = true
			r.lose(what, c.Namespace.Addr, err)
			continue
		}
		r.addDevice(c, found, v.node.Container(node), InDeviceList)
	}
	r.compareTables(c, found)
}

// addDevice adds the device at addr, which a view of the namespace holds. It reports whether
// it is one.
func (r *reader) addDevice(c *Configuration, found *deviceSet, addr vmem.VirtAddr, from DeviceSources) bool {
	if d := found.by[addr]; d != nil {
		d.Sources |= from
		return true
	}
	if found.bad[addr] || !r.room(ofDevices, c) {
		return false
	}
	d, err := r.device(c, addr)
	if err != nil {
		found.bad[addr] = true
		r.lose(object("network devices", c), addr, err)
		return false
	}
	d.Sources = from
	found.by[addr] = d
	c.Devices = append(c.Devices, d.Device)
	r.devices[addr] = d
	return true
}

// device reads the device at addr, and verifies that it is one of the namespace.
func (r *reader) device(c *Configuration, addr vmem.VirtAddr) (*device, error) {
	d := &device{config: c}
	v := &r.views.device
	if !plausible(addr) {
		return nil, errPointer("net_device", addr)
	}
	if err := v.device.Read(r.space, addr, &d.s); err != nil {
		return nil, err
	}
	s := &d.s
	name, ok := deviceName(s.Name[:])
	switch {
	case v.device.Has("Net") && s.Net != c.Namespace.Addr:
		return nil, corrupt("net_device %v of another namespace, %v", addr, s.Net)
	case !ok || s.Index <= 0:
		return nil, corrupt("net_device %v with the index %d and the name %q", addr, s.Index, s.Name[:])
	case int(s.AddrLen) > len(s.PermAddr):
		return nil, corrupt("net_device %v with an address of %d bytes", addr, s.AddrLen)
	}
	d.Device = &Device{
		Addr: addr, Index: s.Index, Name: name, Type: LinkType(s.Type), Flags: s.shownFlags(), MTU: s.MTU, OperState: s.operState(),
		Group: uint32(s.Group), TxQueueLen: s.TxQueueLen, Promiscuity: s.Promiscuity, AllMulti: s.AllMulti,
		Broadcast: linkAddress(LinkType(s.Type), s.Broadcast[:s.AddrLen]),
	}
	r.readNames(d)
	r.readLinkAddress(d)
	r.readKind(d)
	return d, nil
}

// deviceName returns the name of a device, and whether it can be one: dev_valid_name of
// net/core/dev.c.
func deviceName(b []byte) (string, bool) {
	name, _, ended := bytes.Cut(b, []byte{0})
	ok := ended && len(name) > 0 && string(name) != "." && string(name) != ".." && !bytes.ContainsAny(name, "/:\t\n\v\f\r ")
	return string(name), ok
}

// linkAddress prints an address of a link as `ip` does: those of tunnels are addresses of
// the protocol below.
func linkAddress(t LinkType, b []byte) string {
	switch t {
	case typeTunnel, typeSIT, typeGRE, typeTunnel6, typeGRE6:
		if ip, ok := netip.AddrFromSlice(b); ok && ip.Is6() == (t == typeTunnel6 || t == typeGRE6) {
			return ip.String()
		}
	}
	parts := make([]string, len(b))
	for i, v := range b {
		parts[i] = fmt.Sprintf("%02x", v)
	}
	return strings.Join(parts, ":")
}

func (r *reader) readLinkAddress(d *device) {
	s := &d.s
	if s.AddrLen == 0 {
		return
	}
	b := make([]byte, s.AddrLen)
	if _, err := r.space.ReadVirt(b, s.DevAddr); err != nil {
		r.lose("address of "+d.text(), s.DevAddr, err)
		return
	}
	d.Address = linkAddress(d.Type, b)
	if perm := s.PermAddr[:s.AddrLen]; !zero(perm) && !bytes.Equal(perm, b) {
		d.PermAddress = linkAddress(d.Type, perm)
	}
}

// text names a device in a gap.
func (d *device) text() string {
	return fmt.Sprintf("device %s of %v", d.Name, d.config.Namespace)
}

func zero(b []byte) bool {
	for _, v := range b {
		if v != 0 {
			return false
		}
	}
	return true
}

// Bounds of texts, in bytes: ALTIFNAMSIZ and IFALIASZ of include/uapi/linux/if.h.
const (
	maxAltName  = 128
	maxAlias    = 256
	maxAltNames = 4096 // of one device
)

// readNames reads the other names of a device, and its alias.
func (r *reader) readNames(d *device) {
	v := &r.views.device
	if d.s.Alias != 0 && v.alias.Ok() {
		alias, err := r.space.CString(v.alias.Of(d.s.Alias), maxAlias)
		if err != nil {
			r.lose("alias of "+d.text(), d.s.Alias, err)
		}
		d.Alias = alias
	}
	if d.s.NameNode == 0 || !v.names.Ok() || !v.nameList.Ok() {
		return
	}
	what := "names of " + d.text()
	if !plausible(d.s.NameNode) {
		r.lose(what, d.Addr, errPointer("netdev_name_node", d.s.NameNode))
		return
	}
	for node, err := range r.walk(what).List(v.nameList.Of(d.s.NameNode)) {
		if r.done() {
			break
		}
		var name string
		if err == nil {
			name, err = r.altName(v.nameList.Container(node), d.Addr)
		}
		switch {
		case err != nil:
			r.lose(what, d.s.NameNode, err)
		case len(d.AltNames) >= maxAltNames:
			r.lose(what, d.s.NameNode, fmt.Errorf("%w: more than %d", kstruct.ErrTooMany, maxAltNames))
			return
		default:
			d.AltNames = append(d.AltNames, name)
		}
	}
}

func (r *reader) altName(node, dev vmem.VirtAddr) (string, error) {
	n, err := r.views.device.names.Load(r.space, node)
	if err != nil {
		return "", err
	}
	if n.Dev != dev {
		return "", corrupt("name %v of another device, %v", node, n.Dev)
	}
	return r.space.CString(n.Name, maxAltName)
}

// readKind reads the kind of a device (rtnl_link_ops.kind), and of its queues.
func (r *reader) readKind(d *device) {
	v := &r.views.device
	if d.s.LinkOps != 0 {
		kind, err := v.kind.Load(r.space, d.s.LinkOps)
		if err == nil {
			d.Kind, err = r.space.CString(kind, nameMax)
		}
		if err != nil {
			r.lose("kind of "+d.text(), d.s.LinkOps, err)
		}
	}
	if d.s.Parent != 0 && v.driver.Ok() && v.driverID.Ok() {
		driver, err := r.driver(d.s.Parent)
		if err != nil {
			r.lose("driver of "+d.text(), d.s.Parent, err)
		}
		d.Driver = driver
	}
	if d.s.Qdisc != 0 && v.ops.Ok() && v.id.Ok() {
		ops, err := v.ops.Load(r.space, d.s.Qdisc)
		if err == nil {
			d.Qdisc, err = r.space.CString(v.id.Of(ops), int(v.id.Size()))
		}
		if err != nil {
			r.lose("qdisc of "+d.text(), d.s.Qdisc, err)
		}
	}
}

// driver returns the name of the driver of a struct device, empty for none.
func (r *reader) driver(addr vmem.VirtAddr) (string, error) {
	v := &r.views.device
	at, err := v.driver.Load(r.space, addr)
	if err != nil || at == 0 {
		return "", err
	}
	name, err := v.driverID.Load(r.space, at)
	if err != nil {
		return "", err
	}
	return r.space.CString(name, nameMax)
}
