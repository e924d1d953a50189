package cos

import (
	"errors"
	"net/netip"
	"time"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/linux/bpf"
	"github.com/nodelens/nodelens/linux/consistency"
	"github.com/nodelens/nodelens/linux/integrity"
	"github.com/nodelens/nodelens/linux/ktext"
	"github.com/nodelens/nodelens/linux/memory"
	"github.com/nodelens/nodelens/linux/module"
	"github.com/nodelens/nodelens/linux/network"
	"github.com/nodelens/nodelens/linux/network/ipvs"
	"github.com/nodelens/nodelens/linux/network/netfilter"
	"github.com/nodelens/nodelens/linux/network/netfilter/ipset"
	"github.com/nodelens/nodelens/linux/network/netfilter/nftables"
	"github.com/nodelens/nodelens/linux/network/netfilter/xtables"
	"github.com/nodelens/nodelens/linux/network/socket"
	"github.com/nodelens/nodelens/linux/pagecache"
	"github.com/nodelens/nodelens/linux/printk"
	"github.com/nodelens/nodelens/linux/process"
	"github.com/nodelens/nodelens/linux/settings"
	"github.com/nodelens/nodelens/vmem"
)

// wholeReport has every field set, and one process that has nothing.
func wholeReport() *NodeReport {
	at := time.Date(2026, 11, 21, 1, 49, 10, 5, time.FixedZone("", 3600))
	shown := "1\xff"
	return &NodeReport{
		Secrets: SecretsShown, SecretKey: "0a",
		Provenance: Provenance{
			Image: "node\xff.lime", Size: 4096, Format: "LiME", Compression: "gzip", SHA256: "00ff", SHA256From: DigestOfManifest, ETag: `"1"`,
			Captured: at, CapturedFrom: CapturedByManifest, Tool: "example.org/tool", Version: "v1.2.3", Arguments: []string{"-json", "node\xff.lime"},
		},
		Kernel:   Kernel{Release: "6.1.0", Banner: "Linux version 6.1.0", PageTableLevels: 5, KASLRShift: 0x18000000, PhysBase: -0xc00000, Root: 0x1000, FoundBy: "banner", Symbols: "vmlinux", Settings: wholeSettings()},
		Hostname: "node", BootTime: at,
		Pods: []Pod{
			{UID: "u", QoS: Burstable, Namespace: "n", Name: "p", SandboxID: "s",
				Containers: []Container{{ID: "i", Name: "c", Image: "m", PIDs: []int32{7, 8}, Evidence: []Evidence{{"name", "c", FromMount, 7}}}},
				Evidence:   []Evidence{{"name", "p", HintUTSName, 7}}},
			{UID: "v", Containers: []Container{{}}},
		},
		Processes: []Process{
			{PID: 7, PPID: 1, Comm: "a\xff", Args: []string{"a\xff", ""}, ArgSecrets: []ArgSecret{{1, Secret{Name: "o", Length: 3, Digest: "e"}}}, Env: []Secret{{Name: "B", Length: 1, Digest: "f", Value: &shown}}, Exe: "/a", Cwd: "/", State: linux.Sleeping,
				Cred: &linux.Cred{UID: 1, EUID: 2, SUID: 5, FSUID: 6, GID: 3, EGID: 4294967295, SGID: 7, FSGID: 8}, StartTime: at, Threads: []Thread{{7, "a\xff", at}, {TID: 9, Comm: "t"}},
				Cgroup: "/x", Cgroups: []linux.CgroupPath{{Hierarchy: 1, Controllers: "cpu", Path: "/x", Addr: 0x20}, {Path: "/"}}, PodUID: "u", ContainerID: "i",
				Namespaces: linux.Namespaces{PID: 1, Net: 2, Mnt: 3, UTS: 4, IPC: 5, User: 6, Cgroup: 7, Time: 4026531834}, NamespacedPIDs: []int32{7, 1},
				FDs: []linux.FD{{FD: 0, Path: "/dev/null", Addr: 0x30}, {FD: 3}}, Sources: linux.InTaskList | linux.InPIDIDR, Address: 0xffff888000000000},
			{PID: 8, PPID: -1, State: linux.Zombie, KernelThread: true},
		},
		Consistency: &consistency.Report{
			Verdict: consistency.Smeared, Window: consistency.Seconds(1337 * time.Millisecond), Capture: consistency.Seconds(2500 * time.Millisecond), Earliest: at, Latest: at.Add(1337 * time.Millisecond),
			Checked: 5, Broken: 2, Impossible: 1, Parts: []consistency.Part{{Name: "tasks", Of: "tasks", Objects: 3, Torn: 2}},
			Invariants: []consistency.Invariant{{Name: "parents", Part: "tasks", Checked: 5, Broken: 2, Impossible: 1, First: "task 7"}, {Name: "tables", Part: "page tables"}},
		},
		Gaps: []vmem.Gap{
			{Object: "list of \xff", Place: vmem.KernelPlace(0x10), Err: kstruct.ErrCorrupt},
			{Object: "args", Place: vmem.UserPlace(0x20, 7), Err: &vmem.Fault{Virt: 0x20, Level: 1, Entry: 2, Phys: 0x40, Err: vmem.ErrSwapped}},
			{Object: "image", Place: vmem.PhysicalPlace(vmem.Range[vmem.PhysAddr]{Start: 0x30, Size: 1 << 40}, 9), Err: errors.New("broke \"off\"")},
			{Object: "pods", Err: ErrConflict},
		},
		Notes:   []string{"of \xff"},
		Network: wholeNetwork(), Modules: wholeModules(), Log: wholeLog(),
		BPF: wholeBPF(), Containers: wholeContainers(), Files: wholeFiles(),
		Security: []ProcessSecurity{
			{PID: 7, PodUID: "u", ContainerID: "i", Security: wholeSecurity(), Threads: []ThreadSecurity{{TID: 8}}},
			{PID: 9},
		},
		Memory: []SuspiciousMemory{
			{PodUID: "u", ContainerID: "i", Finding: memory.Finding{Kind: memory.WritableCode, Level: memory.High, Why: "w", PID: 7, TID: 8, Address: 0x1000, Size: 4096,
				Flags: "rwxp", Path: "/p\xff", Data: "90", Code: []string{"0x1000: nop"}}},
			{},
		},
		Maps: []ProcessMaps{
			{PID: 7, PodUID: "u", ContainerID: "i", Mappings: []Mapping{
				{Start: 0x1000, End: 0x3000, Flags: "rw-p", Offset: 4096, Major: 8, Minor: 1, Inode: 12, Path: "/p\xff", VMFlags: []string{"rd", "wr"}, ProtectionKey: 3, Address: 0x40,
					Usage: memory.Usage{Size: 1, KernelPageSize: 2, RSS: 3, PSS: 4, PSSDirty: 5, SharedClean: 6, SharedDirty: 7, PrivateClean: 8, PrivateDirty: 9, Referenced: 10,
						Anonymous: 11, KSM: 12, LazyFree: 13, AnonHugePages: 14, ShmemPMDMapped: 15, FilePMDMapped: 16, SharedHugetlb: 17, PrivateHugetlb: 18, Swap: 19, SwapPSS: 20, Locked: 21}},
			}},
			{},
		},
		Hooks: []integrity.Hook{
			{Table: "kprobes", Entry: "kernel_clone", Address: 0xc0, Target: 0xd0, Symbol: "pre\xff", Owner: "m", Verdict: integrity.Verdict{Kind: integrity.Module, Name: "m"}, Suspect: true, Evidence: []string{"hidden"}},
			{},
		},
		Text: &ktext.Report{
			BuildID: "ab", Areas: []ktext.Area{{Module: "m", Section: ".text", Range: vmem.Range[vmem.VirtAddr]{Start: 0x130, Size: 16}, Lost: 1}},
			Patched: []ktext.Patched{{Kind: ktext.Ftrace, Count: 3}},
			Modifications: []ktext.Modification{{
				Address: 0x134, Symbol: "f+0x4", Module: "m", Section: ".text", Length: 1, Expected: "90", Found: "cc",
				Was: []string{"nop"}, Is: []string{"int3"}, Site: ktext.Other, Meaning: "a breakpoint",
			}},
		},
	}
}

