package cos

import (
	"net/netip"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nodelens/nodelens/linux/network"
	"github.com/nodelens/nodelens/linux/network/netfilter/nftables"
	"github.com/nodelens/nodelens/linux/network/netfilter/xtables"
)

// translated adds the target by which iptables translates addresses.
func translated(r *nftables.Rule, to string) *nftables.Rule {
	r.Extensions = append(r.Extensions, xtables.Extension{Name: "DNAT", Revision: 2, Text: "--to-destination " + to})
	r.Statements = append(r.Statements, map[string]any{"xt": map[string]any{"type": "target", "name": "DNAT"}})
	return r
}

func matchOf(protocol, field string, right any) any {
	return map[string]any{"match": map[string]any{"op": "==", "left": map[string]any{"payload": map[string]any{"protocol": protocol, "field": field}}, "right": right}}
}

func jumpTo(verb, chain string) any { return map[string]any{verb: map[string]any{"target": chain}} }

func rule(statements ...any) *nftables.Rule { return &nftables.Rule{Statements: statements} }

// commented adds a comment as iptables has it.
func commented(r *nftables.Rule, text string) *nftables.Rule {
	r.Extensions = append([]xtables.Extension{{Name: "comment", Text: strconv.Quote(text)}}, r.Extensions...)
	r.Extensions[0].Text = "--comment " + r.Extensions[0].Text
	r.Statements = append([]any{map[string]any{"xt": map[string]any{"type": "match", "name": "comment"}}}, r.Statements...)
	return r
}

func routesOfTables(t *testing.T, tables ...nftables.Table) *netReader {
	t.Helper()
	r := &netReader{net: &Network{
		Namespaces: []NetworkNamespace{{Namespace: network.Namespace{Initial: true}, NFTables: tables}},
		Pods:       []PodNetwork{{UID: "a", IPs: []string{"10.0.0.2", "fd00::2"}}, {UID: "b", IPs: []string{"10.0.0.3"}}},
	}}
	r.joinServices()
	return r
}

// The chains of kube-proxy's mode iptables lead to endpoints by the address of the Service
// and by a port of the node; those of the CNI plugin portmap by a port of the node.
func TestServicesOfIPTables(t *testing.T) {
	dnat := translated(rule(), "10.0.0.2:8080")
	portmap := translated(rule(matchOf("tcp", "dport", map[string]any{"set": []any{int64(8000), map[string]any{"range": []any{int64(8100), int64(8110)}}}})), "10.0.0.3:80")
	r := routesOfTables(t, nftables.Table{Family: "ip", Name: "nat", Chains: []*nftables.Chain{
		{Name: "PREROUTING", Type: "nat", Hook: "prerouting", Rules: []*nftables.Rule{rule(jumpTo("jump", "KUBE-SERVICES")), rule(jumpTo("jump", "CNI-HOSTPORT-DNAT"))}},
		{Name: "OUTPUT", Type: "nat", Hook: "output", Rules: []*nftables.Rule{rule(jumpTo("jump", "KUBE-SERVICES"))}},
		{Name: "KUBE-SERVICES", Rules: []*nftables.Rule{
			commented(rule(matchOf("ip", "daddr", "10.96.0.10"), matchOf("tcp", "dport", int64(80)), jumpTo("jump", "KUBE-SVC-X")), "shop/web:http cluster IP"),
			commented(rule(jumpTo("jump", "KUBE-NODEPORTS")), "kubernetes service nodeports; NOTE: this must be the last rule in this chain"),
		}},
		{Name: "KUBE-NODEPORTS", Rules: []*nftables.Rule{commented(rule(matchOf("tcp", "dport", int64(30080)), jumpTo("jump", "KUBE-SVC-X")), "shop/web:http")}},
		{Name: "KUBE-SVC-X", Rules: []*nftables.Rule{commented(rule(jumpTo("jump", "KUBE-SEP-Y")), "shop/web:http -> 10.0.0.2:8080")}},
		{Name: "KUBE-SEP-Y", Rules: []*nftables.Rule{
			rule(matchOf("ip", "saddr", "10.0.0.2"), jumpTo("jump", "KUBE-MARK-MASQ")),
			commented(dnat, "shop/web:http"),
			rule(jumpTo("jump", "KUBE-SVC-X")), // a loop, as no kernel loads it
		}},
		{Name: "CNI-HOSTPORT-DNAT", Rules: []*nftables.Rule{rule(jumpTo("jump", "CNI-DN-1"))}},
		{Name: "CNI-DN-1", Rules: []*nftables.Rule{portmap}},
	}})
	want := []PodNetwork{
		{UID: "a", IPs: []string{"10.0.0.2", "fd00::2"}, Services: []PodRoute{
			{Name: "shop/web:http", Protocol: "tcp", Port: 30080, TargetPort: 8080, By: ByIPTables, Chain: "KUBE-SEP-Y"},
			{Name: "shop/web:http", Protocol: "tcp", Address: "10.96.0.10", Port: 80, TargetPort: 8080, By: ByIPTables, Chain: "KUBE-SEP-Y"},
		}},
		{UID: "b", IPs: []string{"10.0.0.3"}, HostPorts: []PodRoute{
			{Protocol: "tcp", Port: 8000, TargetPort: 80, By: ByIPTables, Chain: "CNI-DN-1"},
			{Protocol: "tcp", Port: 8100, LastPort: 8110, TargetPort: 80, By: ByIPTables, Chain: "CNI-DN-1"},
		}},
	}
	if diff := cmp.Diff(want, r.net.Pods); diff != "" || len(r.gaps) > 0 {
		t.Errorf("gaps %v, pods (-want +got):\n%s", r.gaps, diff)
	}
}

