package cos

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nodelens/nodelens/linux/network/ipvs"
	"github.com/nodelens/nodelens/linux/network/netfilter/xtables"
)

func TestEdgeOfText(t *testing.T) {
	for text, want := range map[string]natEdge{
		`-d 10.96.0.10/32 -p tcp -m comment --comment "shop/web:http cluster IP" -m tcp --dport 80 -j KUBE-SVC-X`: {
			cond: natCond{protocol: "tcp", to: netip.MustParsePrefix("10.96.0.10/32"), port: 80, last: 80, name: "shop/web:http"}, chain: "KUBE-SVC-X",
		},
		`-p udp -m udp --dport 53:60 ! -d 10.0.0.1/32 -g X`:                        {cond: natCond{protocol: "udp", port: 53, last: 60}, chain: "X"},
		`-m tcp --dport 0:65535 -j X`:                                              {cond: natCond{last: 65535}, chain: "X"},
		`-p tcp -j DNAT --to-destination 10.88.0.2:8080`:                           {cond: natCond{protocol: "tcp"}, nat: netip.MustParseAddrPort("10.88.0.2:8080")},
		`-j DNAT --to-destination 10.88.0.2-10.88.0.9:80-90`:                       {nat: netip.MustParseAddrPort("10.88.0.2:80")},
		`-p tcp -j DNAT --to-destination [fd00:88::2]:8080`:                        {cond: natCond{protocol: "tcp"}, nat: netip.MustParseAddrPort("[fd00:88::2]:8080")},
		`-j DNAT --to-destination fd00:88::2`:                                      {nat: netip.AddrPortFrom(netip.MustParseAddr("fd00:88::2"), 0)},
		`-m comment --comment "a \"quoted\" -j TRICK" -d fd00::/8 -j "with blank"`: {cond: natCond{to: netip.MustParsePrefix("fd00::/8")}, chain: "with blank"},
	} {
		if got := edgesOfText(text); len(got) != 1 || got[0] != want {
			t.Errorf("%s: %+v, want %+v", text, got, want)
		}
	}
	for _, text := range []string{"", "-m mark", "-j", "-j DNAT --to-destination x:1", "-j DNAT --to-destination 1.2.3.4:x"} {
		if got := edgesOfText(text); got != nil {
			t.Errorf("%q: %+v", text, got)
		}
	}
	want := []natEdge{{cond: natCond{protocol: "tcp", port: 80, last: 80}, chain: "X"}, {cond: natCond{protocol: "tcp", port: 8000, last: 8010}, chain: "X"}}
	if got := edgesOfText("-p tcp -m multiport --dports 80,8000:8010 -j X"); !slices.Equal(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
}

// Tables of iptables itself and services of IPVS lead to pods, too.
func TestServicesOfOthers(t *testing.T) {
	r := &netReader{net: &Network{
		Namespaces: []NetworkNamespace{{
			IPTables: []xtables.Table{
				{Family: "ip", Name: "nat", Chains: []*xtables.Chain{
					{Name: "PREROUTING", Rules: []*xtables.Rule{{Text: "-j CNI-HOSTPORT-DNAT"}}},
					{Name: "CNI-HOSTPORT-DNAT", Rules: []*xtables.Rule{{Text: "-p tcp -m tcp --dport 8000 -j CNI-DN-1"}}},
					{Name: "CNI-DN-1", Rules: []*xtables.Rule{{Text: "-p tcp -m tcp -j DNAT --to-destination 10.0.0.2:80"}}},
				}},
				{Family: "ip", Name: "filter", Chains: []*xtables.Chain{{Name: "OUTPUT", Rules: []*xtables.Rule{{Text: "-j DNAT --to-destination 10.0.0.2:81"}}}}},
			},
			IPVS: []ipvs.Service{
				{Protocol: "tcp", Address: netip.MustParseAddr("10.96.0.30"), Port: 80, Destinations: []ipvs.Destination{{Address: netip.MustParseAddr("10.0.0.2"), Port: 8080}}},
				{Mark: 7, Address: netip.IPv4Unspecified(), Destinations: []ipvs.Destination{{Address: netip.MustParseAddr("10.0.0.9")}}},
			},
		}},
		Pods: []PodNetwork{{UID: "a", IPs: []string{"10.0.0.2"}}},
	}}
	r.joinServices()
	want := PodNetwork{
		UID: "a", IPs: []string{"10.0.0.2"},
		HostPorts: []PodRoute{{Protocol: "tcp", Port: 8000, TargetPort: 80, By: ByIPTables, Chain: "CNI-DN-1"}},
		Services:  []PodRoute{{Protocol: "tcp", Address: "10.96.0.30", Port: 80, TargetPort: 8080, By: ByIPVS}},
	}
	if diff := cmp.Diff(want, r.net.Pods[0]); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func FuzzSplitRule(f *testing.F) {
	f.Add(`-m comment --comment "a \"b" -j X`)
	f.Fuzz(func(t *testing.T, text string) {
		if slices.ContainsFunc(splitRule(text), func(s string) bool { return len(s) > len(text) }) {
			t.Error("a word is longer than the rule")
		}
		edgesOfText(text)
	})
}
