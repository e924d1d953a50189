#include "net.h"
#include <linux/if_alg.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/if_xdp.h>
#include <linux/netlink.h>
#include <linux/sctp.h>
#include <linux/vm_sockets.h>

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

static int netlink(int protocol, uint32_t id, uint32_t groups) {
	struct sockaddr_nl a = {.nl_family = AF_NETLINK, .nl_pid = id, .nl_groups = groups};
	int s = socket(AF_NETLINK, SOCK_RAW, protocol);
	if (!note(s >= 0, "netlink protocol")) return -1;
	need(bind(s, (void *)&a, sizeof a) == 0, "bind");
	return s;
}

static void netlinks(void) {
	int s = netlink(NETLINK_ROUTE, 0, 0x1 /* link */ | 0x10 /* IPv4 addresses */ | 0x40 /* IPv4 routes */);
	classic(s, 4000);
	s = netlink(NETLINK_ROUTE, 0x7f000001, 0);
	try_set(s, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, 33, "group 33");
	s = netlink(NETLINK_KOBJECT_UEVENT, 0, 3);
	if (s >= 0) extended(s);
	netlink(NETLINK_GENERIC, 0, 0);
	netlink(NETLINK_NETFILTER, 0, 1);
	netlink(NETLINK_SOCK_DIAG, 0, 0);
	netlink(NETLINK_XFRM, 0, 0);
	need(socket(AF_NETLINK, SOCK_DGRAM, NETLINK_ROUTE) >= 0, "not bound");
	struct sockaddr_nl to = {.nl_family = AF_NETLINK, .nl_groups = 1};
	s = socket(AF_NETLINK, SOCK_RAW, NETLINK_USERSOCK);
	note(s >= 0 && connect(s, (void *)&to, sizeof to) == 0, "connect to a group");
	ready("netlink");
}

static int packet(int type, int protocol, const char *device) {
	struct sockaddr_ll a = {.sll_family = AF_PACKET, .sll_protocol = htons(protocol), .sll_ifindex = device ? if_nametoindex(device) : 0};
	int s = socket(AF_PACKET, type, 0);
	need(s >= 0 && bind(s, (void *)&a, sizeof a) == 0, "packet socket");
	return s;
}

/* The filters keep all frames out of the queues, which would grow else. */
static void packets(void) {
	classic(packet(SOCK_RAW, ETH_P_ALL, WIRE), 0);
	int s = packet(SOCK_DGRAM, ETH_P_IP, 0);
	classic(s, 1);
	struct packet_mreq m = {.mr_ifindex = if_nametoindex(WIRE), .mr_type = PACKET_MR_PROMISC};
	need(setsockopt(s, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &m, sizeof m) == 0, "promiscuous");
	for (int i = 0; i < 2; i++) {
		s = packet(SOCK_RAW, ETH_P_ARP, WIRE);
		classic(s, 2);
		try_set(s, SOL_PACKET, PACKET_FANOUT, 77 | PACKET_FANOUT_HASH << 16, "fanout");
	}
	s = socket(AF_PACKET, SOCK_RAW, 0);
	set(s, SOL_PACKET, PACKET_VERSION, TPACKET_V2);
	struct tpacket_req q = {.tp_block_size = 4096, .tp_block_nr = 4, .tp_frame_size = 2048, .tp_frame_nr = 8};
	need(setsockopt(s, SOL_PACKET, PACKET_RX_RING, &q, sizeof q) == 0, "ring");
	s = socket(AF_PACKET, SOCK_RAW, 0);
	extended(s);
	ready("packet");
}

static struct sockaddr_vm vm(unsigned cid, unsigned port) {
	return (struct sockaddr_vm){.svm_family = AF_VSOCK, .svm_cid = cid, .svm_port = port};
}

