package network

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nodelens/nodelens/kstruct"
)

// An object is one of JSON.
type jsonObject = map[string]any

// readConfigs reads the configurations of an image, which must have no losses but for what
// its modules have no types for.
func readConfigs(t *testing.T, n *node) (found []*Configuration) {
	t.Helper()
	for c, err := range Configurations(t.Context(), n.k, all(t, Namespaces(t.Context(), n.k, n.tasks)), &Options{Types: n.set.Types}) {
		switch {
		case err == nil:
			found = append(found, c)
		case !n.poor || !errors.Is(err, kstruct.ErrUnsupported):
			t.Error(err)
		}
	}
	return found
}

// ofModules are what only the types of modules tell of a device.
var ofModules = []string{"stats64", "mode", "id", "protocol", "local", "port", "lower", "table", "tun", "vlan_filtering", "stp_state", "link", "link_index", "no", "cost", "state"}

// eachNetwork runs a test with each namespace of the images that have the truth of their
// networks.
func eachNetwork(t *testing.T, file string, test func(t *testing.T, c *Configuration, truth []jsonObject)) {
	eachNode(t, func(t *testing.T, n *node) {
		compared := 0
		for _, c := range n.configs(t) {
			truth, err := readTruth(n, c, file)
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil {
				t.Errorf("%v: %v", c.Namespace, err)
				continue
			}
			compared++
			t.Run(fmt.Sprint(c.Namespace.Inum), func(t *testing.T) { test(t, c, truth) })
		}
		t.Logf("%d namespaces compared", compared)
	})
}

// configs reads the configurations of the node once.
func (n *node) configs(t *testing.T) []*Configuration {
	t.Helper()
	if n.read == nil {
		n.read = readConfigs(t, n)
	}
	return n.read
}

// readTruth reads what a command said in a namespace, as an array of objects. ip prints empty
// objects where there is nothing.
func readTruth(n *node, c *Configuration, file string) (found []jsonObject, err error) {
	b, err := os.ReadFile(filepath.Join(n.img.Truth, "net", fmt.Sprint(c.Namespace.Inum), file))
	if err != nil {
		return nil, err
	}
	if len(strings.TrimSpace(string(b))) == 0 {
		return nil, nil
	}
	var all []jsonObject
	err = json.Unmarshal(b, &all)
	for _, v := range all {
		if len(v) > 0 {
			found = append(found, v)
		}
	}
	return found, err
}

// asJSON returns v as it is when it was written as JSON and read again.
func asJSON(t *testing.T, v any) any {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var back any
	if err := json.Unmarshal(b, &back); err != nil {
		t.Fatal(err)
	}
	return back
}

// compare compares what `ip` said with the same of the image.
func compare(t *testing.T, truth, got []jsonObject) {
	t.Helper()
	if d := cmp.Diff(asJSON(t, truth), asJSON(t, got)); d != "" {
		t.Errorf("(-truth +image):\n%s", d)
	}
}

// Each address of each device is as `ip address` showed it, but for lifetimes, of which some
// passed until memory was captured.
func TestTrueAddresses(t *testing.T) {
	eachNetwork(t, "ip_addr.json", func(t *testing.T, c *Configuration, truth []jsonObject) {
		var want, got []jsonObject
		for _, dev := range truth {
			info, _ := dev["addr_info"].([]any)
			for _, a := range info {
				a := a.(jsonObject)
				a["ifname"] = dev["ifname"]
				want = append(want, a)
			}
		}
		for _, a := range c.Addresses {
			got = append(got, ipAddress(a))
		}
		for i := range min(len(want), len(got)) {
			for _, key := range []string{"valid_life_time", "preferred_life_time"} {
				said, _ := want[i][key].(float64)
				found := float64(got[i][key].(uint32))
				if passed := said - found; found != Forever && passed >= -2 && passed < 600 {
					got[i][key] = said
				}
			}
		}
		compare(t, want, got)
	})
}

// ipAddress returns an address in the form of `ip -j address`.
func ipAddress(a *Address) jsonObject {
	o := jsonObject{
		"ifname": a.Device, "family": a.Family, "local": a.Local, "prefixlen": a.PrefixLen, "scope": a.Scope,
		"valid_life_time": a.ValidLifeTime, "preferred_life_time": a.PreferredLifeTime,
	}
	if a.Peer.IsValid() {
		o["address"] = a.Peer
	}
	if a.Broadcast.IsValid() {
		o["broadcast"] = a.Broadcast
	}
	if a.Label != "" {
		o["label"] = a.Label
	}
	if a.Metric != 0 {
		o["metric"] = a.Metric
	}
	o["dynamic"] = true
	for _, name := range a.Flags.Names() {
		switch {
		case name == "permanent":
			delete(o, "dynamic")
		case name == "secondary" && a.Family == Inet6:
			o["temporary"] = true
		default:
			o[name] = true
		}
	}
	return o
}

