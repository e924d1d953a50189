package network

import (
	"encoding/binary"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// procLines returns the lines of a file of a namespace's /proc/net, without those of its
// head, and whether there is one.
func procLines(n *node, c *Configuration, name string, head int) (lines []string, ok bool) {
	b, err := os.ReadFile(filepath.Join(n.img.Truth, "net", fmt.Sprint(c.Namespace.Inum), "proc", name))
	if err != nil && c.Namespace.Initial {
		b, err = os.ReadFile(filepath.Join(n.img.Truth, "proc", "net", name))
	}
	if err != nil {
		return nil, false
	}
	for line := range strings.Lines(string(b)) {
		if head--; head < 0 {
			lines = append(lines, strings.Join(strings.Fields(line), " "))
		}
	}
	return lines, true
}

// eachProc compares a file of /proc/net in each namespace that has one.
func eachProc(t *testing.T, name string, head int, found func(c *Configuration, poor bool, lines []string) []string) {
	eachNode(t, func(t *testing.T, n *node) {
		compared := 0
		for _, c := range n.configs(t) {
			lines, ok := procLines(n, c, name, head)
			if !ok {
				continue
			}
			compared += len(lines)
			if d := cmp.Diff(lines, found(c, n.poor, lines), cmp.Transformer("none", func(s []string) string { return strings.Join(s, "\n") })); d != "" {
				t.Errorf("%s of %v (-truth +image):\n%s", name, c.Namespace, d)
			}
		}
		t.Logf("%d lines compared", compared)
	})
}

// The main table is that of /proc/net/route (fib_route_seq_show of net/ipv4/fib_trie.c).
func TestProcRoutes(t *testing.T) {
	eachProc(t, "route", 1, func(c *Configuration, _ bool, _ []string) (lines []string) {
		for _, r := range c.Routes {
			if r.Family == Inet && r.Table == TableMain && r.Type != 3 && r.Type != 5 { // broadcast, multicast
				lines = append(lines, procRoute(r))
			}
		}
		return lines
	})
}

func procRoute(r *Route) string {
	prefix := netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	if r.Dst != "default" {
		var err error
		if prefix, err = netip.ParsePrefix(r.Dst); err != nil {
			prefix = netip.PrefixFrom(netip.MustParseAddr(r.Dst), 32)
		}
	}
	gateway, device := r.Gateway, r.Device
	if len(r.NextHops) > 0 {
		gateway, device = r.NextHops[0].Gateway, r.NextHops[0].Device
	}
	flags := 1 // RTF_UP
	gw := uint32(0)
	if gateway.Is4() {
		flags |= 2 // RTF_GATEWAY
		b := gateway.As4()
		gw = binary.LittleEndian.Uint32(b[:])
	}
	mask := uint32(0)
	if prefix.Bits() > 0 {
		mask = ^uint32(0) << (32 - prefix.Bits())
	}
	if prefix.Bits() == 32 {
		flags |= 4 // RTF_HOST
	}
	if r.Type == 7 || r.Type == 8 { // unreachable, prohibit
		flags |= 0x200 // RTF_REJECT
	}
	if device == "" {
		device = "*"
	}
	b := prefix.Addr().As4()
	mtu := r.Metrics["advmss"]
	if mtu != 0 {
		mtu += 40
	}
	return fmt.Sprintf("%s %08X %08X %04X 0 0 %d %08X %d 0 0", device, binary.LittleEndian.Uint32(b[:]), gw, flags, r.Metric, swap(mask), mtu)
}

func swap(v uint32) uint32 {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], v)
	return binary.LittleEndian.Uint32(b[:])
}

