package cos

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/nodelens/nodelens/internal/testimages"
	"github.com/nodelens/nodelens/internal/truth"
	"github.com/nodelens/nodelens/linux/network/socket"
	"github.com/nodelens/nodelens/vmem"
)

// checkNetwork compares the network of a report with the truth in dir.
func checkNetwork(t *testing.T, dir string, node *truth.Node, r *NodeReport) {
	t.Helper()
	if r.Network == nil {
		t.Fatal("no network")
	}
	checkNamespaces(t, dir, node, r.Network)
	checkSockets(t, dir, node, r.Network)
	checkOwners(t, node, r)
}

// A namespaceTruth is what /proc says of a network namespace.
type namespaceTruth struct {
	PIDs []int32 // of processes with a thread in it
	Pod  string
}

// namespacesOfTruth returns the namespaces that tasks were in, and the one of PID 1.
func namespacesOfTruth(t *testing.T, dir string, node *truth.Node) (all map[uint32]*namespaceTruth, own uint32) {
	t.Helper()
	all = map[uint32]*namespaceTruth{}
	for _, p := range node.Processes {
		if p.PID == node.Collector {
			continue
		}
		for _, inum := range namespacesOfThreads(t, dir, p.PID) {
			if p.PID == 1 {
				own = inum
			}
			if all[inum] == nil {
				all[inum] = new(namespaceTruth)
			}
			ns := all[inum]
			ns.PIDs = append(ns.PIDs, p.PID)
			if pod := podOfTruth(node, p); pod != "" {
				ns.Pod = pod
			}
		}
	}
	all[own].Pod = "" // whatever pods share it
	return all, own
}

var netName = regexp.MustCompile(`(?m)^net net:\[(\d+)\]$`)

// namespacesOfThreads returns the namespaces that the threads of a process were in.
func namespacesOfThreads(t *testing.T, dir string, pid int32) (inums []uint32) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "pid", fmt.Sprint(pid), "task", "*", "ns"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if m := netName.FindSubmatch(text); m != nil { // not of a zombie
			inum, err := strconv.ParseUint(string(m[1]), 10, 32)
			if err != nil {
				t.Fatal(err)
			}
			inums = append(inums, uint32(inum))
		}
	}
	slices.Sort(inums)
	return slices.Compact(inums)
}

// checkNamespaces compares the namespaces, their processes and pods with what /proc said of
// all threads and who made the pods said of these.
func checkNamespaces(t *testing.T, dir string, node *truth.Node, n *Network) {
	t.Helper()
	want, own := namespacesOfTruth(t, dir, node)
	found := map[uint32]*namespaceTruth{}
	for i, ns := range n.Namespaces {
		if ns.Initial != (i == 0) || ns.Initial != (ns.Inum == own) {
			t.Errorf("%v is the node's: %v", &ns.Namespace, ns.Initial)
		}
		gone := func(pid int32) bool { return pid == node.Collector || !inTruth(node, pid) }
		pids := slices.DeleteFunc(slices.Clone(ns.PIDs), gone)
		if want[ns.Inum] == nil && len(pids) == 0 { // without processes: /proc does not tell it
			continue
		}
		found[ns.Inum] = &namespaceTruth{pids, ns.PodUID}
	}
	if diff := cmp.Diff(want, found); diff != "" {
		t.Errorf("namespaces (-truth +found):\n%s", diff)
	}
}

func inTruth(node *truth.Node, pid int32) bool {
	return slices.ContainsFunc(node.Processes, func(p truth.Process) bool { return p.PID == pid })
}

// podOfTruth returns the UID of the pod whose container or sandbox a process is in.
func podOfTruth(node *truth.Node, p truth.Process) string {
	for _, pod := range node.Pods {
		for _, id := range append(slices.Collect(maps.Values(pod.Containers)), pod.SandboxID) {
			if slices.Contains(pidsIn([]truth.Process{p}, id), p.PID) {
				return pod.UID
			}
		}
	}
	return ""
}

// socketFile returns the file of /proc/net that shows a socket.
func socketFile(s *Socket) string {
	protocol := s.Protocol
	if s.Type == socket.Raw {
		protocol = "raw"
	}
	switch {
	case s.Sources&socket.InTable == 0: // open, and of no address yet
		return ""
	case s.Family == socket.Inet6:
		return protocol + "6"
	case s.Family == socket.Inet:
		return protocol
	}
	return s.Family.String()
}

