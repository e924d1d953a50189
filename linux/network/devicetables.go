package network

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"slices"
	"strings"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/vmem"
)

// DeviceSources says which views of a namespace's devices hold one, a bit for each.
type DeviceSources uint8

// The views of devices. A device enters and leaves all of them at once (list_netdevice of
// net/core/dev.c).
const (
	InDeviceList DeviceSources = 1 << iota // net.dev_base_head
	InNameHash                             // net.dev_name_head
	InIndexHash                            // net.dev_index_head
	InIndexArray                           // net.dev_by_index, since 6.6 (759ab1edb56c)
)

var deviceSourceNames = []string{"device list", "name hash", "index hash", "index array"}

// String names the views, joined by plus signs, or is none.
func (s DeviceSources) String() string {
	if s == 0 {
		return "none"
	}
	var names []string
	for ; s != 0; s &= s - 1 {
		n := bits.TrailingZeros8(uint8(s))
		if n < len(deviceSourceNames) {
			names = append(names, deviceSourceNames[n])
		} else {
			names = append(names, fmt.Sprintf("view %d", n))
		}
	}
	return strings.Join(names, "+")
}

// MarshalText implements [encoding.TextMarshaler] with the form of String.
func (s DeviceSources) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler]. It takes what MarshalText gives.
func (s *DeviceSources) UnmarshalText(b []byte) error {
	var v DeviceSources
	if string(b) != v.String() {
		for name := range strings.SplitSeq(string(b), "+") {
			n := slices.Index(deviceSourceNames, name)
			if n < 0 || v>>n != 0 {
				return fmt.Errorf("network: unknown views of devices: %q", b)
			}
			v |= 1 << n
		}
	}
	*s = v
	return nil
}

// deviceTables are the tables that hold devices beside the list.
type deviceTables struct {
	names, indexes *kstruct.Field[vmem.VirtAddr] // of struct net
	nameNode       kstruct.Member                // of netdev_name_node
	indexNode      kstruct.Member                // of net_device
	array          kstruct.Member                // of struct net
}

func bindDeviceTables(b *kstruct.Binder) (v deviceTables) {
	v.names = kstruct.BindOptionalField[vmem.VirtAddr](b, "net", "dev_name_head")
	v.indexes = kstruct.BindOptionalField[vmem.VirtAddr](b, "net", "dev_index_head")
	v.nameNode = kstruct.BindOptionalMember(b, "netdev_name_node", "hlist")
	v.indexNode = kstruct.BindOptionalMember(b, "net_device", "index_hlist")
	v.array = kstruct.BindOptionalMember(b, "net", "dev_by_index")
	return v
}

// deviceBuckets is NETDEV_HASHENTRIES of include/net/net_namespace.h.
const deviceBuckets = 256

// A deviceSet is the devices of one namespace.
type deviceSet struct {
	by     map[vmem.VirtAddr]*device
	bad    map[vmem.VirtAddr]bool // what was taken for a device and is none
	broken bool                   // a view lost some
}

func newDeviceSet() *deviceSet {
	return &deviceSet{by: map[vmem.VirtAddr]*device{}, bad: map[vmem.VirtAddr]bool{}}
}

// compareTables looks the devices up in the tables of a namespace, adds those that only
// tables hold, and tells of each device that some view lacks.
func (r *reader) compareTables(c *Configuration, found *deviceSet) {
	var all DeviceSources
	if !found.broken { // else what it lost is in the others alone
		all = InDeviceList
	}
	for _, table := range []struct {
		source DeviceSources
		read   func(*Configuration, *deviceSet) (there, broken bool)
	}{{InNameHash, r.fromNames}, {InIndexHash, r.fromIndexes}, {InIndexArray, r.fromArray}} {
		there, broken := table.read(c, found)
		if there && !broken {
			all |= table.source
		}
	}
	for _, d := range c.Devices {
		if lacks := all &^ d.Sources; lacks != 0 && r.ctx.Err() == nil {
			r.lose(object("network devices", c), d.Addr, fmt.Errorf("%w: device %s is in %v, and the others are without it: %v", linux.ErrDisagree, d.Name, d.Sources, lacks))
		}
	}
	byIndex := r.views.device.tables.array.Ok()
	slices.SortStableFunc(c.Devices, func(a, b *Device) int {
		// The list is in order of the indexes, unless it lacks one, or one came from another namespace.
		if !byIndex && (a.Sources^b.Sources)&InDeviceList == 0 {
			return 0
		}
		return int(a.Index) - int(b.Index)
	})
}

