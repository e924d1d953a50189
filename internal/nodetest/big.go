package nodetest

import (
	"fmt"
	"time"

	"github.com/nodelens/nodelens/cos"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/linux/network/socket"
	"github.com/nodelens/nodelens/linux/pagecache"
	"github.com/nodelens/nodelens/vmem"
)

// Boot is when the nodes of this package were booted, and Captured when their memory was captured.
var (
	Boot     = time.Date(2026, 11, 21, 4, 40, 36, 0, time.UTC)
	Captured = Boot.Add(40 * time.Hour)
)

// Bad is the number of the pod of a node of Big that has what is wrong: a process that bears the name of a kernel worker and runs a
// memfd.
const Bad = 317

// A maker makes a node.
type maker struct {
	node *cos.NodeReport
	pid  int32
	addr vmem.VirtAddr
}

// Big returns a node of so many pods and processes, with what the processes of a cluster have: arguments, environments, open
// files, and sockets. The same numbers give the same node.
func Big(pods, processes int) *cos.NodeReport {
	m := &maker{node: &cos.NodeReport{Hostname: "gke-big-pool-1a2b3c4d-x5yz", BootTime: Boot,
		Kernel:     cos.Kernel{Release: "6.1.0-56-cloud-amd64", Banner: "Linux version 6.1.0-56-cloud-amd64", PageTableLevels: 4},
		Provenance: cos.Provenance{Image: "big.lime", Size: 64 << 30, Format: "LiME", Captured: Captured, CapturedFrom: cos.CapturedByClock},
		Network:    new(cos.Network), Files: new(cos.Files)}, addr: 0xffff8a0b80000000}
	m.process("systemd", []string{"/lib/systemd/systemd"}, 0)
	m.process("kthreadd", nil, 0).KernelThread = true
	m.process("kubelet", []string{"/usr/bin/kubelet", "--config=/etc/kubernetes/kubelet.yaml"}, 1)
	for i := 3; i < processes/20; i++ {
		m.process(fmt.Sprintf("kworker/%d:%d", i%32, i/32), nil, 2).KernelThread = true
	}
	each := max(1, (processes-len(m.node.Processes))/max(pods, 1)-2)
	for i := range pods {
		m.pod(i, each)
	}
	for len(m.node.Processes) < processes {
		m.process("agent", []string{"/usr/bin/agent", "--worker"}, 1)
	}
	return m.node
}

func (m *maker) address() vmem.VirtAddr {
	m.addr += 0x1240
	return m.addr
}

func (m *maker) process(comm string, args []string, parent int32) *cos.Process {
	m.pid++
	p := cos.Process{PID: m.pid, PPID: parent, Comm: comm, Args: args, State: linux.Sleeping, Cwd: "/", Cred: new(linux.Cred),
		StartTime: Boot.Add(time.Duration(m.pid) * 7 * time.Second), Cgroup: "/system.slice/node.service",
		Namespaces: linux.Namespaces{PID: 4026531836, Net: 4026531840, Mnt: 4026531841, UTS: 4026531838}, NamespacedPIDs: []int32{m.pid},
		Sources: linux.LeaderSources, Address: m.address()}
	p.Threads = []cos.Thread{{TID: m.pid, Comm: comm, StartTime: p.StartTime}}
	if len(args) > 0 {
		p.Exe = args[0]
		p.FDs = []linux.FD{{FD: 0, Path: "/dev/null", Addr: m.address()}, {FD: 1, Path: fmt.Sprintf("pipe:[%d]", 10_000+m.pid), Addr: m.address()}}
	}
	m.node.Processes = append(m.node.Processes, p)
	return &m.node.Processes[len(m.node.Processes)-1]
}

// Workloads of the pods, and their namespaces.
var (
	workloads  = []string{"checkout", "cart", "search", "image-resizer", "payments", "frontend", "recommend", "ledger", "mailer", "cache"}
	namespaces = []string{"shop", "batch", "data", "kube-system", "monitoring"}
)