func TestTrueRoutes(t *testing.T) {
	for _, of := range []struct {
		family Family
		file   string
	}{{Inet, "ip_route.json"}, {Inet6, "ip_route6.json"}} {
		t.Run(of.family.String(), func(t *testing.T) {
			eachNetwork(t, of.file, func(t *testing.T, c *Configuration, truth []jsonObject) {
				for _, r := range truth {
					delete(r, "nh_info") // of the nexthop object, which is told as the route's own
				}
				var got []jsonObject
				for _, r := range c.Routes {
					if r.Family == of.family {
						got = append(got, ipRoute(r))
					}
				}
				compare(t, truth, got)
			})
		})
	}
}

// ipRoute returns a route in the form of `ip -d -j route`.
func ipRoute(r *Route) jsonObject {
	o := jsonObject{"type": r.Type, "dst": r.Dst, "table": r.Table, "protocol": r.Protocol, "scope": r.Scope, "flags": r.Flags}
	if r.Family == Inet6 {
		o["pref"] = r.Pref
	}
	if r.From != "" {
		o["from"] = r.From
	}
	if r.TOS != 0 {
		o["tos"] = fmt.Sprintf("%#x", r.TOS)
	}
	ipHop(o, r.Family, NextHop{Gateway: r.Gateway, Device: r.Device})
	if r.PrefSrc.IsValid() {
		o["prefsrc"] = r.PrefSrc
	}
	if r.Metric != 0 || r.Family == Inet6 {
		o["metric"] = r.Metric
	}
	if r.NextHopID != 0 {
		o["nhid"] = r.NextHopID
	}
	if r.Metrics != nil {
		o["metrics"] = []any{r.Metrics}
	}
	if r.Expires != 0 {
		o["expires"] = r.Expires
	}
	var hops []jsonObject
	for _, h := range r.NextHops {
		hop := jsonObject{"weight": h.Weight, "flags": h.Flags}
		ipHop(hop, r.Family, h)
		hops = append(hops, hop)
	}
	if hops != nil {
		o["nexthops"] = hops
	}
	return o
}

func ipHop(o jsonObject, family Family, h NextHop) {
	switch {
	case !h.Gateway.IsValid():
	case family == Inet && h.Gateway.Is6():
		o["via"] = jsonObject{"family": Inet6, "host": h.Gateway}
	default:
		o["gateway"] = h.Gateway
	}
	if h.Device != "" {
		o["dev"] = h.Device
	}
}

func TestTrueRules(t *testing.T) {
	for _, of := range []struct {
		family Family
		file   string
	}{{Inet, "ip_rule.json"}, {Inet6, "ip_rule6.json"}} {
		t.Run(of.family.String(), func(t *testing.T) {
			eachNetwork(t, of.file, func(t *testing.T, c *Configuration, truth []jsonObject) {
				var got []jsonObject
				for _, r := range c.Rules {
					if r.Family == of.family {
						got = append(got, ipRule(r))
					}
				}
				compare(t, truth, got)
			})
		})
	}
}

// ipRule returns a rule in the form of `ip -d -j rule`.
func ipRule(r *Rule) jsonObject {
	o := jsonObject{"priority": r.Priority, "protocol": r.Protocol}
	network := func(key, length, text string) {
		addr, bits, ok := strings.Cut(text, "/")
		o[key] = addr
		if ok {
			o[length], _ = strconv.Atoi(bits)
		}
	}
	network("src", "srclen", r.Src)
	if r.Dst != "" {
		network("dst", "dstlen", r.Dst)
	}
	if r.Not {
		o["not"] = nil
	}
	if r.TOS != 0 {
		o["tos"] = fmt.Sprintf("%#x", r.TOS)
	}
	if r.FwMark != 0 {
		o["fwmark"] = fmt.Sprintf("%#x", r.FwMark)
		if r.FwMask != math.MaxUint32 {
			o["fwmask"] = fmt.Sprintf("%#x", r.FwMask)
		}
	}
	for key, v := range map[string]string{"iif": r.IIF, "oif": r.OIF} {
		if v != "" {
			o[key] = v
		}
	}
	if r.UIDs != nil {
		o["uid_start"], o["uid_end"] = r.UIDs.First, r.UIDs.Last
	}
	if r.IPProtocol != 0 {
		o["ipproto"] = map[uint8]string{6: "tcp", 17: "udp"}[r.IPProtocol]
	}
	for key, v := range map[string]*Span{"sport": r.SourcePorts, "dport": r.DestinationPorts} {
		switch {
		case v == nil:
		case v.First == v.Last:
			o[key] = v.First
		default:
			o[key+"_start"], o[key+"_end"] = v.First, v.Last
		}
	}
	switch r.Action {
	case actionTable:
		o["table"] = r.Table
	case actionGoto:
		o["goto"] = r.Goto
	default:
		o["action"] = r.Action
	}
	if r.SuppressPrefixLen != nil {
		o["suppress_prefixlen"] = *r.SuppressPrefixLen
	}
	return o
}

