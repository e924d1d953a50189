package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// netCommands is what is run in each network namespace: the file that its output goes to, and the command.
// What a node does not have is left out.
var netCommands = [][]string{
	{"ss", "ss", "-tuwxanpeimO", "--cgroup", "--tos", "--inet-sockopt"},
	{"ss_netlink", "ss", "-f", "netlink", "-anemO"},
	{"ss_packet", "ss", "-0", "-anpemOb"},
	{"ss_vsock", "ss", "--vsock", "-anpeO"},
	{"ss_xdp", "ss", "--xdp", "-anemO"},
	{"ss_sctp", "ss", "--sctp", "-aneimO"},
	{"ss_mptcp", "ss", "--mptcp", "-aneimO"},
	{"ip_addr.json", "ip", "-d", "-s", "-j", "addr"},
	{"ip_link.json", "ip", "-d", "-s", "-j", "link"},
	{"ip_route.json", "ip", "-4", "-d", "-s", "-j", "route", "show", "table", "all"},
	{"ip_route6.json", "ip", "-6", "-d", "-s", "-j", "route", "show", "table", "all"},
	{"ip_nexthop.json", "ip", "-d", "-j", "nexthop"},
	{"ip_rule.json", "ip", "-4", "-d", "-j", "rule"},
	{"ip_rule6.json", "ip", "-6", "-d", "-j", "rule"},
	{"ip_neigh.json", "ip", "-d", "-s", "-j", "neigh", "show", "nud", "all"},
	{"ip_neigh_proxy.json", "ip", "-j", "neigh", "show", "proxy"},
	{"ip_maddr.json", "ip", "-j", "maddr"},
	{"ip_netns", "ip", "netns", "list-id"},
	{"bridge_fdb.json", "bridge", "-d", "-s", "-j", "fdb"},
	{"bridge_vlan.json", "bridge", "-j", "vlan"},
	{"tc_qdisc.json", "tc", "-d", "-s", "-j", "qdisc"},
	{"nft.json", "nft", "-j", "-a", "list", "ruleset"},
	{"nft", "nft", "-a", "list", "ruleset"},
	{"conntrack", "conntrack", "-L", "-f", "ipv4", "-o", "extended,id,labels,ktimestamp"},
	{"conntrack6", "conntrack", "-L", "-f", "ipv6", "-o", "extended,id,labels,ktimestamp"},
	{"conntrack_expect", "conntrack", "-L", "expect"},
	{"conntrack_dying", "conntrack", "-L", "dying", "-o", "extended,id"},
	{"conntrack_unconfirmed", "conntrack", "-L", "unconfirmed", "-o", "extended,id"},
	{"iptables-save", "iptables-nft-save", "-c"},
	{"ip6tables-save", "ip6tables-nft-save", "-c"},
	{"iptables-legacy-save", "iptables-legacy-save", "-c"},
	{"ip6tables-legacy-save", "ip6tables-legacy-save", "-c"},
	{"ipset", "ipset", "save"},
	{"ipvsadm", "ipvsadm", "-S", "-n"},
	{"ipvsadm_connections", "ipvsadm", "-L", "-c", "-n"},
	{"bpftool_net.json", "bpftool", "-j", "net"},
}

// nodeCommands is run once.
var nodeCommands = [][]string{
	{"bpftool_prog.json", "bpftool", "-j", "prog"},
	{"bpftool_map.json", "bpftool", "-j", "map"},
	{"bpftool_link.json", "bpftool", "-j", "link"},
	{"lsns.json", "lsns", "-J", "-t", "net"},
}

// network adds what the node's programs and /proc/net say in each network namespace, in a directory of its number.
func (a *archive) network() {
	for _, c := range nodeCommands {
		a.run("truth/net/", c)
	}
	spaces := netNamespaces()
	defer spaces.close()
	if len(spaces.list) == 0 {
		return
	}
	// Two at a time, for the node has two processors; the node's own last, for its states pass soonest.
	var both sync.WaitGroup
	next := make(chan *netNamespace)
	for range 2 {
		both.Go(func() {
			for n := range next {
				a.inside(n)
			}
		})
	}
	for _, n := range spaces.list[1:] {
		next <- n
	}
	close(next)
	both.Wait()
	a.inside(spaces.list[0])
	for _, n := range spaces.list {
		a.last(n)
	}
}