// Those of kube-proxy's mode nftables look the Service up in a map.
func TestServicesOfNFTables(t *testing.T) {
	payload := func(protocol, field string) any {
		return map[string]any{"payload": map[string]any{"protocol": protocol, "field": field}}
	}
	key := map[string]any{"concat": []any{payload("ip", "daddr"), map[string]any{"meta": map[string]any{"key": "l4proto"}}, payload("th", "dport")}}
	concat := func(parts ...any) any { return map[string]any{"concat": parts} }
	const chain, endpoint = "service-ULNXPXFM-shop/web/tcp/http", "endpoint-5OSBCS3Y-shop/web/tcp/http__10.0.0.3/8080"
	r := routesOfTables(t, nftables.Table{
		Family: "ip", Name: "kube-proxy",
		Sets: []*nftables.Set{{Name: "service-ips", Map: true, Elements: []nftables.Element{
			{Value: []any{concat("10.96.0.20", "tcp", int64(80)), jumpTo("goto", chain)}},
			{Value: []any{map[string]any{"elem": map[string]any{"val": concat("10.96.0.21", "udp", int64(53)), "comment": "x"}}, jumpTo("goto", "nowhere")}},
		}}},
		Chains: []*nftables.Chain{
			{Name: "nat-prerouting", Type: "nat", Hook: "prerouting", Rules: []*nftables.Rule{rule(map[string]any{"vmap": map[string]any{"key": key, "data": "@service-ips"}})}},
			{Name: chain, Rules: []*nftables.Rule{rule(map[string]any{"vmap": map[string]any{
				"key": map[string]any{"numgen": map[string]any{"mod": int64(1)}}, "data": map[string]any{"set": []any{[]any{int64(0), jumpTo("goto", endpoint)}}},
			}})}},
			{Name: endpoint, Rules: []*nftables.Rule{rule(map[string]any{"dnat": map[string]any{"addr": "10.0.0.3", "port": int64(8080)}})}},
			{Name: "unused", Rules: []*nftables.Rule{rule(map[string]any{"dnat": map[string]any{"addr": "10.0.0.2"}})}},
		},
	})
	want := []PodRoute{{Name: "shop/web:http", Protocol: "tcp", Address: "10.96.0.20", Port: 80, TargetPort: 8080, By: ByNFTables, Chain: endpoint}}
	if diff := cmp.Diff(want, r.net.Pods[1].Services); diff != "" || len(r.net.Pods[0].Services) > 0 {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Rules that lead on in more ways than anybody can count are followed so far, and told.
func TestServicesWithoutEnd(t *testing.T) {
	hostile := nftables.Table{Family: "ip", Chains: []*nftables.Chain{{Name: "0", Type: "nat", Hook: "output"}}}
	for range 64 {
		hostile.Chains[0].Rules = append(hostile.Chains[0].Rules, rule(jumpTo("jump", "0")))
	}
	if r := routesOfTables(t, hostile); len(r.gaps) != 1 || r.gaps[0].Reason() != "too-many" {
		t.Errorf("gaps %v", r.gaps)
	}
}

func TestConditions(t *testing.T) {
	wide, narrow := netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("10.1.2.3/32")
	for _, tt := range []struct {
		a, b, want natCond
		none       bool
	}{
		{natCond{to: wide}, natCond{to: narrow, port: 1, last: 1}, natCond{to: narrow, port: 1, last: 1}, false},
		{natCond{to: narrow}, natCond{to: wide}, natCond{to: narrow}, false},
		{natCond{to: narrow}, natCond{to: netip.MustParsePrefix("fd00::/8")}, natCond{}, true},
		{natCond{protocol: "tcp"}, natCond{protocol: "udp"}, natCond{}, true},
		{natCond{port: 1, last: 1}, natCond{port: 2, last: 2}, natCond{}, true},
		{natCond{port: 1, last: 9}, natCond{port: 5, last: 20}, natCond{port: 5, last: 9}, false},
		{natCond{port: 1, last: 9}, natCond{port: 10, last: 20}, natCond{}, true},
		{natCond{name: "a"}, natCond{name: "b"}, natCond{name: "a"}, false},
	} {
		if got, ok := tt.a.and(tt.b); ok == tt.none || ok && got != tt.want {
			t.Errorf("%v and %v: %v, %v", tt.a, tt.b, got, ok)
		}
	}
	for text, want := range map[string]string{
		"shop/web:http cluster IP": "shop/web:http", "shop/web -> 10.0.0.1:80": "shop/web", "kubernetes service portals": "", "a/b c": "", `name: "x/y" id: "z"`: "",
	} {
		if got := serviceOfComment(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