// foundSocket gives a socket the form of the truth's, as far as that is compared: package
// socket compares the rest.
func foundSocket(s *Socket) truth.Socket {
	out := truth.Socket{File: socketFile(s), Inode: s.Inode, UID: s.UID, Path: s.Path}
	switch s.Family {
	case socket.Inet, socket.Inet6:
		out.Local = netip.AddrPortFrom(s.LocalAddress.IP(), uint16(s.LocalPort))
		out.Remote = netip.AddrPortFrom(s.RemoteAddress.IP(), uint16(s.RemotePort))
		out.State = int(s.State)
	case socket.Netlink:
		out.Protocol, out.Port = int(s.Number), s.LocalPort
	}
	return out
}

// trueSocket leaves out of the truth what foundSocket does.
func trueSocket(s truth.Socket) truth.Socket {
	out := truth.Socket{File: s.File, Inode: s.Inode, UID: s.UID, Path: s.Path, Local: s.Local, Remote: s.Remote}
	switch s.File {
	case "netlink":
		out.Protocol, out.Port = s.Protocol, s.Port
	case "unix", "packet":
	default:
		out.State = s.State
	}
	if s.File == "packet" || s.File == "netlink" || s.File == "unix" {
		out.UID = 0
	}
	return out
}

// checkSockets compares the sockets of each namespace with what /proc/net said there, whoever
// has them: all of them must be in the report, and no others.
func checkSockets(t *testing.T, dir string, node *truth.Node, n *Network) {
	t.Helper()
	want, files, err := truth.ReadSockets(dir)
	if err != nil {
		t.Fatal(err)
	}
	found := map[uint32]map[truth.Socket]bool{}
	for i := range n.Sockets {
		s := &n.Sockets[i]
		if found[s.NetNS] == nil {
			found[s.NetNS] = map[truth.Socket]bool{}
		}
		f := foundSocket(s)
		if f.File == "packet" || f.File == "netlink" || f.File == "unix" {
			f.UID = 0
		}
		found[s.NetNS][f] = true
	}
	compared := 0
	for ns, w := range want {
		ever := map[truth.Socket]bool{}
		for _, s := range w.Ever {
			ever[trueSocket(s)] = true
		}
		for _, s := range w.Always {
			if compared++; !found[ns][trueSocket(s)] {
				t.Errorf("net:[%d]: not found: %+v", ns, trueSocket(s))
			}
		}
		for s := range found[ns] {
			if slices.Contains(files[ns], s.File) && !ever[s] {
				t.Errorf("net:[%d]: found, and not so: %+v", ns, s)
			}
		}
	}
	if compared < 50 {
		t.Errorf("%d sockets compared", compared)
	}
}

var socketName = regexp.MustCompile(`^socket:\[(\d+)\]$`)