// fromNames adds the devices of net.dev_name_head.
func (r *reader) fromNames(c *Configuration, found *deviceSet) (there, broken bool) {
	v := &r.views.device
	if !v.tables.names.Ok() || !v.tables.nameNode.Ok() || !v.names.Ok() {
		return false, false
	}
	broken = r.eachNode(c, v.tables.names, func(node vmem.VirtAddr) error {
		n, err := v.names.Load(r.space, v.tables.nameNode.Container(node))
		if err != nil {
			return err
		}
		r.addDevice(c, found, n.Dev, InNameHash)
		return nil
	})
	return true, broken
}

// fromIndexes adds the devices of net.dev_index_head.
func (r *reader) fromIndexes(c *Configuration, found *deviceSet) (there, broken bool) {
	v := &r.views.device
	if !v.tables.indexes.Ok() || !v.tables.indexNode.Ok() {
		return false, false
	}
	broken = r.eachNode(c, v.tables.indexes, func(node vmem.VirtAddr) error {
		r.addDevice(c, found, v.tables.indexNode.Container(node), InIndexHash)
		return nil
	})
	return true, broken
}

// fromArray adds the devices of net.dev_by_index.
func (r *reader) fromArray(c *Configuration, found *deviceSet) (there, broken bool) {
	v := &r.views.device
	if !v.tables.array.Ok() {
		return false, false
	}
	what := object("network devices by index", c)
	for entry, err := range r.walk(what).XArray(v.tables.array.Of(c.Namespace.Addr)) {
		if r.done() {
			break
		}
		if err != nil {
			broken = true
			r.lose(what, c.Namespace.Addr, err)
			continue
		}
		if entry.Kind == kstruct.PointerEntry { // an index that is taken beforehand holds nothing yet
			r.addDevice(c, found, entry.Ptr, InIndexArray)
		}
	}
	return true, broken
}

// eachNode calls visit with the nodes of the hash table of devices that a member of struct
// net points to.
func (r *reader) eachNode(c *Configuration, table *kstruct.Field[vmem.VirtAddr], visit func(vmem.VirtAddr) error) (broken bool) {
	what := object("tables of network devices", c)
	lose := func(at vmem.VirtAddr, err error) {
		broken = true
		r.lose(what, at, err)
	}
	at, err := table.Load(r.space, c.Namespace.Addr)
	if err == nil && !plausible(at) {
		err = errPointer("table", at)
	}
	if err != nil {
		lose(c.Namespace.Addr, err)
		return broken
	}
	heads, err := r.heads(at, deviceBuckets)
	if err != nil {
		lose(at, err)
	}
	w := r.walk(what)
	for _, head := range heads {
		if r.done() {
			break
		}
		for node, err := range w.HList(head) {
			if r.done() {
				break
			}
			if err == nil {
				err = visit(node)
			}
			if err != nil {
				lose(head, err)
			}
		}
	}
	return broken
}

// maxMissing is how many pieces of a table in a row may be lost before the rest is left: a
// few pages.
const maxMissing = 64

// heads returns which of the n pointers at addr are not 0. With an error come those that
// could be read.
func (r *reader) heads(addr vmem.VirtAddr, n int) (used []vmem.VirtAddr, err error) {
	var piece [512]byte
	missing := 0
	for first := 0; first < n; first += len(piece) / 8 {
		b := piece[:min(len(piece), (n-first)*8)]
		start := addr + vmem.VirtAddr(first*8)
		got, e := r.space.ReadVirt(b, start)
		switch {
		case e == nil:
			missing = 0
		case missing > maxMissing:
			return used, e
		default:
			missing++
			if err == nil {
				err = e
			}
		}
		for i := 0; i+8 <= got; i += 8 {
			if binary.LittleEndian.Uint64(b[i:]) != 0 {
				used = append(used, start+vmem.VirtAddr(i))
			}
		}
	}
	return used, err
}
