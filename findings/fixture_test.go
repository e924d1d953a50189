package findings_test

import (
	"net/netip"
	"time"

	"github.com/nodelens/nodelens/cos"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/linux/consistency"
	"github.com/nodelens/nodelens/linux/integrity"
	"github.com/nodelens/nodelens/linux/module"
	"github.com/nodelens/nodelens/linux/network"
	"github.com/nodelens/nodelens/linux/network/socket"
	"github.com/nodelens/nodelens/linux/pagecache"
	"github.com/nodelens/nodelens/linux/printk"
	"github.com/nodelens/nodelens/linux/process"
	"github.com/nodelens/nodelens/linux/settings"
	"github.com/nodelens/nodelens/vmem"
)

// What is on the fixture's node, beside systemd, kthreadd, a worker of the kernel, containerd and a shim.
const (
	podUID      = "11111111-2222-3333-4444-555555555555"
	sandboxID   = "5555555555555555555555555555555555555555555555555555555555555555"
	containerID = "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"
	pidPause    = 100
	pidServer   = 101 // the first process of the container
	pidWorker   = 102 // its child
	pidHost     = 60  // an ordinary process of the node
)

var imaged = time.Date(2026, 11, 21, 5, 0, 0, 0, time.UTC)

// A fixture is a report about a clean node, for tests to spoil.
type fixture struct{ *cos.NodeReport }

func clean() fixture {
	f := fixture{&cos.NodeReport{Consistency: &consistency.Report{Latest: imaged}, Network: new(cos.Network), Hooks: []integrity.Hook{}, BPF: new(cos.BPF), Modules: []cos.Module{},
		Log: []printk.Record{}, Files: new(cos.Files), Security: []cos.ProcessSecurity{}, Memory: []cos.SuspiciousMemory{}, Containers: []cos.ContainerDetail{}}}
	f.Kernel.Settings = &settings.Settings{LSMs: []string{"capability", "apparmor"}, ModprobePath: settings.Text{Value: "/sbin/modprobe"}, CorePattern: settings.Text{Value: "core"},
		CommandLine: settings.Text{Value: "root=/dev/sda1 quiet"}}
	for name, value := range map[string]string{"kernel/randomize_va_space": "2", "kernel/unprivileged_bpf_disabled": "2", "kernel/kptr_restrict": "1", "kernel/dmesg_restrict": "1", "kernel/yama/ptrace_scope": "1",
		"kernel/perf_event_paranoid": "3", "fs/protected_symlinks": "1", "fs/protected_hardlinks": "1", "fs/suid_dumpable": "0", "vm/mmap_min_addr": "65536", "vm/unprivileged_userfaultfd": "0"} {
		f.Kernel.Settings.Sysctls = append(f.Kernel.Settings.Sysctls, settings.Sysctl{Name: name, Value: new(value)})
	}
	f.start(1, 0, "systemd", "/usr/lib/systemd/systemd", "/sbin/init")
	f.start(2, 0, "kthreadd", "")
	f.start(30, 2, "kworker/u4:2", "")
	f.start(40, 1, "containerd", "/usr/bin/containerd", "/usr/bin/containerd")
	f.start(50, 1, "containerd-shim", "/usr/bin/containerd-shim-runc-v2", "/usr/bin/containerd-shim-runc-v2")
	f.start(pidHost, 1, "sshd", "/usr/sbin/sshd", "sshd: /usr/sbin/sshd -D")
	f.start(pidPause, 50, "pause", "/pause", "/pause")
	f.start(pidServer, 50, "nginx", "/usr/sbin/nginx", "nginx: master process nginx -g daemon off;")
	f.start(pidWorker, pidServer, "nginx", "/usr/sbin/nginx", "nginx: worker process")
	for _, pid := range []int32{2, 30} {
		f.process(pid).KernelThread = true
	}
	for _, pid := range []int32{pidPause, pidServer, pidWorker} {
		p := f.process(pid)
		p.PodUID, p.ContainerID, p.Namespaces = podUID, containerID, linux.Namespaces{Mnt: 20, PID: 20, Net: 20, User: 1, IPC: 20}
		p.Cgroup = "/kubepods.slice/cri-containerd-" + containerID + ".scope"
	}
	p := f.process(pidPause)
	p.ContainerID, p.Namespaces.Mnt, p.Namespaces.PID = sandboxID, 19, 19
	f.Pods = []cos.Pod{{UID: podUID, Namespace: "shop", Name: "web-1", SandboxID: sandboxID, Containers: []cos.Container{{ID: containerID, Name: "web", Image: "registry.example/web:1.2", PIDs: []int32{pidServer, pidWorker}}}}}
	f.Containers = []cos.ContainerDetail{
		{ID: sandboxID, PodUID: podUID, Sandbox: true, Bundle: "/run/containerd/" + sandboxID, InitPID: pidPause, Running: true},
		{ID: containerID, PodUID: podUID, Namespace: "shop", Pod: "web-1", Name: "web", Bundle: "/run/containerd/" + containerID, InitPID: pidServer, Running: true,
			Spec: &cos.ContainerSpec{UID: 1000, MaskedPaths: []string{"/proc/kcore"}, MemoryLimit: 1 << 30, PidsLimit: 100, AppArmor: "cri-containerd.apparmor.d",
				Mounts: []cos.SpecMount{{Destination: "/etc/hosts", Type: "bind", Source: "/var/lib/kubelet/pods/" + podUID + "/etc-hosts", Kind: "kubelet"}, {Destination: "/sys", Type: "sysfs", Options: []string{"ro"}}}},
			Actual: &cos.Posture{PID: pidServer, Seccomp: "filter", NoNewPrivileges: true, HostNamespaces: []string{"user", "time"}, Capabilities: cos.CapabilityNames{Bounding: []string{"CAP_CHOWN", "CAP_KILL"}}}},
	}
	f.Network.Namespaces = []cos.NetworkNamespace{
		{Namespace: network.Namespace{Inum: 1, Initial: true, Sources: network.InList}, Configuration: network.Configuration{Addresses: []*network.Address{{Local: netip.MustParseAddr("10.0.0.5")}}, Devices: []*network.Device{device("eth0"), device("lo")}}},
		{Namespace: network.Namespace{Inum: 20, Sources: network.InList}, PodUID: podUID, Configuration: network.Configuration{Devices: []*network.Device{device("eth0"), device("lo")}}},
	}
	return f
}