// wholeBPF has every member of its own set, and of the records of package bpf those that docs/report.md
// names.
func wholeBPF() *BPF {
	owners := []bpf.Owner{{PID: 7, FD: 3}}
	return &BPF{
		Programs: []BPFProgram{
			{
				Program: bpf.Program{
					ID: 5, Type: bpf.Tracepoint, Name: "p\xff", FullName: "probe", Tag: "00ff", GPL: true, LoadTime: time.Unix(1700000000, 5).UTC(), UID: 1000, Maps: []uint32{6},
					Helpers: []string{"bpf_probe_write_user"}, Owners: owners, Pins: []string{"/sys/fs/bpf/p"}, Links: []uint32{8}, References: 2, Hidden: true,
					Attachments: []bpf.Attachment{{Kind: "perf_event", Type: "tracepoint", Target: "sys_enter", Link: 8, Address: 0xe0}},
					Sources:     bpf.InKallsyms | bpf.InPins, Address: 0xf0,
				},
				PodUID: "u", ContainerID: "i",
			},
			{},
		},
		Maps: []BPFMap{{
			Map:    bpf.Map{ID: 6, Type: bpf.PerCPUHash, Name: "m", KeySize: 4, ValueSize: 8, MaxEntries: 10, Programs: []uint32{5}, Owners: owners, Sources: bpf.InIDR, Address: 0x110},
			PodUID: "u", ContainerID: "i", Elements: []BPFElement{{Key: "01000000", PerCPU: []string{"00"}, Object: 0x120}, {Value: "ff"}}, More: true,
		}},
		Links:       []bpf.Link{{ID: 8, Type: bpf.PerfEventLink, Program: 5, LinkDetails: bpf.LinkDetails{Target: "sys_enter"}, Owners: owners, Sources: bpf.InIDR, Address: 0x130}},
		BTF:         []bpf.BTF{{ID: 1, Name: "vmlinux", Kernel: true, Size: 100, Types: 10, Sources: bpf.InIDR, Address: 0x140}},
		Cgroups:     []bpf.Cgroup{{Path: "/a", ID: 9, Programs: []bpf.CgroupProgram{{AttachType: "cgroup_device", Program: 5, Flags: "multi"}}, Address: 0x150}},
		Trampolines: []bpf.Trampoline{{Key: 0x100000001, Function: bpf.LinkTarget{Address: 0x160, Name: "f"}, Programs: []uint32{5}, Address: 0x170}},
		Images:      []bpf.Image{{Name: "bpf_prog_00ff_p", Start: 0x180, Size: 16, Program: 5, Address: 0x190}},
		Filters:     []bpf.ClassicFilter{{Kind: "seccomp", Instructions: 14, Original: 8, JITed: true, Tag: "00", PIDs: []int32{7}, Address: 0x1a0, Entry: 0x1b0}},
	}
}

func wholeSettings() *settings.Settings {
	value := "a\xff"
	text := settings.Text{Value: "x\xff", Address: 0x10, Source: "symbol"}
	return &settings.Settings{
		CommandLine: text, Configuration: "CONFIG_X=y\n", CorePattern: text, ModprobePath: text, PoweroffCmd: text, UeventHelper: text,
		Taint: settings.Taint{Value: 1, Letters: "P", Meanings: []string{"proprietary module"}, Address: 0x20}, Lockdown: "integrity", LSMs: []string{"capability"},
		ClockSource: "tsc", KexecImage: 0x30, KexecCrash: 0x40, Livepatches: []string{"patch"},
		BinaryFormats: []settings.Format{{Name: "load_elf_binary", Load: 0x50, Address: 0x60}}, BinfmtMisc: []settings.MiscFormat{{Name: "m\xff", Enabled: true, Interpreter: "/i", Flags: "F", Magic: "00ff"}},
		IOMem:   []settings.Resource{{Start: 0x1000, End: 0x1fff, Name: "System RAM", Depth: 1}},
		IOPorts: []settings.Resource{{Start: 0x20, End: 0x21, Name: "pic1"}}, CPUBugs: []string{"spectre_v1"},
		Sysctls: []settings.Sysctl{{Name: "a/b", Namespace: "net:[7]", Value: &value, Mode: 0o644, Handler: "proc_dostring", Data: 0x70, Address: 0x80}, {Name: "c", Reason: "computed", Handler: "f"}},
	}
}

func wholeModules() []Module {
	value := "Y\xff"
	return []Module{
		{
			Module: module.Module{
				Name: "veth\xff", Size: 16384, References: 1, UsedBy: []string{"other"}, Uses: []string{"core"}, State: module.Coming, Base: 0xffffffffc0000000,
				Areas: []module.Area{{Kind: module.ReadOnly, Range: vmem.Range[vmem.VirtAddr]{Start: 0xffffffffc0001000, Size: 4096}}}, Init: 0x10, Exit: 0x20,
				Taints: 1<<12 | 1<<13 | 1<<40, Args: "a=1", Version: "1.0", SrcVersion: "ABC", BuildID: "00ff", Sections: []module.Section{{Name: ".text", Address: 0x30}},
				Sources: module.InTree | module.InMemory, Missing: module.InList, Address: 0xffffffffc0002000,
			},
			Parameters: map[string]*string{"known": &value, "unknown": nil},
		},
		{Module: module.Module{State: module.Unformed}},
	}
}

func wholeLog() []printk.Record {
	return []printk.Record{
		{Sequence: 7, Time: 1234567890, Facility: 3, Level: 4, Caller: 1<<31 | 2, Comm: "a\xff", Text: "b\xff\nc", Dictionary: map[string]string{"DEVICE": "+pci:\xff", "SUBSYSTEM": "pci"}, Continues: true},
		{Facility: 200, Level: 9, Caller: 1},
	}
}

func wholeLifecycle() *Lifecycle {
	shown, code, attempt := "l", int32(137), uint32(3)
	return &Lifecycle{
		ImageRef: "sha256:1", Created: time.Unix(1, 0).UTC(), Started: time.Unix(2, 0).UTC(), Finished: time.Unix(3, 4).UTC(), ExitCode: &code, Reason: "OOMKilled", Attempt: &attempt,
		LogPath: "/l", Labels: []Secret{{Name: "L", Length: 1, Value: &shown}}, Annotations: []Secret{{Name: "A", Length: 2, Digest: "e"}}, IPs: []string{"10.0.0.1"}, Handler: "gvisor",
	}
}

