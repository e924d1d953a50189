/* Programs and maps of as many kinds as libbpf loads by name. What a kernel does not take is left out by the loader. */
#include <linux/bpf.h>
#include <linux/ptrace.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "GPL";

/* Maps. The loader fills those whose elements user space may write. */
#define MAP(kind, type_, key_, value_, entries) \
	struct { \
		__uint(type, BPF_MAP_TYPE_##type_); \
		__type(key, key_); \
		__type(value, value_); \
		__uint(max_entries, entries); \
	} lab_##kind SEC(".maps")
#define PLAIN(kind, type_, key_bytes, value_bytes, entries) \
	struct { \
		__uint(type, BPF_MAP_TYPE_##type_); \
		__uint(key_size, key_bytes); \
		__uint(value_size, value_bytes); \
		__uint(max_entries, entries); \
	} lab_##kind SEC(".maps")

struct pair {
	__u64 count;
	char name[16];
};

MAP(array, ARRAY, __u32, struct pair, 5);
MAP(hash, HASH, __u64, struct pair, 100);
MAP(pcpu_array, PERCPU_ARRAY, __u32, __u64, 3);
MAP(pcpu_hash, PERCPU_HASH, __u32, struct pair, 50);
MAP(lru_hash, LRU_HASH, __u32, __u32, 64);
MAP(lru_pcpu, LRU_PERCPU_HASH, __u32, __u64, 64);
PLAIN(prog_array, PROG_ARRAY, 4, 4, 4);
PLAIN(events, PERF_EVENT_ARRAY, 4, 4, 2);
PLAIN(cgroups, CGROUP_ARRAY, 4, 4, 3);
PLAIN(stacks, STACK_TRACE, 4, 80, 32);
PLAIN(queue, QUEUE, 0, 12, 8);
PLAIN(stack, STACK, 0, 8, 8);
PLAIN(ring, RINGBUF, 0, 0, 4096);
MAP(devmap, DEVMAP, __u32, __u32, 4);
MAP(devmap_hash, DEVMAP_HASH, __u32, __u32, 4);
MAP(sockhash, SOCKHASH, __u64, __u64, 4);
MAP(sockmap, SOCKMAP, __u32, __u64, 4);
MAP(reuse, REUSEPORT_SOCKARRAY, __u32, __u64, 4);

struct prefix {
	__u32 bits;
	__u8 address[4];
};

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__type(key, struct prefix);
	__type(value, __u32);
	__uint(max_entries, 16);
	__uint(map_flags, BPF_F_NO_PREALLOC);
} lab_trie SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, __u32);
	__type(value, __u32);
	__uint(max_entries, 32);
	__uint(map_flags, BPF_F_NO_PREALLOC);
} lab_hash_lazy SEC(".maps");

struct inner {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, __u32);
	__uint(max_entries, 2);
} lab_inner SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__type(key, __u32);
	__uint(max_entries, 3);
	__array(values, struct inner);
} lab_maps SEC(".maps") = {.values = {[1] = &lab_inner}};

struct {
	__uint(type, BPF_MAP_TYPE_HASH_OF_MAPS);
	__type(key, __u32);
	__uint(max_entries, 3);
	__array(values, struct inner);
} lab_maps_hash SEC(".maps") = {.values = {[7] = &lab_inner}};

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__type(key, int);
	__type(value, __u64);
	__uint(map_flags, BPF_F_NO_PREALLOC);
} lab_sk_storage SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__type(key, int);
	__type(value, __u64);
	__uint(map_flags, BPF_F_NO_PREALLOC);
} lab_task_storage SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_INODE_STORAGE);
	__type(key, int);
	__type(value, __u64);
	__uint(map_flags, BPF_F_NO_PREALLOC);
} lab_inode_storage SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_BLOOM_FILTER);
	__type(value, __u32);
	__uint(max_entries, 100);
	__uint(map_extra, 3);
} lab_bloom SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_CGROUP_STORAGE);
	__type(key, struct bpf_cgroup_storage_key);
	__type(value, __u64);
} lab_cgroup_storage SEC(".maps");

/* Global data: .data, .rodata and .bss are maps too. */
__u64 lab_counter;
int lab_limit = 42;
const volatile char lab_text[] = "constant of the case";