func device(name string) *network.Device {
	return &network.Device{Name: name, Flags: 1, Sources: network.InDeviceList | network.InNameHash | network.InIndexHash}
}

// start adds a process of the node.
func (f fixture) start(pid, parent int32, comm, exe string, args ...string) *cos.Process {
	f.Processes = append(f.Processes, cos.Process{PID: pid, PPID: parent, Comm: comm, Exe: exe, Args: args, Cgroup: "/system.slice", State: linux.Sleeping, Sources: linux.LeaderSources, NamespacedPIDs: []int32{pid},
		StartTime: imaged.Add(-time.Hour + time.Duration(pid)*time.Second), Address: vmem.VirtAddr(0xffff888000000000 + uint64(pid)<<12), Namespaces: linux.Namespaces{Mnt: 1, PID: 1, Net: 1, User: 1, IPC: 1},
		Threads: []cos.Thread{{TID: pid}}})
	f.Security = append(f.Security, cos.ProcessSecurity{PID: pid, Security: process.Security{NoNewPrivs: true, Seccomp: process.Seccomp{Mode: "filter"},
		AppArmor:      &process.AppArmor{Profile: "cri-containerd.apparmor.d", Mode: "enforce"},
		UserNamespace: &process.UserNamespace{Address: 7}, Credentials: process.Credentials{Address: vmem.VirtAddr(0xffff888100000000 + uint64(pid)<<8), UserNamespace: 7, Bounding: 0x21, Permitted: 1, Effective: 1}}})
	return &f.Processes[len(f.Processes)-1]
}

// in adds a process to the container.
func (f fixture) in(pid, parent int32, comm, exe string, args ...string) *cos.Process {
	p := f.start(pid, parent, comm, exe, args...)
	server := f.process(pidServer)
	p.PodUID, p.ContainerID, p.Namespaces, p.Cgroup = podUID, containerID, server.Namespaces, server.Cgroup
	return p
}

func (f fixture) process(pid int32) *cos.Process {
	for i := range f.Processes {
		if f.Processes[i].PID == pid {
			return &f.Processes[i]
		}
	}
	panic("no such process")
}

func (f fixture) rights(pid int32) *cos.ProcessSecurity {
	for i := range f.Security {
		if f.Security[i].PID == pid {
			return &f.Security[i]
		}
	}
	panic("no such process")
}

