#include "net.h"
#include <netinet/icmp6.h>
#include <netinet/udp.h>

#ifndef IPPROTO_UDPLITE
#define IPPROTO_UDPLITE 136
#endif

static void connected(int protocol, const char *from, int port, const char *to) {
	int s = bound(SOCK_DGRAM, protocol, from, port);
	struct place p = place(to, port);
	need(connect(s, &p.any, p.len) == 0, to);
}

static void udp(void) {
	struct place p = place(NODE4, 7101);
	int s = bound(SOCK_DGRAM, 0, "0.0.0.0", 7100);
	set(s, SOL_SOCKET, SO_MARK, 0x55);
	classic(s, 2000);
	extended(bound(SOCK_DGRAM, 0, "::", 7102));
	connected(0, NODE4, 7103, PEER4);
	connected(0, NODE6, 7104, PEER6);
	connected(0, "::ffff:" NODE4, 7108, "::ffff:" PEER4);
	int full = bound(SOCK_DGRAM, 0, NODE4, 7101);
	for (int i = 0; i < 3; i++) need(sendto(s, "unread datagram", 15, 0, &p.any, p.len) == 15, "send");
	need(full >= 0, "receiver");
	int corked = bound(SOCK_DGRAM, 0, NODE4, 7105);
	need(connect(corked, &p.any, p.len) == 0, "connect");
	set(corked, IPPROTO_UDP, UDP_CORK, 1);
	need(send(corked, "held back", 9, 0) == 9, "cork");
	int device = bound(SOCK_DGRAM, 0, "0.0.0.0", 7106);
	need(setsockopt(device, SOL_SOCKET, SO_BINDTODEVICE, WIRE, sizeof WIRE) == 0, "device");
	struct place q = place("0.0.0.0", 7107);
	for (int i = 0; i < 3; i++) {
		int r = socket(AF_INET, SOCK_DGRAM, 0);
		set(r, SOL_SOCKET, SO_REUSEPORT, 1);
		need(bind(r, &q.any, q.len) == 0, "reuse port");
	}
	need(socket(AF_INET, SOCK_DGRAM, 0) >= 0 && socket(AF_INET6, SOCK_DGRAM, 0) >= 0, "unbound");
	ready("udp");
}

static void multicast(void) {
	int s = bound(SOCK_DGRAM, 0, "0.0.0.0", 5353);
	struct ip_mreqn m = {.imr_ifindex = if_nametoindex(WIRE)};
	need(inet_pton(AF_INET, "224.0.0.251", &m.imr_multiaddr) == 1, "address");
	need(setsockopt(s, IPPROTO_IP, IP_ADD_MEMBERSHIP, &m, sizeof m) == 0, "membership");
	int s6 = bound(SOCK_DGRAM, 0, "::", 5354);
	struct ipv6_mreq m6 = {.ipv6mr_interface = m.imr_ifindex};
	need(inet_pton(AF_INET6, "ff02::fb", &m6.ipv6mr_multiaddr) == 1, "address");
	need(setsockopt(s6, IPPROTO_IPV6, IPV6_ADD_MEMBERSHIP, &m6, sizeof m6) == 0, "membership");
	ready("udp-multicast");
}

static void udplite(void) {
	if (!note(socket(AF_INET, SOCK_DGRAM, IPPROTO_UDPLITE) >= 0, "UDP-Lite")) {
		ready("udplite-none");
		return;
	}
	bound(SOCK_DGRAM, IPPROTO_UDPLITE, "0.0.0.0", 7110);
	bound(SOCK_DGRAM, IPPROTO_UDPLITE, "::", 7111);
	connected(IPPROTO_UDPLITE, NODE4, 7112, PEER4);
	ready("udplite");
}

static void raw(void) {
	struct place p = place(PEER4, 0);
	int s = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);
	classic(s, 500);
	int o = socket(AF_INET, SOCK_RAW, 89);
	need(setsockopt(o, SOL_SOCKET, SO_BINDTODEVICE, WIRE, sizeof WIRE) == 0, "device");
	int c = bound(SOCK_RAW, 132, NODE4, 0);
	need(connect(c, &p.any, p.len) == 0, "connect");
	need(socket(AF_INET, SOCK_RAW, IPPROTO_RAW) >= 0, "IPPROTO_RAW");
	int s6 = socket(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6);
	struct icmp6_filter f;
	ICMP6_FILTER_SETBLOCKALL(&f);
	need(setsockopt(s6, IPPROTO_ICMPV6, ICMP6_FILTER, &f, sizeof f) == 0, "ICMPv6 filter");
	ready("raw");
}

/* Sockets of ping, which need no privilege. */
static void ping(void) {
	struct place p = place(PEER4, 0);
	int s = socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP);
	if (!note(s >= 0, "ping socket")) return ready("ping-none");
	unsigned char echo[8] = {8};
	need(sendto(s, echo, sizeof echo, 0, &p.any, p.len) == sizeof echo, "echo");
	bound(SOCK_DGRAM, IPPROTO_ICMPV6, "::", 77);
	int c = bound(SOCK_DGRAM, IPPROTO_ICMP, NODE4, 78);
	need(connect(c, &p.any, p.len) == 0, "connect");
	ready("ping");
}

const struct edge_case datagram_cases[] = {{"udp", udp}, {"mcast", multicast}, {"udplite", udplite}, {"raw", raw}, {"ping", ping}, {0}};