// inside runs namespace on a thread that ends with it, for a thread that has changed its namespace is of no use afterwards.
func (a *archive) inside(n *netNamespace) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		a.namespace(n)
	}()
	<-done
}

// last adds, at the very end, the connections again: what is in ss but not here has passed meanwhile.
func (a *archive) last(n *netNamespace) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		if unix.Setns(n.fd, unix.CLONE_NEWNET) != nil {
			return
		}
		for _, name := range []string{"tcp", "tcp6"} {
			a.copy(fmt.Sprintf("truth/net/%d/last/%s", n.inum, name), "/proc/thread-self/net/"+name)
		}
	}()
	<-done
}

// namespace adds all of one namespace.
func (a *archive) namespace(n *netNamespace) {
	dir := fmt.Sprintf("truth/net/%d/", n.inum)
	a.add(dir+"found", []byte(strings.Join(n.found, "\n")+"\n"))
	if err := unix.Setns(n.fd, unix.CLONE_NEWNET); err != nil {
		a.add(dir+"error", fmt.Appendln(nil, err))
		return
	}
	a.cookie(dir)
	a.routing(dir)
	const proc = "/proc/thread-self/net"
	_ = filepath.WalkDir(proc, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			a.copy(dir+"proc"+strings.TrimPrefix(path, proc), path)
		}
		return nil
	})
	a.add(dir+"sysctl", sysctls("/proc/sys/net"))
	for _, c := range netCommands {
		out := a.run(dir, c)
		if c[0] == "tc_qdisc.json" {
			a.classes(dir, out)
		}
	}
}

// cookie adds the namespace's cookie, where the kernel tells it.
func (a *archive) cookie(dir string) {
	s, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return
	}
	defer unix.Close(s)
	if cookie, err := unix.GetsockoptUint64(s, unix.SOL_SOCKET, unix.SO_NETNS_COOKIE); err == nil {
		a.add(dir+"cookie", fmt.Appendln(nil, cookie))
	}
}

// classes adds the classes and filters of the devices that have a queueing discipline with such.
func (a *archive) classes(dir string, qdiscs []byte) {
	var all []struct{ Kind, Dev string }
	_ = json.Unmarshal(qdiscs, &all) // what is no JSON has no classes
	for _, q := range all {
		switch q.Kind {
		case "mq":
			a.run(dir, []string{"tc_class." + q.Dev, "tc", "-d", "-s", "class", "show", "dev", q.Dev})
		case "htb", "prio":
			a.run(dir, []string{"tc_class." + q.Dev, "tc", "-d", "-s", "class", "show", "dev", q.Dev})
			a.run(dir, []string{"tc_filter." + q.Dev + ".json", "tc", "-d", "-s", "-j", "filter", "show", "dev", q.Dev})
		case "clsact", "ingress":
			for _, side := range []string{"ingress", "egress"} {
				a.run(dir, []string{"tc_filter_" + side + "." + q.Dev + ".json", "tc", "-d", "-s", "-j", "filter", "show", "dev", q.Dev, side})
			}
		}
	}
}

// run adds what the command writes as a file of dir, and in another one what it complains of. The first word names the file.
func (a *archive) run(dir string, words []string) []byte {
	if _, err := exec.LookPath(words[1]); err != nil {
		return nil
	}
	var out, complaint bytes.Buffer
	cmd := exec.Command(words[1], words[2:]...)
	cmd.Stdout, cmd.Stderr = &out, &complaint
	if err := cmd.Run(); err != nil {
		fmt.Fprintln(&complaint, err)
	}
	a.add(dir+words[0], out.Bytes())
	if complaint.Len() > 0 {
		a.add(dir+words[0]+".err", complaint.Bytes())
	}
	return out.Bytes()
}
