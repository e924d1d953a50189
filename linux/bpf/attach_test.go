package bpf

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/nodelens/nodelens/linux/module"
	"github.com/nodelens/nodelens/linux/network"
	"github.com/nodelens/nodelens/linux/network/socket"
)

// networkOf reads the devices and sockets of a node.
func networkOf(n *node) (set *Set, err error) {
	ctx := context.Background()
	modules, err := module.Open(ctx, n.K, nil)
	if err != nil {
		return nil, err
	}
	return Open(ctx, n.K, &Options{Tasks: n.Tasks, Modules: modules, Network: func() (all []*network.Configuration, sockets []*socket.Socket) {
		var spaces []*network.Namespace
		for ns, err := range network.Namespaces(ctx, n.K, n.Tasks) {
			if err == nil {
				spaces = append(spaces, ns)
			}
		}
		for c, err := range network.Configurations(ctx, n.K, spaces, &network.Options{Types: modules.Types}) {
			if err == nil {
				all = append(all, c)
			}
		}
		for k, err := range socket.Sockets(ctx, n.K, &socket.Options{Tasks: n.Tasks, Namespaces: spaces}) {
			if err == nil {
				sockets = append(sockets, k)
			}
		}
		return all, sockets
	}})
}

// A toolNet is what bpftool shows of a network namespace.
type toolNet struct {
	XDP []struct {
		Index uint32 `json:"ifindex"`
		Mode  string `json:"mode"`
		ID    uint32 `json:"id"`
	} `json:"xdp"`
	TC []struct {
		Index uint32 `json:"ifindex"`
		Kind  string `json:"kind"`
		ID    uint32 `json:"id"`
	} `json:"tc"`
}

// flowDissector is what bpftool writes as no JSON.
var flowDissector = regexp.MustCompile(`"flow_dissector":\["id":(\d+)\]`)

// TestNetworkAttachments compares the programs of all devices and namespaces with what bpftool listed, and finds
// what holds every program of a node.
func TestNetworkAttachments(t *testing.T) {
	t.Parallel()
	nodes.Each(t, func(t *testing.T, n *node) {
		files, err := filepath.Glob(filepath.Join(n.Truth, "net", "*", "bpftool_net.json"))
		if err != nil || len(files) == 0 {
			t.Skip("no cases of the network")
		}
		set, err := networkOf(n)
		if err != nil {
			t.Fatal(err)
		}
		var want, got []string
		for _, name := range files {
			data, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			netns := filepath.Base(filepath.Dir(name))
			for _, m := range flowDissector.FindAllSubmatch(data, -1) {
				want = append(want, fmt.Sprint(netns, " flow_dissector ", string(m[1])))
			}
			data = flowDissector.ReplaceAll(data, []byte(`"flow_dissector":[]`))
			var all []toolNet
			if json.Unmarshal(data, &all) != nil {
				continue // it could not ask
			}
			for _, a := range all {
				for _, x := range a.XDP {
					want = append(want, fmt.Sprint(netns, " ", x.Index, " xdp ", map[string]string{"generic": "skb", "driver": "drv", "offload": "hw"}[x.Mode], " ", x.ID))
				}
				for _, x := range a.TC {
					kind := strings.ReplaceAll(x.Kind, "tcx/", "tcx tcx_")
					want = append(want, fmt.Sprint(netns, " ", x.Index, " ", strings.ReplaceAll(kind, "clsact/", "tc "), " ", x.ID))
				}
			}
		}
		for _, p := range set.Programs() {
			for _, a := range p.Attachments {
				switch a.Kind {
				case "xdp", "tc", "tcx":
					got = append(got, fmt.Sprint(a.NetNS, " ", a.Index, " ", a.Kind, " ", a.Type, " ", p.ID))
				case "netns":
					if a.Type == "flow_dissector" {
						got = append(got, fmt.Sprint(a.NetNS, " flow_dissector ", p.ID))
					}
				}
			}
			if len(p.Owners) == 0 && len(p.Attachments) == 0 && len(p.Pins) == 0 && len(p.Links) == 0 && p.Sources&InMaps == 0 {
				t.Errorf("nothing holds %v, a %v with %d references", p, p.Type, p.References)
			}
		}
		if n.K.Symbols().HasField("net_device", "tcx_ingress") && !slices.ContainsFunc(want, func(l string) bool { return strings.Contains(l, " tcx ") }) {
			got = tcxByName(t, n, got)
		}
		slices.Sort(want)
		slices.Sort(got)
		if diff := gocmp.Diff(want, got); diff != "" {
			t.Errorf("(-truth +found)\n%s", diff)
		}
	})
}

// tcxByName compares the programs of tcx by the names that the lab gave them, and takes them out of what was found: bpftool 7.1 does not list
// them by device.
func tcxByName(t *testing.T, n *node, found []string) (rest []string) {
	t.Helper()
	want := map[string]bool{}
	for _, p := range truthOf[[]map[string]any](t, n, "bpftool_prog.json") {
		if kind := map[any]string{"lab_tcx_in": "tcx_ingress", "lab_tcx_out": "tcx_egress"}[p["name"]]; kind != "" {
			want[fmt.Sprint(kind, " ", p["id"])] = true
		}
	}
	got := map[string]bool{}
	for _, l := range found {
		words := strings.Fields(l)
		if len(words) != 5 || words[2] != "tcx" {
			rest = append(rest, l)
			continue
		}
		got[words[3]+" "+words[4]] = true
	}
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("tcx (-truth +found)\n%s", diff)
	}
	return rest
}

// A toolPerf is a perf event or a tracepoint of a process, with a program, as bpftool shows it.
type toolPerf struct {
	Program    uint32 `json:"prog_id"`
	Kind       string `json:"fd_type"`
	Tracepoint string `json:"tracepoint"`
	Func       string `json:"func"`
	File       string `json:"filename"`
}

// TestPerf compares the programs of probes and tracepoints with what bpftool listed of processes.
func TestPerf(t *testing.T) {
	t.Parallel()
	nodes.Each(t, func(t *testing.T, n *node) {
		want := map[string]bool{}
		for _, p := range truthOf[[]toolPerf](t, n, "bpftool_perf.json") {
			want[fmt.Sprint(p.Program, " ", p.Kind, " ", p.Tracepoint, p.Func, p.File)] = true
		}
		held := map[uint32]bool{}
		for _, l := range n.set.Links() {
			held[l.ID] = len(l.Owners) > 0
		}
		got := map[string]bool{}
		for _, p := range n.set.Programs() {
			for _, a := range p.Attachments {
				kind := a.Type
				if a.Kind == "raw_tracepoint" {
					kind = a.Kind
				}
				if (a.Kind == "raw_tracepoint" && held[a.Link] || a.Kind == "perf_event") && a.Type != "event" {
					got[fmt.Sprint(p.ID, " ", kind, " ", a.Target)] = true
				}
			}
		}
		if diff := gocmp.Diff(want, got); diff != "" {
			t.Errorf("(-truth +found)\n%s", diff)
		}
	})
}