func (f fixture) container() *cos.ContainerDetail { return &f.Containers[1] }

// open opens a path at a descriptor of a process.
func (f fixture) open(pid int32, fd int, path string) {
	p := f.process(pid)
	p.FDs = append(p.FDs, linux.FD{FD: fd, Path: path, Addr: 0xffff888200000000})
}

// gone adds a file without a name that processes hold.
func (f fixture) gone(fsType, path string, pid int32, how string) *cos.NamelessFile {
	n := cos.NamelessFile{Nameless: pagecache.Nameless{FSType: fsType, Path: path, Holders: []pagecache.Holder{{PID: pid, How: how}}, Inode: pagecache.Inode{Mode: 0o100755, Size: 4096, Addr: 0xffff888300000000}}}
	n.PodUID, n.ContainerID = f.process(pid).PodUID, f.process(pid).ContainerID
	f.Files.Nameless = append(f.Files.Nameless, n)
	return &f.Files.Nameless[len(f.Files.Nameless)-1]
}

// socket adds a socket that a process has open.
func (f fixture) socket(pid int32, fd int, family socket.Family, kind socket.Type, protocol string) *cos.Socket {
	p := f.process(pid)
	s := cos.Socket{PodUID: p.PodUID, ContainerID: p.ContainerID, Socket: socket.Socket{Addr: vmem.VirtAddr(0xffff888400000000 + uint64(len(f.Network.Sockets))<<8), NetNS: p.Namespaces.Net, Family: family, Type: kind, Protocol: protocol,
		Inode: uint64(1000 + len(f.Network.Sockets)), Owners: []socket.Owner{{PID: pid, FD: fd}}}}
	f.Network.Sockets = append(f.Network.Sockets, s)
	return &f.Network.Sockets[len(f.Network.Sockets)-1]
}

func address(s string) (a socket.Address) {
	if err := a.UnmarshalText([]byte(s)); err != nil {
		panic(err)
	}
	return a
}

// connect adds a connection to another machine.
func (f fixture) connect(pid int32, fd int, remote string, port uint32) *cos.Socket {
	s := f.socket(pid, fd, socket.Inet, socket.Stream, "tcp")
	s.State, s.LocalAddress, s.LocalPort, s.RemoteAddress, s.RemotePort = socket.Established, address("10.1.0.7"), 40000, address(remote), port
	return s
}

// listen adds a listening socket.
func (f fixture) listen(pid int32, fd int, port uint32) *cos.Socket {
	s := f.socket(pid, fd, socket.Inet, socket.Stream, "tcp")
	s.State, s.LocalAddress, s.LocalPort, s.RemoteAddress = socket.Listen, address("0.0.0.0"), port, address("0.0.0.0")
	return s
}

// unixTo adds a unix socket of a process that is connected to one of another with a path.
func (f fixture) unixTo(pid, other int32, path string) {
	peer := f.socket(other, 9, socket.Unix, socket.Stream, "unix")
	peer.Path = path
	inode := peer.Inode
	f.socket(pid, 8, socket.Unix, socket.Stream, "unix").Peer = inode
}

func (f fixture) load(m module.Module) {
	f.Modules = append(f.Modules, cos.Module{Module: m})
}

func (f fixture) sysctl(name, value string) {
	for i := range f.Kernel.Settings.Sysctls {
		if f.Kernel.Settings.Sysctls[i].Name == name {
			f.Kernel.Settings.Sysctls[i].Value = new(value)
		}
	}
}

// otherPod adds a pod with one process, PID 300.
func (f fixture) otherPod(namespace string) {
	f.Pods = append(f.Pods, cos.Pod{UID: "99999999-0000-0000-0000-000000000000", Namespace: namespace, Name: "other", Containers: []cos.Container{{ID: "dd", Name: "other", Image: "registry.example/other:2"}}})
	p := f.start(300, 50, "other", "/other", "/other")
	p.PodUID, p.ContainerID, p.Namespaces = "99999999-0000-0000-0000-000000000000", "dd", linux.Namespaces{Mnt: 30, PID: 30, Net: 30, User: 1}
	f.Containers = append(f.Containers, cos.ContainerDetail{ID: "dd", PodUID: p.PodUID, Bundle: "/run/containerd/dd", InitPID: 300, Running: true})
}
