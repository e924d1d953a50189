package network

import (
	"errors"
	"fmt"
	"io/fs"
	"testing"
)

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
				if d.Kind == "netkit" && i < len(want) && want[i]["mode"] == nil { // of ip before 6.7
					delete(o, "mode")
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
		prog := jsonObject{"id": x.Prog.ID, "name": x.Prog.Name, "tag": x.Prog.Tag, "jited": 1, "load_time": x.Prog.LoadTime, "created_by_uid": x.Prog.UID}
		if x.Prog.BTF != 0 {
			prog["btf_id"] = x.Prog.BTF
		}
		attached = append(attached, jsonObject{"mode": map[string]int{"drv": 1, "skb": 2, "hw": 3}[x.Mode], "prog": prog})
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