// checkOwners compares whose sockets are with what /proc said of descriptors, and that a
// socket is of the pod that its processes are of.
func checkOwners(t *testing.T, node *truth.Node, r *NodeReport) {
	t.Helper()
	owners, pods := map[uint64][]socket.Owner{}, map[uint64]map[string]bool{}
	for _, p := range node.Processes {
		if p.PID == node.Collector {
			continue
		}
		for _, fd := range p.FDs {
			m := socketName.FindStringSubmatch(fd.Path)
			if m == nil {
				continue
			}
			inode, err := strconv.ParseUint(m[1], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			owners[inode] = append(owners[inode], socket.Owner{PID: p.PID, FD: fd.FD})
			if pods[inode] == nil {
				pods[inode] = map[string]bool{}
			}
			pods[inode][podOfTruth(node, p)] = true
		}
	}
	for i := range r.Network.Sockets {
		s := &r.Network.Sockets[i]
		if s.Inode == 0 {
			continue
		}
		of := slices.DeleteFunc(slices.Clone(s.Owners), func(o socket.Owner) bool { return o.TID != 0 || o.PID == node.Collector || !inTruth(node, o.PID) })
		if diff := cmp.Diff(owners[s.Inode], of, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("owners of %v (-truth +found):\n%s", &s.Socket, diff)
		}
		delete(owners, s.Inode)
		if len(pods[s.Inode]) == 1 && !pods[s.Inode][s.PodUID] {
			t.Errorf("%v is of the pod %q, want %v", &s.Socket, s.PodUID, pods[s.Inode])
		}
	}
	for inode, of := range owners {
		t.Errorf("socket %d, of %v, is not found", inode, of)
	}
}

// TestPodNetworks compares what is said of the pods of the bundled node with how it was set
// up: the node has a route to each pod, and one of the pods is in the node's own namespace. An
// intruder talks to itself.
func TestPodNetworks(t *testing.T) {
	n := bundledNode(t)
	network, gaps, err := n.Network(t.Context())
	if err != nil || len(gaps) > 0 {
		t.Fatal(err, gaps)
	}
	img := bundled(t)
	routes, err := os.ReadFile(filepath.Join(img.Truth, "proc", "net", "route"))
	if err != nil {
		t.Fatal(err)
	}
	var want, got []string
	for _, m := range regexp.MustCompile(`(?m)^veth\S+\t([0-9A-F]{8})\t.*\tFFFFFFFF\t`).FindAllSubmatch(routes, -1) {
		b, err := hex.DecodeString(string(m[1]))
		if err != nil {
			t.Fatal(err)
		}
		slices.Reverse(b)
		want = append(want, netip.AddrFrom4([4]byte(b)).String())
	}
	host := 0
	for _, p := range network.Pods {
		got = append(got, p.IPs...)
		if p.Host {
			host++
		}
		if p.Host != (p.NetNS == network.Namespaces[0].Inum) || p.Host != (len(p.IPs) == 0) {
			t.Errorf("%+v", p)
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" || host != 1 {
		t.Errorf("%d pods with the network of the node; addresses of pods (-want +got):\n%s", host, diff)
	}
	ends := map[vmem.VirtAddr]*Socket{}
	var established []*Socket
	for i := range network.Sockets {
		s := &network.Sockets[i]
		ends[s.Addr] = s
		if s.State == socket.Established && s.Protocol == "tcp" {
			established = append(established, s)
		}
	}
	for _, s := range established {
		if peer := ends[s.PeerSocket]; peer == nil || peer.PeerSocket != s.Addr || s.PeerPodUID != s.PodUID || s.PodUID == "" {
			t.Errorf("%v of the pod %s is connected with %+v", &s.Socket, s.PodUID, peer)
		}
	}
	if len(established) != 2 {
		t.Errorf("%d connections", len(established))
	}
}

// TestNetworkNodes compares the reports about nodes with all cases of the network with what
// tools said there: whose sockets are, and between which pods connections are. Symbols are those
// of the image, and those of its symbol file.
func TestNetworkNodes(t *testing.T) {
	for _, img := range testimages.Network(t) {
		t.Run(img.Name, func(t *testing.T) {
			node, err := truth.Read(img.Truth)
			if err != nil {
				t.Fatal(err)
			}
			img.EachSymbols(t, func(t *testing.T, isf string) {
				opts := &Options{Sections: SectionNetwork}
				if isf != "" {
					if opts.Symbols, err = openISF(isf); err != nil {
						t.Fatal(err)
					}
				}
				r, err := AnalyzeNode(t.Context(), File(img.Path), opts)
				if err != nil {
					t.Fatal(err)
				}
				for _, g := range r.Gaps {
					t.Logf("gap: %v", g)
				}
				checkNetworkNode(t, img.Truth, node, r)
				checkRoundTrip(t, r)
			})
		})
	}
}

// checkNetworkNode compares with what ss, ip and conntrack said in each namespace.
func checkNetworkNode(t *testing.T, dir string, node *truth.Node, r *NodeReport) {
	t.Helper()
	namespaces, own := namespacesOfTruth(t, dir, node)
	addresses := map[netip.Addr]string{} // of pods
	for inum, ns := range namespaces {
		if ns.Pod == "" {
			continue
		}
		for _, ip := range trueAddresses(t, filepath.Join(dir, "net", fmt.Sprint(inum))) {
			addresses[ip] = ns.Pod
		}
	}
	for i := range r.Network.Pods {
		p := &r.Network.Pods[i]
		var want []string
		for ip, uid := range addresses {
			if uid == p.UID {
				want = append(want, ip.String())
			}
		}
		got := slices.Clone(p.IPs)
		slices.Sort(want)
		slices.Sort(got)
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" || p.Host != (p.NetNS == own) {
			t.Errorf("addresses of pod %s (-truth +found):\n%s", p.UID, diff)
		}
	}
	checkConnections(t, dir, own, addresses, r)
}

// trueAddresses returns the addresses that ip said there were, but for those that only the
// namespace itself knows.
func trueAddresses(t *testing.T, dir string) (all []netip.Addr) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "ip_addr.json"))
	if err != nil {
		t.Fatal(err)
	}
	var devices []struct {
		Info []struct{ Local, Scope string } `json:"addr_info"`
	}
	if err := json.Unmarshal(text, &devices); err != nil {
		t.Fatal(err)
	}
	for _, d := range devices {
		for _, a := range d.Info {
			if ip, err := netip.ParseAddr(a.Local); err == nil && a.Scope == "global" {
				all = append(all, ip)
			}
		}
	}
	return all
}

