package findings_test

import (
	"net/netip"

	"github.com/nodelens/nodelens/cos"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/linux/network"
	"github.com/nodelens/nodelens/linux/network/netfilter"
	"github.com/nodelens/nodelens/linux/network/socket"
	"github.com/nodelens/nodelens/vmem"
)

var fileExamples = map[string]example{
	"file-runtime-socket": {subject: ofServer,
		hit:  func(f fixture) { f.unixTo(pidServer, 40, "/run/containerd/containerd.sock") },
		miss: func(f fixture) { f.unixTo(pidHost, 40, "/run/containerd/containerd.sock") }},
	"file-other-pods-secrets": {subject: ofServer,
		hit: func(f fixture) {
			f.open(pidServer, 5, "/host/var/lib/kubelet/pods/99/volumes/kubernetes.io~projected/kube-api-access-x/token")
		},
		miss: func(f fixture) {
			f.open(pidServer, 5, "/var/lib/kubelet/pods/"+podUID+"/volumes/kubernetes.io~projected/kube-api-access-x/token")
		}},
	"file-memory-device": {subject: ofServer,
		hit:  func(f fixture) { f.open(pidServer, 5, "/proc/kcore") },
		miss: func(f fixture) { f.open(pidServer, 5, "/proc/kmsg") }},
	"file-deleted-executable": {subject: ofServer,
		hit:  func(f fixture) { f.gone("overlay", "/opt/x (deleted)", pidServer, "fd").Mode = 0o100755 },
		miss: func(f fixture) { f.gone("tmpfs", "/memfd:buffer (deleted)", pidServer, "fd").Mode = 0o100777 }},
	"file-deleted-log": {subject: ofServer,
		hit:  func(f fixture) { f.gone("overlay", "/root/.bash_history (deleted)", pidServer, "fd") },
		miss: func(f fixture) { f.gone("overlay", "/root/notes (deleted)", pidServer, "fd") }},
	"file-deleted-hidden": {subject: ofServer,
		hit:  func(f fixture) { f.gone("overlay", "/tmp/.cache.db (deleted)", pidServer, "fd") },
		miss: func(f fixture) { f.gone("overlay", "/tmp/.x/cache.db (deleted)", pidServer, "fd") }},
	"file-hidden-name": {subject: ofServer,
		hit:  func(f fixture) { f.open(pidServer, 5, "/tmp/... /x") },
		miss: func(f fixture) { f.open(pidServer, 5, "/tmp/.x/y") }},
}

// descriptorExamples are paths: one that a rule is for, and one that only looks so.
func descriptorExamples() map[string]example {
	all := map[string]example{}
	for id, paths := range map[string][2]string{
		"file-block-device":     {"/dev/nvme0n1p1", "/dev/null"},
		"file-node-credentials": {"/host/etc/kubernetes/pki/ca.key", "/etc/kubernetes/manifests"},
		"file-user-credentials": {"/root/.aws/credentials", "/root/.aws/config"},
		"file-password-hashes":  {"/etc/shadow", "/etc/passwd"},
		"file-tunnel-device":    {"/dev/net/tun", "/dev/net"},
		"file-virtual-machine":  {"/dev/kvm", "/dev/kvmclock"},
		"file-msr-device":       {"/dev/cpu/0/msr", "/dev/cpu/0/cpuid"},
		"file-bpf-descriptor":   {"anon_inode:bpf-prog", "anon_inode:[eventpoll]"},
		"file-perf-descriptor":  {"anon_inode:[perf_event]", "anon_inode:[eventfd]"},
		"file-userfaultfd":      {"anon_inode:[userfaultfd]", "anon_inode:[timerfd]"},
		"file-io-uring":         {"anon_inode:[io_uring]", "anon_inode:inotify"},
		"file-pidfd":            {"anon_inode:[pidfd]", "anon_inode:[signalfd]"},
		"file-core-dump":        {"/var/tmp/core.4711", "/usr/share/core.js"},
	} {
		open := func(path string) func(f fixture) { return func(f fixture) { f.open(pidServer, 5, path) } }
		all[id] = example{subject: ofServer, hit: open(paths[0]), miss: open(paths[1])}
	}
	return all
}