// Each device is as `ip -s link` showed it, but for counters, which move, and for what is not
// read of it.
func TestTrueDevices(t *testing.T) {
	eachNode(t, func(t *testing.T, n *node) {
		for _, c := range n.configs(t) {
			truth, err := readTruth(n, c, "ip_link.json")
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			var want, got []jsonObject
			for _, o := range truth {
				want = append(want, shownDevice(o))
			}
			for i, d := range c.Devices {
				o := ipLink(c, d)
				if i < len(truth) {
					if _, ok := truth[i]["allmulti"]; !ok { // since 6.0
						delete(o, "allmulti")
					}
					closeCounters(o, truth[i])
				}
				got = append(got, o)
				for _, key := range ofModules {
					if _, ok := o[key]; !ok && n.poor && i < len(want) && (d.Kind != "veth" || key == "stats64") {
						delete(want[i], key)
					}
				}
			}
			t.Run(fmt.Sprint(c.Namespace.Inum), func(t *testing.T) { compare(t, want, got) })
		}
	})
}

// shownDevice returns what is compared of a device.
func shownDevice(o jsonObject) jsonObject {
	shown := jsonObject{}
	for _, key := range []string{
		"ifindex", "ifname", "altnames", "ifalias", "flags", "mtu", "operstate", "txqlen", "link_type", "address", "broadcast", "permaddr", "promiscuity",
		"allmulti", "master", "qdisc", "link", "link_index", "stats64", "xdp",
	} {
		if v, ok := o[key]; ok && v != nil {
			shown[key] = v
		}
	}
	if xdp, ok := o["xdp"].(jsonObject); ok {
		shown["xdp"] = xdp["attached"]
	}
	info, _ := o["linkinfo"].(jsonObject)
	if info == nil {
		return shown
	}
	shown["info_kind"] = info["info_kind"]
	data, _ := info["info_data"].(jsonObject)
	switch info["info_kind"] {
	case "macvlan", "macvtap", "ipvlan", "bond":
		shown["mode"] = data["mode"]
	case "vlan":
		shown["id"], shown["protocol"] = data["id"], data["protocol"]
	case "vxlan":
		shown["id"], shown["local"], shown["port"], shown["lower"] = data["id"], data["local"], data["port"], data["link"]
	case "vrf":
		shown["table"] = data["table"]
	case "tun":
		shown["tun"] = jsonObject{
			"type": data["type"], "pi": data["pi"], "vnetHdr": data["vnet_hdr"], "multiQueue": data["multi_queue"], "persist": data["persist"],
			"user": data["user"], "group": data["group"],
		}
	case "bridge":
		shown["vlan_filtering"], shown["stp_state"] = data["vlan_filtering"], data["stp_state"]
	}
	if data, ok := info["info_slave_data"].(jsonObject); ok && info["info_slave_kind"] == "bridge" {
		shown["state"], shown["no"], shown["cost"] = data["state"], data["no"], data["cost"]
	}
	return shown
}