func wholeContainers() []ContainerDetail {
	shown := "v\xff"
	sets := CapabilityNames{Bounding: []string{"CAP_CHOWN"}, Effective: []string{"CAP_KILL"}, Inheritable: []string{"CAP_BPF"}, Permitted: []string{"CAP_40"}, Ambient: []string{"CAP_MKNOD"}}
	return []ContainerDetail{
		{
			ID: "1c", PodUID: "u", Namespace: "n", Pod: "p", Name: "c", Image: "i", Lifecycle: wholeLifecycle(), Bundle: "/b", Shim: "/s", Runtime: "/r", InitPID: 7, Running: true,
			Spec: &ContainerSpec{
				Args: []string{"a\xff"}, ArgSecrets: []ArgSecret{{}}, Env: []Secret{{Name: "N", Length: 2, Digest: "d", Value: &shown}, {Name: "M"}}, Cwd: "/", UID: 1, GID: 2, Groups: []uint32{3},
				Capabilities: &sets, NoNewPrivileges: true, AppArmor: "x", SELinux: "y", Seccomp: "z", Terminal: true, ReadOnlyRoot: true, Hostname: "h",
				Namespaces: []SpecNamespace{{"pid", "/p"}}, Mounts: []SpecMount{{"/d", "bind", "/s", []string{"ro"}, "secret", "v"}}, Devices: []string{"/dev/x"},
				MaskedPaths: []string{"/m"}, ReadOnlyPaths: []string{"/o"}, Sysctls: []Secret{{Name: "k", Length: 2, Value: &shown}}, Annotations: []Secret{{Name: "a", Length: 2, Value: &shown}}, CgroupsPath: "g",
				MemoryLimit: 4, CPUShares: 5, CPUQuota: 6, CPUPeriod: 7, PidsLimit: 8, OOMScoreAdj: -9,
			},
			Actual:      &Posture{PID: 7, Cred: linux.Cred{UID: 1}, Capabilities: sets, NoNewPrivileges: true, Seccomp: "filter", ReadOnlyRoot: true, HostNamespaces: []string{"network"}},
			Differences: []Difference{{"uid", "1", "0"}}, Violations: []Violation{{"baseline", "hostNamespaces", "e"}},
			Programs: []ContainerProgram{{Path: "/bin/x", PIDs: []int32{7}, Mtime: time.Date(2026, 11, 30, 8, 0, 0, 5, time.UTC), Layer: LayerWritten, Replaces: true, Same: true}},
			Written:  []WrittenFile{{Path: "etc/x\xff", Kind: WrittenReplaced, Mode: 0o100644, UID: 8, Size: 9, Mtime: time.Unix(4, 5).UTC(), Whole: true}, {Path: "gone", Kind: WrittenDeleted}},
		},
		{ID: "2d", Sandbox: true},
	}
}

func wholeFiles() *Files {
	at := time.Date(2026, 11, 30, 8, 0, 0, 5, time.UTC)
	file := pagecache.Inode{Addr: 0x40, Number: 5, Device: 3<<20 | 1, Mode: 0o100644, Links: 1, UID: 2, GID: 3, Rdev: 4, Size: 6, Blocks: 7, Atime: at, Mtime: at, Ctime: at, Btime: at}
	return &Files{
		FileSystems: []FileSystem{{pagecache.Super{Addr: 0x50, FSType: "ext4", Device: 3<<20 | 1, Name: "d", Magic: 8}, 9}},
		Nameless: []NamelessFile{{
			Nameless: pagecache.Nameless{Inode: file, FSType: "ext4", Path: "/x (deleted)", Holders: []pagecache.Holder{{PID: 7, How: "fd", FD: 3}}},
			PodUID:   "u", ContainerID: "c", Cached: []pagecache.Extent{{Offset: 0, Size: 4}}, Missing: []pagecache.Extent{{Offset: 4, Size: 2}},
		}},
	}
}

// wholeNetwork has every member of its own set, and of the records of other packages those
// that docs/report.md names.
func wholeNetwork() *Network {
	local, pod, service := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2"), netip.MustParseAddr("10.96.0.1")
	var at, from, to socket.Address
	for text, a := range map[string]*socket.Address{"::ffff:10.0.0.2": &at, "10.0.0.2": &from, "10.96.0.1": &to} {
		if err := a.UnmarshalText([]byte(text)); err != nil {
			panic(err)
		}
	}
	return &Network{
		Namespaces: []NetworkNamespace{
			{
				Namespace: network.Namespace{Addr: 0x50, Inum: 4026531840, Cookie: 1, PIDs: []int32{1, 7}, Initial: true, Sources: network.InList | network.InKernel},
				Configuration: network.Configuration{
					Devices:    []*network.Device{{Index: 2, Name: "veth\xff", Kind: "veth", MTU: 1500, Link: &network.DeviceRef{Index: 3, Name: "eth0", NetNS: 4026532000, Addr: 0x60}}},
					Addresses:  []*network.Address{{Family: network.Inet, Index: 2, Device: "veth\xff", Local: local, PrefixLen: 32}},
					Routes:     []*network.Route{{Family: network.Inet, Type: 1, Dst: "10.0.0.2", Table: network.TableMain, Device: "veth\xff", Metrics: map[string]uint32{"mtu": 1400}}},
					Rules:      []*network.Rule{{Family: network.Inet, Priority: 32766, Src: "all", Table: network.TableMain}},
					Neighbours: []*network.Neighbour{{Family: network.Inet, Dst: pod, Device: "veth\xff", LinkAddress: "02:00:00:00:00:01", State: 2}},
				},
				NFTables: []nftables.Table{{NetNS: 4026531840, Family: "ip", Name: "nat", Chains: []*nftables.Chain{{Name: "a", Rules: []*nftables.Rule{
					{Handle: 4, Text: "dnat to 10.0.0.2:8080", IPTables: "-j DNAT", Statements: []any{map[string]any{"dnat": map[string]any{"addr": "10.0.0.2", "port": int64(8080)}}}},
				}}}}},
				IPTables: []xtables.Table{{NetNS: 4026531840, Family: "ip", Name: "nat", Chains: []*xtables.Chain{{Name: "A"}}}},
				IPSets:   []ipset.Set{{NetNS: 4026531840, Name: "s\xff", Type: "hash:ip", Elements: []ipset.Element{{Value: "10.0.0.2", Timeout: -1}}}},
				IPVS:     []ipvs.Service{{NetNS: 4026531840, Protocol: "tcp", Address: service, Port: 80, Family: "inet", Scheduler: "rr", Destinations: []ipvs.Destination{{Address: pod, Port: 8080, Forward: "Masq"}}}},
				Hooks:    []netfilter.Hook{{NetNS: 4026531840, Family: "ip", Hook: "input", Function: 0x70, Symbol: "nft_do_chain_ipv4", Owner: "nf_tables"}},
			},
			{Namespace: network.Namespace{Inum: 4026532000, Mounts: []string{"/run/netns/a\xff"}, Dying: true}, PodUID: "u"},
		},
		Sockets: []Socket{
			{
				Socket: socket.Socket{
					Addr: 0x80, NetNS: 4026532000, Family: socket.Inet6, Type: socket.Stream, Protocol: "tcp", Number: 6, State: socket.CloseWait,
					LocalAddress: at, LocalPort: 8080, RemoteAddress: from, RemotePort: 40000, Inode: 9, UID: 1000, Cookie: 3, SendQueue: 1, ReceiveQueue: 2,
					Filter: &socket.Filter{Kind: "classic", Instructions: 2, SHA256: "00ff", Addr: 0x90}, Held: socket.HeldByDescriptors,
					Owners: []socket.Owner{{PID: 7, FD: 3}}, Anomalies: socket.NotInTable, Sources: socket.InDescriptors,
				},
				PodUID: "u", ContainerID: "i", PeerPodUID: "v", PeerSocket: 0xa0,
			},
			{Socket: socket.Socket{Family: socket.Unix, Type: socket.Dgram, State: socket.Unconn, Path: "@\xff", Abstract: true}},
		},
		Conntrack: []Connection{{
			Connection: netfilter.Connection{
				NetNS: 4026531840, Family: "ipv4", Protocol: "tcp", State: "ESTABLISHED", Mark: 1, Timeout: 86400, Status: netfilter.SeenReply | netfilter.DestinationNAT,
				Original: netfilter.Tuple{Source: local, SourcePort: 40000, Destination: service, DestinationPort: 80},
				Reply:    netfilter.Tuple{Source: pod, SourcePort: 8080, Destination: local, DestinationPort: 40000},
				Counts:   &[2]netfilter.Count{{Packets: 1, Bytes: 60}, {}}, Addr: 0xb0,
			},
			SourcePodUID: "v", DestinationPodUID: "u",
		}},
		Expectations: []netfilter.Expectation{{
			NetNS: 4026531840, Family: "ipv4", Protocol: "tcp", Expected: netfilter.Tuple{Source: local, Destination: pod, DestinationPort: 7000},
			Mask: netfilter.Tuple{Source: pod, Destination: pod, DestinationPort: 65535}, Master: netfilter.Tuple{Source: local, SourcePort: 40000, Destination: pod, DestinationPort: 21},
			Timeout: 300, Flags: []string{"PERMANENT"}, Class: 1, Helper: "ftp", Of: 0xb0, Addr: 0xb8,
		}},
		Pods: []PodNetwork{{
			UID: "u", NetNS: 4026532000, Host: true, IPs: []string{"10.0.0.2"}, HostPorts: []PodRoute{{By: ByListener, TargetPort: 53}},
			Services: []PodRoute{{Name: "n/s:http", Protocol: "tcp", Address: "10.96.0.1", Port: 80, LastPort: 81, TargetPort: 8080, By: ByNFTables, Chain: "a"}},
		}},
	}
}

