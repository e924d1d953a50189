package network

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
)

// An rtnlMessage is a message of rtnetlink(7), as the kernel answered: its header's type, its own header and its attributes.
type rtnlMessage struct {
	kind       uint16
	header     []byte
	attributes map[uint16][]byte
}

// rtnlAttributes reads attributes: length, type, value.
func rtnlAttributes(b []byte) map[uint16][]byte {
	m := map[uint16][]byte{}
	for len(b) >= 4 {
		n := int(binary.LittleEndian.Uint16(b))
		if n < 4 || n > len(b) {
			break
		}
		m[binary.LittleEndian.Uint16(b[2:])&0x3fff] = b[4:n]
		b = b[min((n+3)&^3, len(b)):]
	}
	return m
}

// rtnlTruth reads the file of a namespace, nil where the node's truth has none.
func rtnlTruth(t *testing.T, n *node, c *Configuration, name string, header int) (all []rtnlMessage) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(n.img.Truth, "net", fmt.Sprint(c.Namespace.Inum), name))
	if err != nil {
		return nil
	}
	for len(b) >= 16 {
		size := int(binary.LittleEndian.Uint32(b))
		if size < 16 || size > len(b) {
			t.Fatalf("a message of %d bytes", size)
		}
		if kind := binary.LittleEndian.Uint16(b[4:]); kind >= 16 && size >= 16+header { // no answer of its own, such as the last
			all = append(all, rtnlMessage{kind, b[16 : 16+header], rtnlAttributes(b[16+header : size])})
		}
		b = b[min((size+3)&^3, len(b)):]
	}
	return all
}

// rtnlNumber returns a number of an attribute, 0 where it has none.
func rtnlNumber(b []byte, big bool) (n uint32) {
	for i := range b {
		if big {
			n = n<<8 | uint32(b[i])
		} else {
			n |= uint32(b[i]) << (8 * i)
		}
	}
	return n
}

// A ruleSelectors is what ip before 6.15 does not know of rules, and by what a rule is found.
type ruleSelectors struct {
	Family                                     Family
	Priority, Table                            uint32
	TOS                                        uint32
	DSCP, DSCPMask, Label, LabelMask, Src, Dst string
}

// Rules have the selectors that the kernel tells of them.
func TestTrueRuleSelectors(t *testing.T) {
	eachNode(t, func(t *testing.T, n *node) {
		compared := 0
		for _, c := range n.configs(t) {
			var want, got []ruleSelectors
			text := func(a map[uint16][]byte, kind uint16, big bool) string { // empty where it is not said, or 0
				if b, ok := a[kind]; ok && rtnlNumber(b, big) != 0 {
					return fmt.Sprint(rtnlNumber(b, big))
				}
				return ""
			}
			const rtmNewRule, inet, inet6 = 32, 2, 10
			for _, m := range rtnlTruth(t, n, c, "rtnl_rule", 12) {
				a := m.attributes
				if family := m.header[0]; m.kind != rtmNewRule || family != inet && family != inet6 {
					continue
				}
				want = append(want, ruleSelectors{
					Family(m.header[0]), rtnlNumber(a[6], false), rtnlNumber(a[15], false), uint32(m.header[3]),
					text(a, 25, false), text(a, 30, false), text(a, 26, true), text(a, 27, true), text(a, 28, false), text(a, 29, false),
				})
			}
			if want == nil {
				continue
			}
			number := func(v uint32) string {
				if v == 0 {
					return ""
				}
				return fmt.Sprint(v)
			}
			for _, r := range c.Rules {
				if r.Family != Inet && r.Family != Inet6 {
					continue
				}
				s := ruleSelectors{
					Family: r.Family, Priority: r.Priority, Table: uint32(r.Table), TOS: uint32(r.TOS), DSCPMask: number(uint32(r.DSCPMask)),
					Label: number(r.FlowLabel), LabelMask: number(r.FlowLabelMask), Src: number(uint32(r.SourcePortMask)), Dst: number(uint32(r.DestinationMask)),
				}
				if r.DSCP != nil {
					s.DSCP = number(uint32(*r.DSCP))
				}
				got = append(got, s)
			}
			compared += len(want)
			order := func(a, b ruleSelectors) int {
				return cmp.Or(cmp.Compare(a.Family, b.Family), cmp.Compare(a.Priority, b.Priority), cmp.Compare(a.Table, b.Table))
			}
			slices.SortFunc(want, order)
			slices.SortFunc(got, order)
			if d := gocmp.Diff(want, got); d != "" {
				t.Errorf("%v (-kernel +image):\n%s", c.Namespace, d)
			}
		}
		t.Logf("%d rules compared", compared)
	})
}

// Pairs of netkit have the modes that the kernel tells, and the programs that the lab attached to both ends.
func TestTrueNetkit(t *testing.T) {
	eachNode(t, func(t *testing.T, n *node) {
		compared := 0
		for _, c := range n.configs(t) {
			modes := map[string]string{}
			for _, m := range rtnlTruth(t, n, c, "rtnl_link", 16) {
				info := rtnlAttributes(m.attributes[18]) // IFLA_LINKINFO: kind and data
				if string(info[1]) != "netkit\x00" {
					continue
				}
				data := rtnlAttributes(info[2]) // IFLA_NETKIT_MODE, IFLA_NETKIT_PRIMARY
				modes[text(m.attributes[3])] = fmt.Sprint(netkitModes[rtnlNumber(data[5], false)], " ", rtnlNumber(data[2], false) != 0)
			}
			for _, d := range c.Devices {
				if d.Kind != "netkit" {
					continue
				}
				compared++
				var names []string
				for _, p := range d.Netkit {
					names = append(names, p.Prog.Name)
				}
				primary := modes[d.Name] == d.Info.Mode+" true"
				want := []string{"lab_nk_peer"}
				if primary {
					want = []string{"lab_nk"}
				}
				if !primary && modes[d.Name] != d.Info.Mode+" false" || !slices.Equal(names, want) || d.Link == nil {
					t.Errorf("%s: mode %s (%s), programs %v, peer %v", d.Name, d.Info.Mode, modes[d.Name], names, d.Link)
				}
			}
		}
		t.Logf("%d ends compared", compared)
	})
}
