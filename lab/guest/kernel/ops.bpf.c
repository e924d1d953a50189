/* A congestion control made of BPF programs: struct_ops. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "GPL";

struct sock;

struct tcp_congestion_ops {
	__u32 (*ssthresh)(struct sock *sk);
	void (*cong_avoid)(struct sock *sk, __u32 ack, __u32 acked);
	__u32 (*undo_cwnd)(struct sock *sk);
	char name[16];
} __attribute__((preserve_access_index));

SEC("struct_ops/lab_ssthresh")
__u32 lab_ssthresh(__u64 *ctx) { return 10; }

SEC("struct_ops/lab_cong_avoid")
int lab_cong_avoid(__u64 *ctx) { return 0; }

SEC("struct_ops/lab_undo_cwnd")
__u32 lab_undo_cwnd(__u64 *ctx) { return 10; }

SEC(".struct_ops")
struct tcp_congestion_ops lab_congestion = {
	.ssthresh = (void *)lab_ssthresh,
	.cong_avoid = (void *)lab_cong_avoid,
	.undo_cwnd = (void *)lab_undo_cwnd,
	.name = "lab_bpf",
};
