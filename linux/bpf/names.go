package bpf

import (
	"fmt"
	"slices"
)

// A ProgramType is what a program is for: enum bpf_prog_type of include/uapi/linux/bpf.h.
type ProgramType uint32

// Program types that other code asks for.
const (
	SocketFilter ProgramType = 1
	Kprobe       ProgramType = 2
	Tracepoint   ProgramType = 5
	PerfEvent    ProgramType = 7
	Tracing      ProgramType = 26
	StructOps    ProgramType = 27
	Extension    ProgramType = 28
	LSM          ProgramType = 29
)

var programTypes = []string{
	"unspec", "socket_filter", "kprobe", "sched_cls", "sched_act", "tracepoint", "xdp", "perf_event", "cgroup_skb",
	"cgroup_sock", "lwt_in", "lwt_out", "lwt_xmit", "sock_ops", "sk_skb", "cgroup_device", "sk_msg", "raw_tracepoint",
	"cgroup_sock_addr", "lwt_seg6local", "lirc_mode2", "sk_reuseport", "flow_dissector", "cgroup_sysctl",
	"raw_tracepoint_writable", "cgroup_sockopt", "tracing", "struct_ops", "ext", "lsm", "sk_lookup", "syscall", "netfilter",
}

// String returns the name as bpftool has it.
func (t ProgramType) String() string { return nameOf(programTypes, uint32(t)) }

// MarshalText returns what String does.
func (t ProgramType) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// UnmarshalText takes what MarshalText gives.
func (t *ProgramType) UnmarshalText(b []byte) error { return numberOf(programTypes, b, (*uint32)(t)) }

// A MapType is what kind of table a map is: enum bpf_map_type of include/uapi/linux/bpf.h.
type MapType uint32

// The types of maps.
const (
	Hash MapType = iota + 1
	Array
	ProgArray
	PerfEventArray
	PerCPUHash
	PerCPUArray
	StackTrace
	CgroupArray
	LRUHash
	LRUPerCPUHash
	LPMTrie
	ArrayOfMaps
	HashOfMaps
	DevMap
	SockMap
	CPUMap
	XSKMap
	SockHash
	CgroupStorage
	ReuseportSockArray
	PerCPUCgroupStorage
	Queue
	Stack
	SkStorage
	DevMapHash
	StructOpsMap
	RingBuf
	InodeStorage
	TaskStorage
	BloomFilter
	UserRingBuf
	CgrpStorage
	Arena
	InsnArray
	RHash
)

var mapTypes = []string{
	"unspec", "hash", "array", "prog_array", "perf_event_array", "percpu_hash", "percpu_array", "stack_trace",
	"cgroup_array", "lru_hash", "lru_percpu_hash", "lpm_trie", "array_of_maps", "hash_of_maps", "devmap", "sockmap",
	"cpumap", "xskmap", "sockhash", "cgroup_storage", "reuseport_sockarray", "percpu_cgroup_storage", "queue",
	"stack", "sk_storage", "devmap_hash", "struct_ops", "ringbuf", "inode_storage", "task_storage", "bloom_filter",
	"user_ringbuf", "cgrp_storage", "arena", "insn_array", "rhash",
}

// String returns the name as bpftool has it.
func (t MapType) String() string { return nameOf(mapTypes, uint32(t)) }

// MarshalText returns what String does.
func (t MapType) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// UnmarshalText takes what MarshalText gives.
func (t *MapType) UnmarshalText(b []byte) error { return numberOf(mapTypes, b, (*uint32)(t)) }

// A LinkType is how a link attaches its program: enum bpf_link_type of include/uapi/linux/bpf.h.
type LinkType uint32

// The types of links.
const (
	RawTracepointLink LinkType = iota + 1
	TracingLink
	CgroupLink
	IterLink
	NetnsLink
	XDPLink
	PerfEventLink
	KprobeMultiLink
	StructOpsLink
	NetfilterLink
	TCXLink
	UprobeMultiLink
	NetkitLink
	SockMapLink
	TracingMultiLink
)