// ipLink returns a device in the form of shownDevice.
func ipLink(c *Configuration, d *Device) jsonObject {
	o := jsonObject{
		"ifindex": d.Index, "ifname": d.Name, "flags": d.Flags, "mtu": d.MTU, "operstate": d.OperState, "link_type": d.Type,
		"promiscuity": d.Promiscuity, "allmulti": d.AllMulti,
	}
	for key, v := range map[string]string{
		"ifalias": d.Alias, "address": d.Address, "broadcast": d.Broadcast, "permaddr": d.PermAddress, "qdisc": d.Qdisc, "info_kind": d.Kind,
	} {
		if v != "" {
			o[key] = v
		}
	}
	if d.TxQueueLen != 0 {
		o["txqlen"] = d.TxQueueLen
	}
	if d.AltNames != nil {
		o["altnames"] = d.AltNames
	}
	if d.Master != nil {
		o["master"] = d.Master.Name
	}
	switch {
	case d.Link == nil || d.Kind == "vxlan":
	case d.Link.NetNS == c.Namespace.Inum:
		o["link"] = d.Link.Name
	default:
		o["link_index"] = d.Link.Index
	}
	if d.Port != nil {
		o["state"], o["no"], o["cost"] = d.Port.State, fmt.Sprintf("%#x", d.Port.No), d.Port.Cost
	}
	if d.Stats != nil {
		rx, tx := d.Stats.RX, d.Stats.TX
		o["stats64"] = jsonObject{
			"rx": jsonObject{"bytes": rx.Bytes, "packets": rx.Packets, "errors": rx.Errors, "dropped": rx.Dropped, "over_errors": rx.OverErrors, "multicast": rx.Multicast},
			"tx": jsonObject{"bytes": tx.Bytes, "packets": tx.Packets, "errors": tx.Errors, "dropped": tx.Dropped, "carrier_errors": tx.CarrierErrors, "collisions": tx.Collisions},
		}
	}
	var attached []any
	for _, x := range d.XDP {
		attached = append(attached, jsonObject{
			"mode": map[string]int{"drv": 1, "skb": 2, "hw": 3}[x.Mode],
			"prog": jsonObject{"id": x.Prog.ID, "name": x.Prog.Name, "tag": x.Prog.Tag, "jited": 1, "load_time": x.Prog.LoadTime, "created_by_uid": 0},
		})
	}
	if attached != nil {
		o["xdp"] = attached
	}
	i := d.Info
	if i == nil {
		return o
	}
	if i.Mode != "" {
		o["mode"] = i.Mode
	}
	switch d.Kind {
	case "vlan":
		o["id"], o["protocol"] = i.VLAN, i.VLANProtocol
	case "vxlan":
		o["id"], o["local"], o["port"] = i.VNI, i.Local, i.Port
		if d.Link != nil {
			o["lower"] = d.Link.Name
		}
	case "vrf":
		o["table"] = i.Table
	case "bridge":
		number := map[bool]int{true: 1}
		o["vlan_filtering"], o["stp_state"] = number[i.Bridge.VLANFiltering], number[i.Bridge.STP]
	case "tun":
		o["tun"] = jsonObject{
			"type": i.Tun.Type, "pi": i.Tun.PacketInfo, "vnetHdr": i.Tun.VNetHeader, "multiQueue": i.Tun.MultiQueue, "persist": i.Tun.Persist,
			"user": i.Tun.User, "group": i.Tun.Group,
		}
	}
	return o
}

// closeCounters takes counters for those of the truth that went on since.
func closeCounters(got, truth jsonObject) {
	g, _ := got["stats64"].(jsonObject)
	w, _ := truth["stats64"].(jsonObject)
	for _, way := range []string{"rx", "tx"} {
		g, _ := g[way].(jsonObject)
		w, _ := w[way].(jsonObject)
		for key, v := range g {
			found := v.(uint64)
			said, _ := w[key].(float64)
			if found >= uint64(said) && found < uint64(said)*2+5000 {
				g[key] = uint64(said)
			}
		}
	}
}

// Each qdisc is as `tc -s qdisc` showed it, in what is read of its options.
func TestTrueQdiscs(t *testing.T) {
	eachNetwork(t, "tc_qdisc.json", func(t *testing.T, c *Configuration, truth []jsonObject) {
		var got []jsonObject
		for _, d := range c.Devices {
			for _, q := range d.Qdiscs {
				got = append(got, tcQdisc(d, q))
			}
		}
		for i, want := range truth {
			delete(want, "refcnt")
			said, _ := want["options"].(jsonObject)
			shown := jsonObject{}
			var found jsonObject
			if i < len(got) {
				found = got[i]
				closeNumbers(found, want, "bytes", "packets", "drops", "overlimits", "requeues")
			}
			options, _ := found["options"].(jsonObject)
			for key := range options {
				shown[key] = said[key]
			}
			want["options"] = shown
			for key := range want { // of the kind, such as new_flow_count
				if _, ok := found[key]; !ok && found != nil && key != "parent" && key != "root" {
					delete(want, key)
				}
			}
		}
		compare(t, truth, got)
	})
}