// wholeSecurity has every field set.
func wholeSecurity() process.Security {
	uid, session := uint32(1000), uint32(3)
	return process.Security{
		Credentials: process.Credentials{
			UID: 1, EUID: 2, SUID: 3, FSUID: 4, GID: 5, EGID: 6, SGID: 7, FSGID: 8, Groups: []uint32{9}, Inheritable: 1, Permitted: process.AllCapabilities,
			Effective: 2, Bounding: 4, Ambient: 8, SecureBits: 1, UserNamespace: 0x10, Address: 0x20,
		},
		NoNewPrivs: true,
		Seccomp: process.Seccomp{
			Mode:    "filter",
			Filters: []process.SeccompFilter{{Length: 2, Hash: "00ff", Log: true, Notifies: true, Address: 0x30}},
			Calls:   &process.CallPolicy{Default: "errno 1", Allowed: []string{"read"}, Conditional: []string{"clone"}, Others: []process.CallAnswer{{Name: "open", Answer: "trap"}}},
		},
		AppArmor: &process.AppArmor{Profile: "p\xff", Mode: "enforce"},
		UserNamespace: &process.UserNamespace{
			Inum: 4026531837, Level: 1, OwnerUID: 1000, OwnerGID: 100, SetGroups: true, UIDs: []process.IDMap{{Inside: 0, Outside: 1000, Count: 1}}, Parent: 0x40, Address: 0x10,
		},
		LoginUID: &uid, LoginSession: &session, Overrides: true, OOMScoreAdj: -999, Personality: 1,
		Limits:     []process.Limit{{Name: "RLIMIT_CPU", Soft: 1, Hard: process.Unlimited}},
		Scheduling: process.Scheduling{Policy: "SCHED_FIFO", Priority: -2, Nice: 1, RTPriority: 1, CPU: 1, CPUs: []int{0, 1}, MemoryNodes: []int{0}},
		Keyrings: process.Keyrings{
			Session: 1, Process: 2, Thread: 3,
			Keys: []process.Key{{Serial: 1, Type: "user", Description: "d", UID: 0, GID: -1, Permissions: 0x3f010000, Expiry: time.Unix(1, 0).UTC(), Flags: 1, Payload: "00", PayloadSize: 1, Keys: []int32{2}, Address: 0x50}},
		},
	}
}

