package network

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"regexp"
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

// strayWords are what tc puts into JSON without a name: words of the text of u32, the conditions of basic, all of fw.
var strayWords = regexp.MustCompile(`,"(    offset | eat )"|\n  [^"{}]*|handle [^"{}]*`)

// readTruth reads what a command said in a namespace, as an array of objects. ip prints empty
// objects where there is nothing, and half an array where the kernel has no such tables.
func readTruth(n *node, c *Configuration, file string) (found []jsonObject, err error) {
	name := filepath.Join(n.img.Truth, "net", fmt.Sprint(c.Namespace.Inum), file)
	if refused, _ := os.ReadFile(name + ".err"); strings.Contains(string(refused), "not supported") {
		return nil, nil
	}
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	if len(strings.TrimSpace(string(b))) == 0 {
		return nil, nil
	}
	var all []jsonObject
	err = json.Unmarshal(strayWords.ReplaceAll(b, nil), &all)
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
	for key, detached := range map[string]bool{"iif_detached": r.IIFDetached, "oif_detached": r.OIFDetached} {
		if detached {
			o[key] = nil
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