// tcQdisc returns a qdisc in the form of `tc -s -j qdisc`.
func tcQdisc(d *Device, q *Qdisc) jsonObject {
	options := jsonObject{}
	for key, v := range q.Options {
		switch {
		case q.Kind == "tbf" && (key == "limit" || key == "burst"): // shown as a latency, and rounded
		case q.Kind == "htb" && key == "default":
			options[key] = fmt.Sprintf("%#x", v)
		case key == "ecn":
			options[key] = v == 1
		case q.Kind == "netem" && (key == "delay" || key == "jitter"):
			continue // in a unit of its own
		default:
			options[key] = v
		}
	}
	handle := q.Handle.String()
	if handle == "none" {
		handle = "0:"
	}
	o := jsonObject{
		"kind": q.Kind, "handle": handle, "dev": d.Name, "options": options, "bytes": q.Bytes, "packets": q.Packets, "drops": q.Drops,
		"overlimits": q.Overlimits, "requeues": q.Requeues, "backlog": q.Backlog, "qlen": q.QLen,
	}
	if q.Parent == tcRoot {
		o["root"] = true
	} else {
		o["parent"] = q.Parent
	}
	return o
}

// closeNumbers takes numbers for those of the truth that grew since.
func closeNumbers(got, truth jsonObject, keys ...string) {
	for _, key := range keys {
		said, _ := truth[key].(float64)
		b, _ := json.Marshal(got[key])
		found, err := strconv.ParseUint(string(b), 10, 64)
		if err == nil && found >= uint64(said) && found < uint64(said)*2+5000 {
			got[key] = said
		}
	}
}

// The neighbours are those that `ip neighbour` showed, in any order, for it is that of a hash
// table; their states move on until memory is captured.
func TestTrueNeighbours(t *testing.T) {
	eachNetwork(t, "ip_neigh.json", func(t *testing.T, c *Configuration, truth []jsonObject) {
		got := map[string]jsonObject{}
		for _, n := range c.Neighbours {
			if n.Flags&neighbourProxy == 0 {
				got[n.Device+" "+n.Dst.String()] = ipNeighbour(n)
			}
		}
		for _, want := range truth {
			key := want["dev"].(string) + " " + want["dst"].(string)
			found, ok := got[key]
			delete(got, key)
			for _, moving := range []string{"refcnt", "used", "confirmed", "updated", "probes"} {
				delete(want, moving)
			}
			if !ok {
				t.Errorf("%s is not in the image: %v", key, want)
				continue
			}
			said, state := fmt.Sprint(want["state"]), asJSON(t, found["state"])
			if moves(said) && moves(fmt.Sprint(state)) {
				want["state"] = state
				if _, ok := found["lladdr"]; !ok {
					delete(want, "lladdr")
				}
			}
			if d := cmp.Diff(asJSON(t, want), asJSON(t, found)); d != "" {
				t.Errorf("%s (-truth +image):\n%s", key, d)
			}
		}
		for key, found := range got {
			t.Errorf("%s is in no truth: %v", key, found)
		}
	})
}

// moves reports whether a neighbour may be in another state soon.
func moves(states string) bool {
	for _, s := range []string{"REACHABLE", "STALE", "DELAY", "PROBE", "INCOMPLETE", "FAILED"} {
		if strings.Contains(states, s) {
			return true
		}
	}
	return false
}

func ipNeighbour(n *Neighbour) jsonObject {
	o := jsonObject{"dst": n.Dst, "state": n.State.Names()}
	if n.Device != "" {
		o["dev"] = n.Device
	}
	if n.LinkAddress != "" {
		o["lladdr"] = n.LinkAddress
	}
	for _, name := range n.Flags.Names() {
		o[name] = nil
	}
	if n.Protocol != 0 {
		o["protocol"] = n.Protocol
	}
	return o
}

func TestTrueProxies(t *testing.T) {
	eachNetwork(t, "ip_neigh_proxy.json", func(t *testing.T, c *Configuration, truth []jsonObject) {
		var got []jsonObject
		for _, n := range c.Neighbours {
			if n.Flags&neighbourProxy != 0 {
				o := ipNeighbour(n)
				delete(o, "state")
				got = append(got, o)
			}
		}
		compare(t, truth, got)
	})
}