const wholeJSON = `{
 "schema": "nodelens/node/v3", "whole": false,
 "losses": [
  {"what": "parts of the image", "why": "other", "count": 1}, {"what": "command lines", "why": "swapped out", "count": 1},
  {"what": "list of \\xff", "why": "damaged, or changed during the capture", "count": 1}, {"what": "pods", "why": "sources disagree", "count": 1}
 ],
 "provenance": {"image": "node�.lime", "imageBytes": "bm9kZf8ubGltZQ==", "size": 4096, "format": "LiME", "compression": "gzip",
  "sha256": "00ff", "sha256From": "manifest", "etag": "\"1\"", "captured": "2026-11-21T00:49:10.000000005Z", "capturedFrom": "manifest",
  "tool": "example.org/tool", "version": "v1.2.3", "arguments": ["-json", "node�.lime"], "argumentsBytes": [null, "bm9kZf8ubGltZQ=="]},
 "kernel": {"release": "6.1.0", "banner": "Linux version 6.1.0", "pageTableLevels": 5, "kaslrShift": "0x18000000", "physBase": "-0xc00000",
  "root": "0x1000", "foundBy": "banner", "symbols": "vmlinux",
  "settings": {"commandLine": {"value": "x�", "valueBytes": "eP8=", "address": "0x10", "source": "symbol"}, "configuration": "CONFIG_X=y\u000a",
   "corePattern": {"value": "x�", "valueBytes": "eP8=", "address": "0x10", "source": "symbol"}, "modprobePath": {"value": "x�", "valueBytes": "eP8=", "address": "0x10", "source": "symbol"}, "poweroffCmd": {"value": "x�", "valueBytes": "eP8=", "address": "0x10", "source": "symbol"}, "ueventHelper": {"value": "x�", "valueBytes": "eP8=", "address": "0x10", "source": "symbol"},
   "taint": {"value": 1, "letters": "P", "meanings": ["proprietary module"], "address": "0x20"}, "lockdown": "integrity", "lsms": ["capability"], "clockSource": "tsc",
   "kexecImage": "0x30", "kexecCrashImage": "0x40", "livepatches": ["patch"], "binaryFormats": [{"name": "load_elf_binary", "load": "0x50", "address": "0x60"}],
   "binfmtMisc": [{"name": "m�", "nameBytes": "bf8=", "enabled": true, "interpreter": "/i", "flags": "F", "extension": null, "offset": 0, "magic": "00ff", "mask": null, "address": "0x0"}],
   "iomem": [{"start": "0x1000", "end": "0x1fff", "name": "System RAM", "depth": 1}],
   "ioports": [{"start": "0x20", "end": "0x21", "name": "pic1", "depth": 0}], "cpuBugs": ["spectre_v1"],
   "sysctls": [{"name": "a/b", "namespace": "net:[7]", "value": "a�", "valueBytes": "Yf8=", "reason": null, "mode": 420, "handler": "proc_dostring", "data": "0x70", "address": "0x80"},
    {"name": "c", "namespace": null, "value": null, "reason": "computed", "mode": 0, "handler": "f", "data": null, "address": "0x0"}]}},
 "hostname": "node", "bootTime": "2026-11-21T00:49:10.000000005Z",
 "pods": [
  {"uid": "u", "qos": "burstable", "namespace": "n", "name": "p", "sandboxID": "s",
   "containers": [{"id": "i", "name": "c", "pids": [7, 8], "image": "m", "evidence": [{"field": "name", "value": "c", "source": "mount", "pid": 7, "hint": false}]}],
   "evidence": [{"field": "name", "value": "p", "source": "uts-name", "pid": 7, "hint": true}]},
  {"uid": "v", "qos": null, "namespace": null, "name": null, "sandboxID": null,
   "containers": [{"id": null, "name": null, "pids": [], "image": null, "evidence": []}], "evidence": []}
 ],
 "processes": [
  {"pid": 7, "ppid": 1, "comm": "a�", "commBytes": "Yf8=", "args": ["a�", ""], "argsBytes": ["Yf8=", null], "argSecrets": [{"arg": 1, "name": "o", "length": 3, "digest": "e", "value": null}],
   "env": [{"name": "B", "length": 1, "digest": "f", "value": "1�", "valueBytes": "Mf8="}],
   "exe": "/a", "cwd": "/", "state": "S (sleeping)", "kernelThread": false,
   "uid": 1, "euid": 2, "suid": 5, "fsuid": 6, "gid": 3, "egid": 4294967295, "sgid": 7, "fsgid": 8, "startTime": "2026-11-21T00:49:10.000000005Z",
   "threads": [{"tid": 7, "comm": "a�", "commBytes": "Yf8=", "startTime": "2026-11-21T00:49:10.000000005Z"}, {"tid": 9, "comm": "t", "startTime": null}],
   "cgroup": "/x", "podUID": "u", "containerID": "i",
   "cgroups": [{"hierarchy": 1, "controllers": "cpu", "path": "/x", "address": "0x20"}, {"hierarchy": 0, "controllers": "", "path": "/", "address": "0x0"}],
   "namespaces": {"pid": 1, "net": 2, "mnt": 3, "uts": 4, "ipc": 5, "user": 6, "cgroup": 7, "time": 4026531834}, "namespacedPIDs": [7, 1],
   "fds": [{"fd": 0, "path": "/dev/null", "address": "0x30"}, {"fd": 3, "path": null, "address": "0x0"}],
   "sources": "task list+PID IDR", "address": "0xffff888000000000"},
  {"pid": 8, "ppid": null, "comm": "", "args": [], "argSecrets": [], "env": [], "exe": null, "cwd": null, "state": "Z (zombie)", "kernelThread": true,
   "uid": null, "euid": null, "suid": null, "fsuid": null, "gid": null, "egid": null, "sgid": null, "fsgid": null, "startTime": null, "threads": [],
   "cgroup": null, "podUID": null, "containerID": null, "cgroups": [],
   "namespaces": {"pid": null, "net": null, "mnt": null, "uts": null, "ipc": null, "user": null, "cgroup": null, "time": null}, "namespacedPIDs": [],
   "fds": [], "sources": "none", "address": "0x0"}
 ],
 "consistency": {"verdict": "smeared", "windowSeconds": 1.337, "captureSeconds": 2.500, "earliest": "2026-11-21T00:49:10.000000005Z", "latest": "2026-11-21T00:49:11.337000005Z",
  "checked": 5, "broken": 2, "impossible": 1, "parts": [{"name": "tasks", "of": "tasks", "objects": 3, "torn": 2}],
  "invariants": [{"name": "parents", "part": "tasks", "checked": 5, "broken": 2, "impossible": 1, "first": "task 7"},
   {"name": "tables", "part": "page tables", "checked": 0, "broken": 0, "impossible": 0, "first": null}]},
 "secrets": "shown", "secretKey": "0a",
 "network": {
  "namespaces": [
   {"address": "0x50", "inum": 4026531840, "cookie": 1, "pids": [1, 7], "mounts": [], "dying": false, "initial": true, "sources": "namespace list+init_net", "podUID": null,
    "devices": [{"ifindex": 2, "ifname": "veth�", "ifnameBytes": "dmV0aP8=", "kind": "veth", "linkType": "generic", "flags": [], "mtu": 1500, "operstate": "UNKNOWN", "group": 0, "txqlen": 0, "promiscuity": 0, "allmulti": 0, "link": {"ifindex": 3, "ifname": "eth0", "netns": 4026532000, "kernelAddress": "0x60"}, "sources": "none", "kernelAddress": "0x0"}],
    "addresses": [{"family": "inet", "ifindex": 2, "ifname": "veth�", "ifnameBytes": "dmV0aP8=", "local": "10.0.0.1", "prefixlen": 32, "scope": "global", "flags": [], "validLifeTime": 0, "preferredLifeTime": 0, "kernelAddress": "0x0"}],
    "routes": [{"family": "inet", "type": "unicast", "dst": "10.0.0.2", "table": "main", "dev": "veth�", "devBytes": "dmV0aP8=", "protocol": "unspec", "scope": "global", "metrics": {"mtu": 1400}, "flags": [], "kernelAddress": "0x0"}],
    "rules": [{"family": "inet", "priority": 32766, "src": "all", "table": "main", "action": "unspec", "protocol": "unspec", "kernelAddress": "0x0"}],
    "neighbours": [{"family": "inet", "dst": "10.0.0.2", "dev": "veth�", "devBytes": "dmV0aP8=", "lladdr": "02:00:00:00:00:01", "state": ["REACHABLE"], "flags": [], "protocol": "unspec", "kernelAddress": "0x0"}],
    "nftables": [{"netns": 4026531840, "family": "ip", "name": "nat", "handle": 0, "chains": [{"name": "a", "handle": 0, "priority": 0, "rules": [{"handle": 4, "text": "dnat to 10.0.0.2:8080", "expr": [{"dnat": {"addr": "10.0.0.2", "port": 8080}}], "iptables": "-j DNAT", "address": "0x0"}], "address": "0x0"}], "address": "0x0"}],
    "iptables": [{"netns": 4026531840, "family": "ip", "name": "nat", "chains": [{"name": "A", "packets": 0, "bytes": 0}], "address": "0x0"}],
    "ipsets": [{"netns": 4026531840, "index": 0, "name": "s�", "nameBytes": "c/8=", "type": "hash:ip", "count": 0, "elements": [{"value": "10.0.0.2", "timeout": -1}], "address": "0x0"}],
    "ipvs": [{"netns": 4026531840, "protocol": "tcp", "address": "10.96.0.1", "port": 80, "family": "inet", "scheduler": "rr",
     "destinations": [{"address": "10.0.0.2", "port": 8080, "forward": "Masq", "weight": 0, "active": 0, "structAddress": "0x0"}], "structAddress": "0x0"}],
    "hooks": [{"netns": 4026531840, "family": "ip", "hook": "input", "index": 0, "priority": 0, "function": "0x70", "symbol": "nft_do_chain_ipv4", "owner": "nf_tables", "private": "0x0", "ops": "0x0"}]},
   {"address": "0x0", "inum": 4026532000, "cookie": 0, "pids": [], "mounts": ["/run/netns/a�"], "mountsBytes": ["L3J1bi9uZXRucy9h/w=="], "dying": true, "initial": false, "sources": "none", "podUID": "u",
    "devices": [],
    "addresses": [],
    "routes": [], "rules": [],
    "neighbours": [],
    "nftables": [],
    "iptables": [], "ipsets": [], "ipvs": [], "hooks": []}],
  "sockets": [
   {"address": "0x80", "netns": 4026532000, "family": "inet6", "type": "stream", "protocol": "tcp",
    "protocolNumber": 6, "state": "CLOSE-WAIT", "localAddress": "::ffff:10.0.0.2", "localPort": 8080, "remoteAddress": "10.0.0.2", "remotePort": 40000, "path": null, "inode": 9, "uid": 1000, "ownerUID": 0, "refs": 0, "ifindex": 0, "v6only": false, "shutdown": "\u003c-\u003e", "cookie": 3, "sendQueue": 1, "receiveQueue": 2,
    "timer": {"kind": "off", "expires": 0, "retransmits": 0}, "filter": {"kind": "classic", "instructions": 2, "sha256": "00ff", "address": "0x90"}, "cgroup": null, "held": "descriptors", "owners": [{"pid": 7, "fd": 3}], "anomalies": "not-in-table", "sources": "descriptors", "podUID": "u", "containerID": "i", "peerPodUID": "v", "peerSocket": "0xa0"},
   {"address": "0x0", "netns": 0, "family": "unix", "type": "dgram", "protocol": "",
    "protocolNumber": 0, "state": "UNCONN", "localAddress": null, "localPort": 0, "remoteAddress": null, "remotePort": 0, "path": "@�", "pathBytes": "QP8=", "abstract": true, "inode": 0, "uid": 0, "ownerUID": 0, "refs": 0, "ifindex": 0, "v6only": false, "shutdown": "\u003c-\u003e", "cookie": 0, "sendQueue": 0, "receiveQueue": 0,
    "timer": {"kind": "off", "expires": 0, "retransmits": 0}, "filter": null, "cgroup": null, "held": "none", "owners": [], "anomalies": "none", "sources": "none", "podUID": null, "containerID": null, "peerPodUID": null, "peerSocket": null}],
  "conntrack": [
   {"netns": 4026531840, "family": "ipv4", "protocol": "tcp", "state": "ESTABLISHED", "original": {"source": "10.0.0.1", "sourcePort": 40000, "destination": "10.96.0.1", "destinationPort": 80},
    "reply": {"source": "10.0.0.2", "sourcePort": 8080, "destination": "10.0.0.1", "destinationPort": 40000}, "mark": 1, "timeout": 86400, "status": ["SEEN_REPLY", "DST_NAT"], "zone": 0, "counts": [{"packets": 1, "bytes": 60}, {"packets": 0, "bytes": 0}], "use": 0, "address": "0xb0", "sourcePodUID": "v", "destinationPodUID": "u"}],
  "expectations": [
   {"netns": 4026531840, "family": "ipv4", "protocol": "tcp", "expected": {"source": "10.0.0.1", "sourcePort": 0, "destination": "10.0.0.2", "destinationPort": 7000},
    "mask": {"source": "10.0.0.2", "sourcePort": 0, "destination": "10.0.0.2", "destinationPort": 65535}, "master": {"source": "10.0.0.1", "sourcePort": 40000, "destination": "10.0.0.2", "destinationPort": 21},
    "timeout": 300, "flags": ["PERMANENT"], "class": 1, "helper": "ftp", "of": "0xb0", "address": "0xb8"}],
  "pods": [
   {"uid": "u", "netns": 4026532000, "hostNetwork": true, "ips": ["10.0.0.2"], "hostPorts": [{"name": null, "protocol": null, "address": null, "port": null, "targetPort": 53, "by": "listener", "chain": null}],
    "services": [{"name": "n/s:http", "protocol": "tcp", "address": "10.96.0.1", "port": 80, "lastPort": 81, "targetPort": 8080, "by": "nftables", "chain": "a"}]}]},
 "hooks": [
  {"table": "kprobes", "entry": "kernel_clone", "address": "0xc0", "target": "0xd0", "symbol": "pre�", "symbolBytes": "cHJl/w==", "owner": "m", "verdict": "module m", "suspect": true, "evidence": ["hidden"]},
  {"table": "", "entry": "", "address": "0x0", "target": "0x0", "symbol": null, "owner": null, "verdict": "unknown", "suspect": false, "evidence": []}],
 "text": {"buildID": "ab", "areas": [{"module": "m", "section": ".text", "range": {"start": "0x130", "size": 16}, "lost": 1}], "patched": [{"kind": "ftrace", "count": 3}],
  "modifications": [{"address": "0x134", "symbol": "f+0x4", "module": "m", "section": ".text", "length": 1, "expected": "90", "found": "cc",
   "was": ["nop"], "is": ["int3"], "site": "other", "meaning": "a breakpoint"}]},
 "bpf": {
  "programs": [
   {"id": 5, "type": "tracepoint", "name": "p�", "nameBytes": "cP8=", "fullName": "probe", "tag": "00ff", "attachType": "cgroup_inet_ingress", "gplCompatible": true, "loadTime": "2023-11-14T22:13:20.000000005Z", "uid": 1000, "runCount": 0, "runTimeNS": 0, "recursionMisses": 0, "verifiedInstructions": 0, "instructions": 0, "bytesXlated": 0, "jited": false, "bytesJITed": 0, "bytesMemlock": 0, "sleepable": false, "maps": [6], "btfID": null, "functions": [], "helpers": ["bpf_probe_write_user"], "owners": [{"pid": 7, "fd": 3}], "pins": ["/sys/fs/bpf/p"], "links": [8], "attachments": [{"kind": "perf_event", "type": "tracepoint", "target": "sys_enter", "linkID": 8, "address": "0xe0"}], "references": 2, "sources": ["kallsyms", "pins"], "hidden": true, "address": "0xf0", "entry": "0x0", "podUID": "u", "containerID": "i"},
   {"id": null, "type": "unspec", "name": "", "fullName": "", "tag": "", "attachType": "cgroup_inet_ingress", "gplCompatible": false, "loadTime": null, "uid": 0, "runCount": 0, "runTimeNS": 0, "recursionMisses": 0, "verifiedInstructions": 0, "instructions": 0, "bytesXlated": 0, "jited": false, "bytesJITed": 0, "bytesMemlock": 0, "sleepable": false, "maps": [], "btfID": null, "functions": [], "helpers": [], "owners": [], "pins": [], "links": [], "attachments": [], "references": 0, "sources": [], "hidden": false, "address": "0x0", "entry": "0x0", "podUID": null, "containerID": null}],
  "maps": [
   {"id": 6, "type": "percpu_hash", "name": "m", "keySize": 4, "valueSize": 8, "maxEntries": 10, "flags": "0x0", "extra": 0, "bytesMemlock": 0, "frozen": false, "btfID": null, "keyTypeID": null, "valueTypeID": null, "kernelTypeID": null, "programs": [5], "owners": [{"pid": 7, "fd": 3}], "pins": [], "references": 0, "users": 0, "sources": ["idr"], "hidden": false, "address": "0x110", "podUID": "u", "containerID": "i", "elements": [{"key": "01000000", "value": "", "values": ["00"], "object": "0x120"}, {"key": "", "value": "ff"}], "more": true}],
  "links": [
   {"id": 8, "type": "perf_event", "programID": 5, "target": "sys_enter", "owners": [{"pid": 7, "fd": 3}], "pins": [], "references": 0, "sources": ["idr"], "hidden": false, "address": "0x130"}],
  "btf": [
   {"id": 1, "name": "vmlinux", "kernel": true, "size": 100, "types": 10, "programs": [], "maps": [], "owners": [], "sources": ["idr"], "address": "0x140"}],
  "cgroups": [
   {"path": "/a", "id": 9, "programs": [{"attachType": "cgroup_device", "programID": 5, "flags": "multi"}], "effective": [], "address": "0x150"}],
  "trampolines": [
   {"key": "0x100000001", "function": {"address": "0x160", "name": "f"}, "programs": [5], "address": "0x170"}],
  "images": [
   {"name": "bpf_prog_00ff_p", "kind": "program", "start": "0x180", "size": 16, "programID": 5, "key": "0x0", "address": "0x190"}],
  "filters": [
   {"kind": "seccomp", "instructions": 14, "original": 8, "jited": true, "tag": "00", "pids": [7], "address": "0x1a0", "entry": "0x1b0"}]},
 "modules": [
  {"name": "veth�", "nameBytes": "dmV0aP8=", "size": 16384, "references": 1, "usedBy": ["other"], "uses": ["core"], "permanent": false, "state": "Loading", "base": "0xffffffffc0000000",
   "areas": [{"kind": "rodata", "range": {"start": "0xffffffffc0001000", "size": 4096}}], "init": "0x10", "exit": "0x20", "taints": "OE\u003c40\u003e", "args": "a=1",
   "version": "1.0", "srcversion": "ABC", "buildID": "00ff", "sections": [{"name": ".text", "address": "0x30"}], "sources": ["tree", "memory"], "missing": ["list"], "address": "0xffffffffc0002000",
   "parameters": {"known": "Y�", "unknown": null}, "parametersBytes": [null, "Wf8=", null, null]},
  {"name": "", "size": 0, "references": 0, "usedBy": [], "uses": [], "permanent": false, "state": "Unformed", "base": "0x0", "areas": [], "init": null, "exit": null, "taints": "", "args": null,
   "version": null, "srcversion": null, "buildID": null, "sections": [], "sources": [], "missing": [], "address": "0x0", "parameters": {}}],
 "log": [
  {"sequence": 7, "seconds": 1.234567890, "facility": "daemon", "level": "warn", "caller": "C2", "comm": "a�", "commBytes": "Yf8=", "text": "b�\u000ac", "textBytes": "Yv8KYw==",
   "dictionary": {"DEVICE": "+pci:�", "SUBSYSTEM": "pci"}, "dictionaryBytes": [null, "K3BjaTr/", null, null], "continues": true},
  {"sequence": 0, "seconds": 0.000000000, "facility": "200", "level": "9", "caller": "T1", "text": "", "dictionary": {}}],
 "containers": [
  {"id": "1c", "podUID": "u", "namespace": "n", "pod": "p", "name": "c", "sandbox": false, "image": "i",
   "lifecycle": {"imageRef": "sha256:1", "created": "1970-01-01T00:00:01.000000000Z", "started": "1970-01-01T00:00:02.000000000Z", "finished": "1970-01-01T00:00:03.000000004Z", "exitCode": 137, "reason": "OOMKilled", "attempt": 3, "logPath": "/l",
    "labels": [{"name": "L", "length": 1, "digest": null, "value": "l"}], "annotations": [{"name": "A", "length": 2, "digest": "e", "value": null}], "ips": ["10.0.0.1"], "handler": "gvisor"},
   "bundle": "/b", "shim": "/s", "runtime": "/r", "initPID": 7, "running": true,
   "spec": {"args": ["a�"], "argsBytes": ["Yf8="], "argSecrets": [{"arg": 0, "name": "", "length": 0, "digest": null, "value": null}], "env": [{"name": "N", "length": 2, "digest": "d", "value": "v�", "valueBytes": "dv8="}, {"name": "M", "length": 0, "digest": null, "value": null}],
    "cwd": "/", "uid": 1, "gid": 2, "groups": [3], "capabilities": {"bounding": ["CAP_CHOWN"], "effective": ["CAP_KILL"], "inheritable": ["CAP_BPF"], "permitted": ["CAP_40"], "ambient": ["CAP_MKNOD"]},
    "noNewPrivileges": true, "appArmor": "x", "selinux": "y", "seccomp": "z", "terminal": true, "readOnlyRoot": true, "hostname": "h", "namespaces": [{"type": "pid", "path": "/p"}],
    "mounts": [{"destination": "/d", "type": "bind", "source": "/s", "options": ["ro"], "kind": "secret", "volume": "v"}], "devices": ["/dev/x"], "maskedPaths": ["/m"], "readOnlyPaths": ["/o"],
    "sysctls": [{"name": "k", "length": 2, "digest": null, "value": "v�", "valueBytes": "dv8="}], "annotations": [{"name": "a", "length": 2, "digest": null, "value": "v�", "valueBytes": "dv8="}], "cgroupsPath": "g", "memoryLimit": 4, "cpuShares": 5, "cpuQuota": 6, "cpuPeriod": 7, "pidsLimit": 8, "oomScoreAdj": -9},
   "actual": {"pid": 7, "cred": {"uid": 1, "euid": 0, "suid": 0, "fsuid": 0, "gid": 0, "egid": 0, "sgid": 0, "fsgid": 0}, "capabilities": {"bounding": ["CAP_CHOWN"], "effective": ["CAP_KILL"], "inheritable": ["CAP_BPF"], "permitted": ["CAP_40"], "ambient": ["CAP_MKNOD"]},
    "noNewPrivileges": true, "seccomp": "filter", "readOnlyRoot": true, "hostNamespaces": ["network"]},
   "differences": [{"what": "uid", "asked": "1", "actual": "0"}], "violations": [{"level": "baseline", "check": "hostNamespaces", "evidence": "e"}],
   "programs": [{"path": "/bin/x", "pids": [7], "mtime": "2026-11-30T08:00:00.000000005Z", "layer": "written", "replaces": true, "same": true}],
   "written": [{"path": "etc/x�", "pathBytes": "ZXRjL3j/", "kind": "replaced", "mode": 33188, "uid": 8, "size": 9, "mtime": "1970-01-01T00:00:04.000000005Z", "whole": true}, {"path": "gone", "kind": "deleted", "mode": 0, "uid": 0, "size": 0, "mtime": null, "whole": false}]},
  {"id": "2d", "podUID": null, "namespace": null, "pod": null, "name": null, "sandbox": true, "image": null, "lifecycle": null, "bundle": null, "shim": null, "runtime": null, "initPID": null, "running": false,
   "spec": null, "actual": null, "differences": [], "violations": [], "programs": [], "written": []}],
 "files": {
  "fileSystems": [{"address": "0x50", "fsType": "ext4", "device": "3:1", "name": "d", "magic": 8, "inodes": 9}],
  "nameless": [{"address": "0x40", "inode": 5, "device": "3:1", "mode": 33188, "links": 1, "uid": 2, "gid": 3, "rdev": "0:4", "size": 6, "blocks": 7,
   "atime": "2026-11-30T08:00:00.000000005Z", "mtime": "2026-11-30T08:00:00.000000005Z", "ctime": "2026-11-30T08:00:00.000000005Z", "btime": "2026-11-30T08:00:00.000000005Z", "fsType": "ext4", "path": "/x (deleted)",
   "holders": [{"pid": 7, "how": "fd", "fd": 3, "range": {"start": "0x0", "size": 0}}], "podUID": "u", "containerID": "c", "cached": [{"offset": 0, "size": 4}], "missing": [{"offset": 4, "size": 2}]}]},
 "security": [
  {"pid":7,"podUID":"u","containerID":"i","uid":1,"euid":2,"suid":3,"fsuid":4,"gid":5,"egid":6,"sgid":7,"fsgid":8,"groups":[9],"inheritable":["CAP_CHOWN"],"permitted":"all","effective":["CAP_DAC_OVERRIDE"],"bounding":["CAP_DAC_READ_SEARCH"],"ambient":["CAP_FOWNER"],"secureBits":["noroot"],"userNamespace":"0x10","address":"0x20","noNewPrivs":true,"seccomp":{"mode":"filter","filters":[{"length":2,"hash":"00ff","log":true,"notifies":true,"address":"0x30"}],"calls":{"default":"errno 1","allowed":["read"],"conditional":["clone"],"others":[{"name":"open","answer":"trap"}]}},"appArmor":{"profile":"p�","profileBytes":"cP8=","mode":"enforce"},"namespace":{"inum":4026531837,"level":1,"ownerUID":1000,"ownerGID":100,"setGroups":true,"uidMap":[{"inside":0,"outside":1000,"count":1}],"gidMap":[],"parent":"0x40","address":"0x10"},"loginUID":1000,"loginSession":3,"overrides":true,"oomScoreAdj":-999,"personality":1,"limits":[{"name":"RLIMIT_CPU","soft":1,"hard":18446744073709551615}],"scheduling":{"policy":"SCHED_FIFO","priority":-2,"nice":1,"rtPriority":1,"cpu":1,"cpus":[0,1],"memoryNodes":[0]},"keyrings":{"session":1,"process":2,"thread":3,"keys":[{"serial":1,"type":"user","description":"d","uid":0,"gid":-1,"permissions":1057030144,"expiry":"1970-01-01T00:00:01.000000000Z","flags":1,"payload":"00","payloadSize":1,"keys":[2],"address":"0x50"}]},"threads":[{"tid":8,"uid":0,"euid":0,"suid":0,"fsuid":0,"gid":0,"egid":0,"sgid":0,"fsgid":0,"groups":[],"inheritable":[],"permitted":[],"effective":[],"bounding":[],"ambient":[],"secureBits":[],"userNamespace":"0x0","address":"0x0","noNewPrivs":false,"seccomp":{"mode":"","filters":[],"calls":null},"appArmor":null,"namespace":null,"loginUID":null,"loginSession":null,"overrides":false,"oomScoreAdj":0,"personality":0,"limits":[],"scheduling":{"policy":"","priority":0,"nice":0,"rtPriority":0,"cpu":0,"cpus":[],"memoryNodes":[]},"keyrings":{"session":0,"process":0,"thread":0,"keys":[]}}]},
  {"pid":9,"podUID":null,"containerID":null,"uid":0,"euid":0,"suid":0,"fsuid":0,"gid":0,"egid":0,"sgid":0,"fsgid":0,"groups":[],"inheritable":[],"permitted":[],"effective":[],"bounding":[],"ambient":[],"secureBits":[],"userNamespace":"0x0","address":"0x0","noNewPrivs":false,"seccomp":{"mode":"","filters":[],"calls":null},"appArmor":null,"namespace":null,"loginUID":null,"loginSession":null,"overrides":false,"oomScoreAdj":0,"personality":0,"limits":[],"scheduling":{"policy":"","priority":0,"nice":0,"rtPriority":0,"cpu":0,"cpus":[],"memoryNodes":[]},"keyrings":{"session":0,"process":0,"thread":0,"keys":[]},"threads":[]}],
 "memory": [
  {"podUID":"u","containerID":"i","kind":"writable-code","level":"high","why":"w","pid":7,"tid":8,"address":"0x1000","size":4096,"flags":"rwxp","path":"/p�","pathBytes":"L3D/","data":"90","code":["0x1000: nop"]},
  {"podUID":null,"containerID":null,"kind":"","level":"","why":"","pid":0,"address":"0x0","size":0,"flags":null,"path":null,"data":null,"code":[]}],
 "maps": [
  {"pid":7,"podUID":"u","containerID":"i","mappings":[{"start":"0x1000","end":"0x3000","flags":"rw-p","offset":4096,"major":8,"minor":1,"inode":12,"path":"/p�","pathBytes":"L3D/","vmFlags":["rd","wr"],"protectionKey":3,
   "usage":{"size":1,"kernelPageSize":2,"rss":3,"pss":4,"pssDirty":5,"sharedClean":6,"sharedDirty":7,"privateClean":8,"privateDirty":9,"referenced":10,"anonymous":11,"ksm":12,"lazyFree":13,"anonHugePages":14,"shmemPmdMapped":15,"filePmdMapped":16,"sharedHugetlb":17,"privateHugetlb":18,"swap":19,"swapPss":20,"locked":21},"address":"0x40"}]},
  {"pid":0,"podUID":null,"containerID":null,"mappings":[]}],
 "gaps": [
  {"object": "list of �", "objectBytes": "bGlzdCBvZiD/", "place": "kernel", "address": "0x10", "reason": "corrupt", "error": "inconsistent structure"},
  {"object": "args", "place": "user", "address": "0x20", "pid": 7, "reason": "swapped", "error": "vmem: virtual 0x20: swapped out (level 1 entry 0x2 at physical 0x40)"},
  {"object": "image", "place": "physical", "address": "0x30", "size": 1099511627776, "offset": 9, "reason": "other", "error": "broke \"off\""},
  {"object": "pods", "place": "none", "address": null, "reason": "conflict", "error": "sources disagree"}
 ],
 "notes": ["of �"], "notesBytes": ["b2Yg/w=="]
}`