// The devices are those of /proc/net/dev, with counters that are not lower.
func TestProcDevices(t *testing.T) {
	eachProc(t, "dev", 2, func(c *Configuration, poor bool, truth []string) (lines []string) {
		for i, d := range c.Devices {
			if d.Stats == nil && poor {
				lines = append(lines, truth[i])
				continue
			}
			if d.Stats == nil {
				t.Errorf("%s has no counters", d.Name)
				continue
			}
			rx, tx := d.Stats.RX, d.Stats.TX
			got := []uint64{rx.Bytes, rx.Packets, rx.Errors, rx.Dropped, tx.Bytes, tx.Packets, tx.Errors, tx.Dropped}
			var said []string
			if i < len(truth) {
				said = strings.Fields(truth[i])
			}
			line := []string{d.Name + ":"}
			for column := range max(0, len(said)-1) {
				at := slices.Index([]int{0, 1, 2, 3, 8, 9, 10, 11}, column)
				want, _ := strconv.ParseUint(said[column+1], 10, 64)
				if at < 0 || got[at] >= want && got[at] < want*2+5000 { // it goes on counting
					line = append(line, said[column+1])
				} else {
					line = append(line, fmt.Sprint(got[at]))
				}
			}
			lines = append(lines, strings.Join(line, " "))
		}
		return lines
	})
}

// The addresses of IPv6 are those of /proc/net/if_inet6, in the order of a hash table there.
func TestProcAddresses6(t *testing.T) {
	eachProc(t, "if_inet6", 0, func(c *Configuration, _ bool, truth []string) (lines []string) {
		for _, a := range c.Addresses {
			if a.Family != Inet6 {
				continue
			}
			scope := map[Scope]int{254: 0x10, 253: 0x20, 200: 0x40}[a.Scope]
			lines = append(lines, fmt.Sprintf("%x %02x %02x %02x %02x %s", a.Local.AsSlice(), a.Index, a.PrefixLen, scope, uint8(a.Flags), a.Device))
		}
		slices.Sort(lines)
		slices.Sort(truth)
		return lines
	})
}

// The namespaces are those that the collector found on the node, by what it found them by.
func TestFoundNamespaces(t *testing.T) {
	eachNode(t, func(t *testing.T, n *node) {
		dirs, err := filepath.Glob(filepath.Join(n.img.Truth, "net", "*", "found"))
		if err != nil || len(dirs) == 0 {
			t.Skip("the truth has no namespaces")
		}
		got := map[string]*Namespace{}
		for _, ns := range all(t, Namespaces(t.Context(), n.k, n.tasks)) {
			got[fmt.Sprint(ns.Inum)] = ns
		}
		var want []string
		for _, found := range dirs {
			inum := filepath.Base(filepath.Dir(found))
			want = append(want, inum)
			if ns := got[inum]; ns != nil {
				compareNamespace(t, ns, filepath.Dir(found))
			}
		}
		slices.Sort(want)
		if d := cmp.Diff(want, slices.Sorted(maps.Keys(got))); d != "" {
			t.Errorf("(-truth +image):\n%s", d)
		}
	})
}

// compareNamespace compares a namespace with what the truth has of it in a directory.
func compareNamespace(t *testing.T, ns *Namespace, dir string) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, "found"))
	if err != nil {
		t.Fatal(err)
	}
	var mounts []string
	for line := range strings.Lines(string(b)) {
		words := strings.Fields(line)
		from := map[string]Sources{"process": InTasks, "thread": InTasks, "file": InFiles, "socket": InSockets, "mount": InMounts}[words[0]]
		if ns.Sources&from == 0 {
			t.Errorf("%v comes from %v, and not by %s", ns, ns.Sources, line)
		}
		if words[0] == "mount" {
			mounts = append(mounts, words[1])
		}
	}
	if d := cmp.Diff(mounts, ns.Mounts); d != "" {
		t.Errorf("mounts of %v (-truth +image):\n%s", ns, d)
	}
	if b, err := os.ReadFile(filepath.Join(dir, "cookie")); err == nil && strings.TrimSpace(string(b)) != fmt.Sprint(ns.Cookie) {
		t.Errorf("cookie of %v: %d, want %s", ns, ns.Cookie, b)
	}
}