// The filters of clsact and of other qdiscs are those that `tc filter` showed, with their
// programs.
func TestTrueFilters(t *testing.T) {
	eachNode(t, func(t *testing.T, n *node) {
		compared := 0
		for _, c := range n.configs(t) {
			for _, d := range c.Devices {
				for _, of := range []struct{ file, direction string }{
					{"tc_filter." + d.Name + ".json", ""}, {"tc_filter_ingress." + d.Name + ".json", "ingress"}, {"tc_filter_egress." + d.Name + ".json", "egress"},
				} {
					truth, err := readTruth(n, c, of.file)
					if errors.Is(err, fs.ErrNotExist) {
						continue
					}
					if err != nil {
						t.Error(err)
						continue
					}
					if n.poor {
						continue
					}
					compare(t, shownFilters(truth), tcFilters(d, of.direction))
					compared += len(truth)
				}
			}
		}
		t.Logf("%d filters compared", compared)
	})
}

// shownFilters returns what is read of filters: each once, and programs.
func shownFilters(truth []jsonObject) (shown []jsonObject) {
	for _, f := range truth {
		if f["ingress"] == true {
			continue // tc shows those of ingress for egress too, where there is no clsact
		}
		options, _ := f["options"].(jsonObject)
		if options == nil {
			shown = append(shown, f)
			continue
		}
		if prog, ok := options["prog"].(jsonObject); ok {
			shown = append(shown, jsonObject{
				"handle": options["handle"], "bpf_name": options["bpf_name"], "direct-action": options["direct-action"], "id": prog["id"], "tag": prog["tag"],
			})
		}
	}
	return shown
}

// tcFilters returns the filters of a direction, or those of other qdiscs than clsact and
// ingress, in the form of shownFilters.
func tcFilters(d *Device, direction string) (got []jsonObject) {
	for _, q := range d.Qdiscs {
		for _, f := range q.Filters {
			if f.Direction != direction {
				continue
			}
			o := jsonObject{"protocol": f.Protocol, "pref": f.Pref, "kind": f.Kind, "chain": f.Chain}
			if direction == "" {
				o["parent"] = q.Handle
			}
			got = append(got, o)
			for _, p := range f.Programs {
				got = append(got, jsonObject{
					"handle": fmt.Sprintf("%#x", p.Handle), "bpf_name": p.Name, "direct-action": p.Direct, "id": p.Prog.ID, "tag": p.Prog.Tag,
				})
			}
		}
	}
	return got
}

// The classes of an htb are those that `tc class` showed.
func TestTrueClasses(t *testing.T) {
	eachNode(t, func(t *testing.T, n *node) {
		compared := 0
		for _, c := range n.configs(t) {
			for _, d := range c.Devices {
				b, err := os.ReadFile(filepath.Join(n.img.Truth, "net", fmt.Sprint(c.Namespace.Inum), "tc_class."+d.Name))
				if err != nil {
					continue
				}
				var want, got []string
				for line := range strings.Lines(string(b)) { // tc writes these as text
					if rest, ok := strings.CutPrefix(line, "class htb "); ok {
						want = append(want, strings.Join(strings.Fields(rest)[:htbWords(rest)], " "))
					}
				}
				for _, q := range d.Qdiscs {
					for _, class := range q.Classes {
						got = append(got, tcClass(&class))
					}
				}
				if n.poor {
					continue
				}
				if d := cmp.Diff(want, got); d != "" {
					t.Errorf("(-truth +image):\n%s", d)
				}
				compared += len(want)
			}
		}
		t.Logf("%d classes compared", compared)
	})
}

// htbWords returns how many words of a line say what is compared: all up to the ceiling.
func htbWords(line string) int {
	for i, word := range strings.Fields(line) {
		if word == "ceil" {
			return i + 2
		}
	}
	return 0
}

func tcClass(c *QdiscClass) string {
	text := c.Handle.String() + " "
	if c.Parent == tcRoot {
		text += "root"
	} else {
		text += "parent " + c.Parent.String()
	}
	if c.Leaf != 0 {
		text += " leaf " + c.Leaf.String()
	}
	rate := func(bytes uint64) string {
		if bits := bytes * 8; bits%1e9 == 0 {
			return fmt.Sprintf("%dGbit", bits/1e9)
		} else {
			return fmt.Sprintf("%dMbit", bits/1e6)
		}
	}
	if c.Leaf != 0 {
		text += fmt.Sprintf(" prio %d quantum %d", c.Prio, c.Quantum)
	}
	return text + " rate " + rate(c.Rate) + " ceil " + rate(c.Ceil)
}