func filtered(s *cos.Socket) {
	s.Filter = &socket.Filter{Kind: "classic", Instructions: 30}
}

func connects(pid int32, remote string, port uint32) func(fixture) {
	return func(f fixture) { f.connect(pid, 5, remote, port) }
}

var networkExamples = map[string]example{
	"net-packet-socket": {subject: ofServer,
		hit:  func(f fixture) { f.socket(pidServer, 5, socket.Packet, socket.Raw, "all") },
		miss: func(f fixture) { f.socket(pidServer, 5, socket.Netlink, socket.Raw, "route") }},
	"net-raw-socket": {subject: ofServer,
		hit:  func(f fixture) { f.socket(pidServer, 5, socket.Inet, socket.Raw, "icmp") },
		miss: func(f fixture) { f.socket(pidServer, 5, socket.Inet, socket.Dgram, "ping") }},
	"net-filtered-backdoor": {subject: ofServer,
		hit: func(f fixture) {
			f.gone("overlay", "/dev/shm/x (deleted)", pidServer, "exe")
			filtered(f.socket(pidServer, 5, socket.Packet, socket.Raw, "ip"))
		},
		miss: func(f fixture) { filtered(f.socket(pidServer, 5, socket.Packet, socket.Raw, "ip")) }},
	"net-disguised-listener": {subject: ofServer,
		hit:  func(f fixture) { f.process(pidServer).Comm = "kworker/0:1"; f.listen(pidServer, 5, 8080) },
		miss: func(f fixture) { f.listen(pidServer, 5, 8080) }},
	"net-disguised-connection": {subject: ofServer,
		hit: func(f fixture) {
			f.gone("tmpfs", "/memfd:x (deleted)", pidServer, "exe")
			f.connect(pidServer, 5, "203.0.113.7", 443)
		},
		miss: func(f fixture) {
			f.gone("tmpfs", "/memfd:x (deleted)", pidServer, "exe")
			f.connect(pidServer, 5, "127.0.0.1", 443)
		}},
	"net-shell-listener": {subject: ofNew,
		hit:  func(f fixture) { f.in(200, pidServer, "sh", "/bin/sh", "sh"); f.listen(200, 5, 8080) },
		miss: func(f fixture) { f.in(200, pidServer, "httpd", "/bin/busybox", "httpd"); f.listen(200, 5, 8080) }},
	"net-known-backdoor-port": {subject: ofServer,
		hit:  func(f fixture) { f.listen(pidServer, 5, 31337) },
		miss: func(f fixture) { f.listen(pidServer, 5, 31336) }},
	"net-foreign-namespace-socket": {subject: ofServer,
		hit:  func(f fixture) { f.listen(pidServer, 5, 8080).NetNS = 1 },
		miss: func(f fixture) { f.listen(pidServer, 5, 8080).NetNS = 0 }},
	"net-hidden-socket": {subject: ofServer,
		hit: func(f fixture) { f.listen(pidServer, 5, 8080).Anomalies = socket.NotInTable },
		miss: func(f fixture) { // a table that is not whole says nothing
			f.listen(pidServer, 5, 8080).Anomalies = socket.NotInTable
			f.Gaps = []vmem.Gap{{Object: "sockets", Err: vmem.ErrNotCaptured}}
		}},
	"net-ownerless-socket": {subject: "shop/web-1",
		hit: func(f fixture) {
			s := f.connect(pidServer, 5, "203.0.113.7", 443)
			s.Owners, s.ContainerID, s.Anomalies = nil, "", socket.NoOwner
		},
		miss: func(f fixture) { f.socket(pidServer, 5, socket.Unix, socket.Stream, "unix").Anomalies = socket.NoOwner }},
	"net-special-family": {subject: ofServer,
		hit:  func(f fixture) { f.socket(pidServer, 5, socket.Vsock, socket.Stream, "vsock") },
		miss: func(f fixture) { f.socket(pidHost, 5, socket.Vsock, socket.Stream, "vsock") }},
	"net-unix-other-pod": {subject: ofServer,
		hit:  func(f fixture) { f.otherPod("shop"); f.unixTo(pidServer, 300, "/shared/x.sock") },
		miss: func(f fixture) { f.unixTo(pidServer, pidWorker, "/shared/x.sock") }},
	"net-metadata-server": {subject: "shop/web-1",
		hit: func(f fixture) { // a connection that has ended, of which conntrack knows
			f.Network.Conntrack = []cos.Connection{{SourcePodUID: podUID, Connection: netfilter.Connection{Original: netfilter.Tuple{Source: netip.MustParseAddr("10.1.0.7"), Destination: netip.MustParseAddr("169.254.169.254"), DestinationPort: 80}}}}
		},
		miss: connects(pidHost, "169.254.169.254", 80)},
	"net-kubelet":      {subject: ofServer, hit: connects(pidServer, "10.0.0.5", 10250), miss: connects(pidServer, "203.0.113.9", 10250)},
	"net-etcd":         {subject: ofServer, hit: connects(pidServer, "10.0.0.9", 2379), miss: connects(pidServer, "10.0.0.9", 2378)},
	"net-miner-port":   {subject: ofServer, hit: connects(pidServer, "203.0.113.9", 3333), miss: connects(pidServer, "10.0.0.9", 3333)},
	"net-irc-or-tor":   {subject: ofServer, hit: connects(pidServer, "203.0.113.9", 6667), miss: connects(pidServer, "10.0.0.9", 6667)},
	"net-ssh-from-pod": {subject: ofServer, hit: connects(pidServer, "203.0.113.9", 22), miss: func(f fixture) { f.otherPod("kube-system"); f.connect(300, 5, "203.0.113.9", 22) }},
	"net-tunnel-device": {subject: "shop/web-1",
		hit:  func(f fixture) { f.Network.Namespaces[1].Devices[0].Kind = "wireguard" },
		miss: func(f fixture) { f.Network.Namespaces[0].Devices[0].Kind = "wireguard" }},
	"net-promiscuous-device": {subject: "shop/web-1",
		hit:  func(f fixture) { f.Network.Namespaces[1].Devices[0].Promiscuity = 1 },
		miss: nothing},
	"net-hidden-device": {subject: "shop/web-1",
		hit: func(f fixture) { // as package network tells it
			d := f.Network.Namespaces[1].Devices[0]
			d.Sources, d.Addr = network.InIndexHash, 0xffff888500000000
			f.Gaps = []vmem.Gap{{Object: "network devices of net:[20]", Place: vmem.KernelPlace(d.Addr), Err: linux.ErrDisagree}}
		},
		miss: func(f fixture) { // a table that the kernel does not have
			for _, d := range f.Network.Namespaces[1].Devices {
				d.Sources = network.InDeviceList | network.InNameHash
			}
		}},
	"net-hidden-namespace": {subject: "shop/web-1",
		hit:  func(f fixture) { f.Network.Namespaces[1].Sources = 0 },
		miss: func(f fixture) { f.Network.Namespaces[1].Sources, f.Network.Namespaces[1].Dying = 0, true }},
	"net-unknown-netfilter-hook": {subject: ofNode,
		hit: func(f fixture) {
			f.Network.Namespaces[0].Hooks = []netfilter.Hook{{Unknown: true, Function: 0xffffffffc0000000}}
		},
		miss: func(f fixture) { f.Network.Namespaces[0].Hooks = []netfilter.Hook{{Unknown: true, Removed: true}} }},
}