static __attribute__((noinline)) int count(__u64 by) {
	__sync_fetch_and_add(&lab_counter, by);
	return lab_limit > 0 && lab_text[0] == 'c';
}

/* Tracing. The functions are seldom called. */
SEC("tp/oom/mark_victim")
int lab_tp(void *ctx) {
	__u32 key = 1;
	struct pair *p = bpf_map_lookup_elem(&lab_array, &key);
	if (p) p->count++;
	return !count(1);
}

SEC("raw_tp/mark_victim")
int lab_raw_tp(void *ctx) { return !count(bpf_get_current_pid_tgid()); }

SEC("tp_btf/mark_victim")
int lab_tp_btf(__u64 *ctx) { count(1); return 0; }

SEC("kprobe/__x64_sys_getpriority")
int lab_kprobe(struct pt_regs *ctx) { return !count(PT_REGS_PARM1(ctx) & 1); }

SEC("kretprobe/__x64_sys_setpriority")
int lab_kretprobe(struct pt_regs *ctx) { return !count(1); }

SEC("kprobe.multi/__x64_sys_sched_get*")
int lab_kmulti(struct pt_regs *ctx) { return !count(1); }

SEC("fentry/__x64_sys_sysinfo")
int lab_fentry(__u64 *ctx) { count(1); return 0; }

SEC("fexit/__x64_sys_sysinfo")
int lab_fexit(__u64 *ctx) { count(1); return 0; }

SEC("fmod_ret/security_task_getioprio")
int lab_fmod_ret(__u64 *ctx) { count(1); return 0; }

SEC("lsm/settime")
int lab_lsm(__u64 *ctx) { count(1); return 0; }

SEC("uprobe")
int lab_uprobe(struct pt_regs *ctx) { return !count(1); }

SEC("perf_event")
int lab_perf(void *ctx) { return !count(1); }

SEC("iter/bpf_map")
int lab_iter(__u64 *ctx) { count(1); return 0; }

SEC("syscall")
int lab_syscall(void *ctx) { return count(1); }

/* Network and cgroups. */
SEC("xdp")
int lab_xdp(struct xdp_md *ctx) { return XDP_PASS; }

SEC("tc")
int lab_tc(struct __sk_buff *ctx) { count(ctx->len); return 0; }

SEC("socket")
int lab_socket(struct __sk_buff *ctx) { return ctx->len; }

SEC("sk_reuseport")
int lab_reuseport(struct sk_reuseport_md *ctx) { return SK_PASS; }

SEC("sk_lookup")
int lab_sk_lookup(struct bpf_sk_lookup *ctx) { return SK_PASS; }

SEC("sk_skb/stream_verdict")
int lab_verdict(struct __sk_buff *ctx) { return SK_PASS; }

SEC("sk_msg")
int lab_msg(struct sk_msg_md *ctx) { return SK_PASS; }

SEC("flow_dissector")
int lab_dissector(struct __sk_buff *ctx) { return BPF_OK; }

SEC("cgroup_skb/ingress")
int lab_ingress(struct __sk_buff *ctx) {
	__u64 *kept = bpf_get_local_storage(&lab_cgroup_storage, 0);
	__sync_fetch_and_add(kept, 1);
	return 1;
}

SEC("cgroup_skb/egress")
int lab_egress(struct __sk_buff *ctx) { return 1; }

SEC("cgroup/sock_create")
int lab_sock(struct bpf_sock *ctx) { return 1; }

SEC("cgroup/connect4")
int lab_connect(struct bpf_sock_addr *ctx) { return 1; }

SEC("cgroup/dev")
int lab_device(struct bpf_cgroup_dev_ctx *ctx) { return 1; }

SEC("cgroup/sysctl")
int lab_sysctl(struct bpf_sysctl *ctx) { return 1; }

SEC("cgroup/getsockopt")
int lab_getsockopt(struct bpf_sockopt *ctx) { return 1; }

SEC("sockops")
int lab_sockops(struct bpf_sock_ops *ctx) { return 1; }

/* Called by tail only. */
SEC("raw_tp")
int lab_tail(void *ctx) {
	bpf_tail_call(ctx, &lab_prog_array, 2);
	return 0;
}

SEC("raw_tp")
int lab_printk(void *ctx) {
	bpf_printk("never %d", 1);
	return 0;
}