var linkTypes = []string{
	"unspec", "raw_tracepoint", "tracing", "cgroup", "iter", "netns", "xdp", "perf_event", "kprobe_multi", "struct_ops",
	"netfilter", "tcx", "uprobe_multi", "netkit", "sockmap", "tracing_multi",
}

// String returns the name as bpftool has it.
func (t LinkType) String() string { return nameOf(linkTypes, uint32(t)) }

// MarshalText returns what String does.
func (t LinkType) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// UnmarshalText takes what MarshalText gives.
func (t *LinkType) UnmarshalText(b []byte) error { return numberOf(linkTypes, b, (*uint32)(t)) }

// An AttachType is where programs of a type can be attached: enum bpf_attach_type of
// include/uapi/linux/bpf.h.
type AttachType uint32

var attachTypes = []string{
	"cgroup_inet_ingress", "cgroup_inet_egress", "cgroup_inet_sock_create", "cgroup_sock_ops", "sk_skb_stream_parser",
	"sk_skb_stream_verdict", "cgroup_device", "sk_msg_verdict", "cgroup_inet4_bind", "cgroup_inet6_bind",
	"cgroup_inet4_connect", "cgroup_inet6_connect", "cgroup_inet4_post_bind", "cgroup_inet6_post_bind",
	"cgroup_udp4_sendmsg", "cgroup_udp6_sendmsg", "lirc_mode2", "flow_dissector", "cgroup_sysctl", "cgroup_udp4_recvmsg",
	"cgroup_udp6_recvmsg", "cgroup_getsockopt", "cgroup_setsockopt", "trace_raw_tp", "trace_fentry", "trace_fexit",
	"modify_return", "lsm_mac", "trace_iter", "cgroup_inet4_getpeername", "cgroup_inet6_getpeername",
	"cgroup_inet4_getsockname", "cgroup_inet6_getsockname", "xdp_devmap", "cgroup_inet_sock_release", "xdp_cpumap",
	"sk_lookup", "xdp", "sk_skb_verdict", "sk_reuseport_select", "sk_reuseport_select_or_migrate", "perf_event",
	"trace_kprobe_multi", "lsm_cgroup", "struct_ops", "netfilter", "tcx_ingress", "tcx_egress", "trace_uprobe_multi",
	"cgroup_unix_connect", "cgroup_unix_sendmsg", "cgroup_unix_recvmsg", "cgroup_unix_getpeername",
	"cgroup_unix_getsockname", "netkit_primary", "netkit_peer", "trace_kprobe_session", "trace_uprobe_session",
	"trace_fsession", "trace_fentry_multi", "trace_fexit_multi", "trace_fsession_multi",
}

// lsmCgroup is BPF_LSM_CGROUP.
const lsmCgroup AttachType = 43

// String returns the name as libbpf has it.
func (t AttachType) String() string { return nameOf(attachTypes, uint32(t)) }

// MarshalText returns what String does.
func (t AttachType) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// UnmarshalText takes what MarshalText gives.
func (t *AttachType) UnmarshalText(b []byte) error { return numberOf(attachTypes, b, (*uint32)(t)) }

// attachTypeOf returns the attach type of a name.
func attachTypeOf(name string) (AttachType, bool) {
	i := slices.Index(attachTypes, name)
	return AttachType(max(i, 0)), i >= 0
}

// nameOf returns the name of a number, and the number itself for one that has none.
func nameOf(names []string, n uint32) string {
	if uint64(n) < uint64(len(names)) {
		return names[n]
	}
	return fmt.Sprintf("type %d", n)
}

// numberOf is the inverse of nameOf.
func numberOf(names []string, text []byte, to *uint32) error {
	if i := slices.Index(names, string(text)); i >= 0 {
		*to = uint32(i)
		return nil
	}
	if _, err := fmt.Sscanf(string(text), "type %d", to); err != nil {
		return fmt.Errorf("bpf: unknown type %q", text)
	}
	return nil
}