func (m *maker) pod(i, processes int) {
	name := fmt.Sprintf("%s-%05x-%03d", workloads[i%len(workloads)], i*7919, i)
	uid := fmt.Sprintf("%08x-0f4a-4b5c-8d6e-%012x", uint32(i)*2654435761, i)
	id := func(n int) string { return fmt.Sprintf("%064x", i*100+n+1) }
	pod := cos.Pod{UID: uid, QoS: cos.Burstable, Namespace: namespaces[i%len(namespaces)], Name: name, SandboxID: id(0)}
	pod.Evidence = []cos.Evidence{{Field: "name", Value: name, Source: cos.FromMetadata, PID: 258}}
	pause := m.process("pause", []string{"/pause"}, 1)
	pause.PodUID, pause.ContainerID = uid, id(0)
	pause.Namespaces.Net, pause.Namespaces.PID, pause.Namespaces.Mnt = 4026540000+uint32(i), 4026570000+uint32(i), 4026580000+uint32(i)
	c := cos.Container{ID: id(1), Name: "main", Image: "registry.example/" + workloads[i%len(workloads)] + ":1.4"}
	var parent int32 = 1
	for n := range processes {
		p := m.process("worker", []string{"/app/server", "--pod=" + name, fmt.Sprintf("--worker=%d", n), "--listen=:8080"}, parent)
		if i == Bad && n == 1 {
			p.Comm, p.Args, p.Exe = "kworker/u4:2", []string{"[kworker/u4:2-events]"}, "/memfd:update (deleted)"
		}
		p.PodUID, p.ContainerID, p.Cgroup = uid, id(1), "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod"+uid+".slice"
		p.Namespaces.Net, p.Namespaces.PID, p.Namespaces.Mnt = 4026540000+uint32(i), 4026550000+uint32(i), 4026560000+uint32(i)
		p.NamespacedPIDs = []int32{p.PID, int32(n + 1)}
		p.Env = []cos.Secret{shown("PATH", "/usr/local/bin:/usr/bin"), shown("HOSTNAME", name), shown("POD_UID", uid), shown("KUBERNETES_SERVICE_HOST", "10.96.0.1"), shown("DB_PASSWORD", "correct-horse-battery")}
		for fd := range 6 {
			p.FDs = append(p.FDs, linux.FD{FD: 3 + fd, Path: fmt.Sprintf("/data/%s/segment-%d.log", name, fd), Addr: m.address()})
		}
		if n == 0 {
			parent = p.PID
			m.sockets(i, p)
		}
		c.PIDs = append(c.PIDs, p.PID)
	}
	pod.Containers = []cos.Container{c}
	m.node.Pods = append(m.node.Pods, pod)
	m.node.Network.Pods = append(m.node.Network.Pods, cos.PodNetwork{UID: uid, NetNS: 4026540000 + uint32(i), IPs: []string{ip(i)}})
}

// ip is the address of a pod.
func ip(i int) string { return fmt.Sprintf("10.88.%d.%d", i/250, i%250+2) }

// sockets gives a process a listener, and connections to the pods beside it.
func (m *maker) sockets(i int, p *cos.Process) {
	add := func(state socket.State, port uint32, remote string, remotePort uint32, peer string) {
		s := cos.Socket{PodUID: p.PodUID, ContainerID: p.ContainerID, PeerPodUID: peer}
		s.Addr, s.NetNS, s.Family, s.Type, s.Protocol, s.State = m.address(), p.Namespaces.Net, socket.Inet, socket.Stream, "tcp", state
		s.LocalAddress, s.LocalPort, s.RemotePort = addressOf(ip(i)), port, remotePort
		s.RemoteAddress = addressOf(remote)
		s.Owners = []socket.Owner{{PID: p.PID, FD: 9}}
		m.node.Network.Sockets = append(m.node.Network.Sockets, s)
	}
	add(socket.Listen, 8080, "", 0, "")
	for n := range min(3, len(m.node.Pods)) {
		add(socket.Established, uint32(40000+n), ip(i-1-n), 8080, m.node.Pods[len(m.node.Pods)-1-n].UID)
	}
}

// addressOf parses an address.
func addressOf(s string) (a socket.Address) {
	if err := a.UnmarshalText([]byte(s)); err != nil {
		panic(err)
	}
	return a
}

// Nameless adds so many deleted files to a node, held by its processes in turn.
func Nameless(node *cos.NodeReport, n int) {
	for i := range n {
		p := &node.Processes[i%len(node.Processes)]
		f := cos.NamelessFile{PodUID: p.PodUID, ContainerID: p.ContainerID}
		f.Addr, f.Number, f.Mode, f.Size = 0xffff8a0c00000000+vmem.VirtAddr(i)*0x400, uint64(i), 0o100644, int64(i)*512
		f.FSType, f.Path, f.Ctime = "tmpfs", fmt.Sprintf("/tmp/cache-%d (deleted)", i), Boot.Add(time.Duration(i)*time.Minute)
		f.Holders = []pagecache.Holder{{PID: p.PID, How: "fd", FD: 7}}
		f.Cached = []pagecache.Extent{{Offset: 0, Size: f.Size}}
		node.Files.Nameless = append(node.Files.Nameless, f)
	}
}

// shown returns a variable whose value the report shows.
func shown(name, value string) cos.Secret {
	return cos.Secret{Name: name, Length: len(value), Value: &value}
}
