#include "net.h"

/* meet listens, has dialler connect to it from namespace lab-a, and accepts. */
static int meet(const char *address, int port, void (*dialler)(void), int *listener) {
	*listener = serve(address, port, 4);
	child(dialler);
	int s = accept(*listener, 0, 0);
	need(s >= 0, "accept");
	return s;
}

static void congestion(int s, const char *name) {
	note(setsockopt(s, IPPROTO_TCP, TCP_CONGESTION, name, strlen(name)) == 0, name);
}

static void dial_options(void) {
	enter("lab-a");
	int s = dial(NODE4, 7000);
	congestion(s, "bbr");
	set(s, IPPROTO_TCP, TCP_NODELAY, 1);
	need(write(s, "from the peer", 13) == 13, "write");
}

/* Established, with every option that ss shows, and 13 bytes unread. */
static void established(void) {
	int l, s = meet(NODE4, 7000, dial_options, &l);
	congestion(l, "cubic");
	congestion(s, "reno");
	set(s, SOL_SOCKET, SO_KEEPALIVE, 1);
	set(s, IPPROTO_TCP, TCP_KEEPIDLE, 3000);
	set(s, SOL_SOCKET, SO_MARK, 0x2a);
	set(s, SOL_SOCKET, SO_PRIORITY, 5);
	set(s, IPPROTO_IP, IP_TOS, 0x10);
	set(s, IPPROTO_TCP, TCP_USER_TIMEOUT, 30000000);
	set(s, SOL_SOCKET, SO_SNDBUF, 32768);
	set(s, SOL_SOCKET, SO_RCVBUF, 65536);
	need(setsockopt(s, SOL_SOCKET, SO_BINDTODEVICE, WIRE, sizeof WIRE) == 0, "device");
	classic(s, 100000);
	ready("tcp-established");
}

static void dial6(void) {
	enter("lab-a");
	dial(NODE6, 7001);
}

static void established6(void) {
	int l, s = meet(NODE6, 7001, dial6, &l);
	set(s, IPPROTO_IPV6, IPV6_TCLASS, 0x28);
	ready("tcp6-established");
}

static void dial_mapped(void) {
	enter("lab-a");
	dial(NODE4, 7002);
	dial(NODE6, 7002);
}

/* One listener for both families, and a connection of each. */
static void dual_stack(void) {
	int l, s = meet("::", 7002, dial_mapped, &l);
	need(s >= 0 && accept(l, 0, 0) >= 0, "accept");
	struct place p = place("::", 7003);
	int only6 = socket(AF_INET6, SOCK_STREAM, 0);
	set(only6, IPPROTO_IPV6, IPV6_V6ONLY, 1);
	need(bind(only6, &p.any, p.len) == 0 && listen(only6, 7) == 0, "IPv6 only");
	serve("0.0.0.0", 7003, 8);
	ready("tcp-dual-stack");
}

/* Over the loopback device, both ends in one process. */
static void loopback(void) {
	serve("127.0.0.1", 7004, 1);
	dial("127.0.0.1", 7004);
	serve("::1", 7004, 1);
	dial("::1", 7004);
	ready("tcp-loopback");
}

static void dial_twice(void) {
	enter("lab-a");
	int s = dial(NODE4, 7005);
	need(write(s, "early", 5) == 5, "write");
	dial(NODE4, 7005);
}

/* Connections that nobody has accepted: established, and of no process on this side. */
static void not_accepted(void) {
	serve(NODE4, 7005, 3);
	child(dial_twice);
	ready("tcp-not-accepted");
}

static void dial_silent(void) {
	enter("lab-a");
	int s = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	struct place p = place(NODE4, 7020);
	connect(s, &p.any, p.len);
}

/* Half open: netnode drops what answers from port 7020, so this side stays in
 * SYN-RECV and the other in SYN-SENT. */
static void half_open(void) {
	serve(NODE4, 7020, 5);
	child(dial_silent);
	ready("tcp-syn-recv");
}

/* To an address of which netnode says where it is, though nobody is there. */
static void syn_sent(void) {
	int s = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	struct place p = place("10.99.1.77", 443);
	connect(s, &p.any, p.len);
	ready("tcp-syn-sent");
}

/* Listeners with each kind of filter, options of listeners, and bound sockets that do not listen. */
static void listeners(void) {
	classic(serve("0.0.0.0", 7030, 10), 1000);
	extended(serve("0.0.0.0", 7031, 11));
	int s = serve("0.0.0.0", 7032, 4096);
	try_set(s, IPPROTO_TCP, TCP_DEFER_ACCEPT, 10, "deferred accept");
	try_set(s, IPPROTO_TCP, TCP_FASTOPEN, 16, "fast open");
	s = bound(SOCK_STREAM, 0, "0.0.0.0", 7033);
	need(setsockopt(s, SOL_SOCKET, SO_BINDTODEVICE, WIRE, sizeof WIRE) == 0 && listen(s, 2) == 0, "device");
	bound(SOCK_STREAM, 0, "0.0.0.0", 7034);
	bound(SOCK_STREAM, 0, "::1", 7035);
	need(socket(AF_INET, SOCK_STREAM, 0) >= 0 && socket(AF_INET6, SOCK_STREAM, 0) >= 0, "unbound");
	ready("tcp-listeners");
}

/* Several listeners of one port, chosen by a program. */
static void reuseport(void) {
	struct sock_filter code[] = {BPF_STMT(BPF_RET | BPF_K, 1)};
	struct sock_fprog f = {1, code};
	struct place p = place("0.0.0.0", 7040);
	for (int i = 0; i < 3; i++) {
		int s = socket(AF_INET, SOCK_STREAM, 0);
		set(s, SOL_SOCKET, SO_REUSEPORT, 1);
		need(bind(s, &p.any, p.len) == 0 && listen(s, 20 + i) == 0, "reuse port");
		if (i == 0) note(setsockopt(s, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &f, sizeof f) == 0, "reuse port program");
	}
	ready("tcp-reuseport");
}

static void dial_node_port(void) {
	enter("lab-a");
	dial(NODE4, 30080);
}

/* From outside to a pod, through the node's port of a Service; and a place outside for pods to connect to, which netnode masquerades. */
static void outside(void) {
	pid_t p = fork();
	need(p >= 0, "fork");
	if (!p) {
		hush();
		enter("lab-a");
		int l = serve("0.0.0.0", 7400, 5);
		need(accept(l, 0, 0) >= 0, "accept");
		stay();
	}
	child(dial_node_port);
	ready("outside");
}

static void dial_tls(void) {
	enter("lab-a");
	int s = dial(NODE4, 7006);
	note(setsockopt(s, IPPROTO_TCP, TCP_ULP, "tls", 3) == 0, "tls");
}

static void upper_protocol(void) {
	int l, s = meet(NODE4, 7006, dial_tls, &l);
	need(s >= 0, "accept");
	ready("tcp-tls");
}

const struct edge_case tcp_cases[] = {
	{"estab", established}, {"estab6", established6}, {"dual", dual_stack}, {"loopback", loopback}, {"queue", not_accepted}, {"synrecv", half_open},
	{"synsent", syn_sent}, {"listen", listeners}, {"reuseport", reuseport}, {"outside", outside}, {"tls", upper_protocol}, {0},
};