static void vsock(void) {
	struct sockaddr_vm any = vm(VMADDR_CID_ANY, 1234), local = vm(1 /* VMADDR_CID_LOCAL */, 1234), free = vm(VMADDR_CID_ANY, 5555);
	int l = socket(AF_VSOCK, SOCK_STREAM, 0);
	if (!note(l >= 0, "vsock")) return ready("vsock-none");
	need(bind(l, (void *)&any, sizeof any) == 0 && listen(l, 4) == 0, "listen");
	int c = socket(AF_VSOCK, SOCK_STREAM, 0);
	note(connect(c, (void *)&local, sizeof local) == 0 && accept(l, 0, 0) >= 0 && write(c, "unread", 6) == 6, "vsock loopback");
	int b = socket(AF_VSOCK, SOCK_STREAM, 0);
	need(bind(b, (void *)&free, sizeof free) == 0, "bind");
	note(socket(AF_VSOCK, SOCK_SEQPACKET, 0) >= 0, "vsock seqpacket");
	ready("vsock");
}

/* In namespace lab-a, on its end of the wire, with memory and rings. */
static void xdp(void) {
	enum { SIZE = 16 * 4096, RING = 16 };
	int s = socket(AF_XDP, SOCK_RAW, 0);
	if (!note(s >= 0, "AF_XDP")) return ready("xdp-none");
	enter("lab-a");
	int bind_here = socket(AF_XDP, SOCK_RAW, 0), ring = RING;
	struct xdp_umem_reg u = {.len = SIZE, .chunk_size = 4096};
	u.addr = (uintptr_t)mmap(0, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct sockaddr_xdp a = {.sxdp_family = AF_XDP, .sxdp_flags = XDP_COPY, .sxdp_ifindex = if_nametoindex("laba0")};
	need(setsockopt(bind_here, SOL_XDP, XDP_UMEM_REG, &u, sizeof u) == 0, "memory");
	const int rings[] = {XDP_UMEM_FILL_RING, XDP_UMEM_COMPLETION_RING, XDP_RX_RING, XDP_TX_RING};
	for (int i = 0; i < 4; i++) set(bind_here, SOL_XDP, rings[i], ring);
	note(bind(bind_here, (void *)&a, sizeof a) == 0, "bind AF_XDP");
	ready("xdp");
}

static void crypto(void) {
	struct sockaddr_alg a = {.salg_family = AF_ALG, .salg_type = "hash", .salg_name = "sha256"};
	int s = socket(AF_ALG, SOCK_SEQPACKET, 0);
	if (note(s >= 0, "AF_ALG")) note(bind(s, (void *)&a, sizeof a) == 0 && accept(s, 0, 0) >= 0, "sha256");
	note(socket(AF_KEY, SOCK_RAW, 2 /* PF_KEY_V2 */) >= 0, "AF_KEY");
	note(socket(AF_TIPC, SOCK_STREAM, 0) >= 0, "AF_TIPC");
	note(socket(AF_SMC, SOCK_STREAM, 0) >= 0, "AF_SMC");
	note(socket(AF_PPPOX, SOCK_STREAM, 0) >= 0, "AF_PPPOX");
	note(socket(AF_KCM, SOCK_DGRAM, 0) >= 0, "AF_KCM");
	note(socket(AF_CAN, SOCK_RAW, 1) >= 0, "AF_CAN");
	note(socket(AF_PHONET, SOCK_DGRAM, 0) >= 0, "AF_PHONET");
	ready("other-families");
}

/* link_to attaches a program that returns the value by a link, which the descriptor holds. The numbers are those of linux/bpf.h,
 * of which an old header has not all. A family is that of a netfilter program. */
static void link_to(const char *name, int type, int attach, int value, int target, int family) {
	uint32_t create[16] = {bpf_load(type, attach, value, name), target, attach};
	if (family) create[4] = family, create[5] = 0 /* prerouting */, create[6] = 5 /* priority */;
	if (note((int)create[0] >= 0, name)) note(syscall(SYS_bpf, BPF_LINK_CREATE, create, sizeof create) >= 0, name);
}

/* Programs attached by links, to a device, to a cgroup, to a namespace and to its hooks. */
static void links(void) {
	int wire = if_nametoindex(WIRE);
	link_to("lab_tcx_in", BPF_PROG_TYPE_SCHED_CLS, 46 /* BPF_TCX_INGRESS */, -1, wire, 0);
	link_to("lab_tcx_out", BPF_PROG_TYPE_SCHED_CLS, 47, -1, wire, 0);
	link_to("lab_nk", BPF_PROG_TYPE_SCHED_CLS, 54 /* BPF_NETKIT_PRIMARY */, -1, if_nametoindex("labnk0"), 0);
	link_to("lab_nk_peer", BPF_PROG_TYPE_SCHED_CLS, 55, -1, if_nametoindex("labnk0"), 0);
	link_to("lab_nf", 32 /* BPF_PROG_TYPE_NETFILTER */, 45, 1 /* NF_ACCEPT */, 0, PF_INET);
	link_to("lab_cgroup", BPF_PROG_TYPE_CGROUP_SKB, BPF_CGROUP_INET_EGRESS, 1, open("/sys/fs/cgroup/system.slice", O_RDONLY), 0);
	link_to("lab_lookup", BPF_PROG_TYPE_SK_LOOKUP, BPF_SK_LOOKUP, 1, open("/proc/self/ns/net", O_RDONLY), 0);
	link_to("lab_xdp_link", BPF_PROG_TYPE_XDP, BPF_XDP, 2 /* XDP_PASS */, if_nametoindex("cbr0"), 0);
	ready("bpf-links");
}

/* A listener of that protocol and two connections from lab-a, of which one is accepted. */
static uint16_t dial_port;
static int dial_protocol;

static void dial_other(void) {
	enter("lab-a");
	for (int i = 0; i < 2; i++) {
		int s = socket(AF_INET, SOCK_STREAM, dial_protocol);
		connect_to(s, place(NODE4, dial_port));
		note(write(s, "unread", 6) == 6, "write");
	}
}

static int meet_other(int protocol, int port) {
	int s = socket(AF_INET, SOCK_STREAM, protocol);
	if (!note(s >= 0, "protocol")) return -1;
	close(s);
	s = bound(SOCK_STREAM, protocol, NODE4, port);
	need(listen(s, 6) == 0, "listen");
	dial_protocol = protocol;
	dial_port = port;
	child(dial_other);
	need(accept(s, 0, 0) >= 0, "accept");
	return s;
}

static void mptcp(void) {
	if (meet_other(IPPROTO_MPTCP, 7300) < 0) return ready("mptcp-none");
	int s = bound(SOCK_STREAM, IPPROTO_MPTCP, "::", 7301);
	need(listen(s, 9) == 0 && socket(AF_INET, SOCK_STREAM, IPPROTO_MPTCP) >= 0, "MPTCP");
	ready("mptcp");
}

/* An association of all addresses of both ends. */
static void dial_many(void) {
	enter("lab-a");
	int s = socket(AF_INET6, SOCK_STREAM, IPPROTO_SCTP);
	connect_to(s, place(NODE6, 7311));
	need(write(s, "unread", 6) == 6, "write");
}

static void sctp(void) {
	if (meet_other(IPPROTO_SCTP, 7310) < 0) return ready("sctp-none");
	int s = bound(SOCK_SEQPACKET, IPPROTO_SCTP, "::", 7311);
	need(listen(s, 3) == 0, "one to many");
	child(dial_many);
	char data[8];
	need(recv(s, data, sizeof data, MSG_PEEK) > 0, "association");
	ready("sctp");
}

const struct edge_case family_cases[] = {
	{"netlink", netlinks}, {"packet", packets}, {"vsock", vsock}, {"xdp", xdp}, {"other", crypto}, {"mptcp", mptcp}, {"sctp", sctp}, {"links", links}, {0},
};