var trackedLine = regexp.MustCompile(`^ipv[46] +\d+ (tcp|udp) .*?src=(\S+) dst=(\S+) sport=(\d+) dport=(\d+) .*?src=(\S+) dst=(\S+) sport=(\d+) dport=(\d+)`)

// checkConnections compares between which pods connections are, in conntrack and at sockets,
// with what conntrack and ip said: who has the address that a connection began from, and who
// the one that answers come from.
func checkConnections(t *testing.T, dir string, own uint32, addresses map[netip.Addr]string, r *NodeReport) {
	t.Helper()
	found := map[flow]*Connection{}
	for i := range r.Network.Conntrack {
		c := &r.Network.Conntrack[i]
		if c.NetNS == own {
			found[tupleFlow(&c.Connection, &c.Original)] = c
		}
	}
	ends := map[flow]*Socket{}
	for i := range r.Network.Sockets {
		if f, ok := flowOf(&r.Network.Sockets[i]); ok {
			ends[f] = &r.Network.Sockets[i]
		}
	}
	between, named := 0, 0
	for _, name := range []string{"conntrack", "conntrack6"} {
		text, err := os.ReadFile(filepath.Join(dir, "net", fmt.Sprint(own), name))
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			m := trackedLine.FindStringSubmatch(line)
			if m == nil {
				continue
			}
			end := func(i, port int) netip.AddrPort { return netip.MustParseAddrPort(net.JoinHostPort(m[i], m[port])) }
			original := newFlow(own, m[1], end(2, 4), end(3, 5))
			reply := newFlow(own, m[1], end(6, 8), end(7, 9))
			from, to := addresses[original.local.Addr()], addresses[reply.local.Addr()]
			if from == "" || to == "" {
				continue
			}
			between++
			c := found[original]
			if c == nil { // it came and went
				t.Logf("not in memory: %s", line)
				continue
			}
			if c.SourcePodUID != from || c.DestinationPodUID != to {
				t.Errorf("%s is from pod %q to pod %q, found %q to %q", strings.TrimSpace(line), from, to, c.SourcePodUID, c.DestinationPodUID)
			}
			if s := ends[original]; s != nil {
				if named++; s.PodUID != from || s.PeerPodUID != to {
					t.Errorf("%v is of pod %q with pod %q, found %q with %q", &s.Socket, from, to, s.PodUID, s.PeerPodUID)
				}
			}
			if s := ends[reply]; s != nil && (s.PodUID != to || s.PeerPodUID != from) {
				t.Errorf("%v is of pod %q with pod %q, found %q with %q", &s.Socket, to, from, s.PodUID, s.PeerPodUID)
			}
		}
	}
	t.Logf("%d connections between pods, %d of them at sockets", between, named)
	// Where the kernel has no nf_tables, and so no Services by it or by IPVS, few are left.
	want := 5
	if text, err := os.ReadFile(filepath.Join(dir, "net", fmt.Sprint(own), "nft.err")); err == nil && len(text) > 0 {
		want = 2
	}
	if len(found) > 0 && (between < want || named < want) {
		t.Errorf("%d connections between pods, %d of them at sockets", between, named)
	}
}
