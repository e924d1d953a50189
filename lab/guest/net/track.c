#include "net.h"
#include <linux/fib_rules.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <linux/rtnetlink.h>

/* What connection tracking has beside its table: expectations, connections whose end nobody has been told of, and those whose
 * first packet is still on its way. All are in namespace lab-b, over its loopback device, by rules of netrules/kinds.nft. */

static void ftp_client(void) {
	enter("lab-b");
	dial("127.0.0.1", 21);
}

/* The server of FTP says where it awaits the data, so that a connection is expected. For five minutes, so it says that late. */
static void expectation(void) {
	const char passive[] = "227 Entering Passive Mode (127,0,0,1,27,88)\r\n";
	block_signal();
	enter("lab-b");
	int l = serve("127.0.0.1", 21, 3);
	child(ftp_client);
	int s = accept(l, 0, 0);
	need(s >= 0, "accept");
	ready("track-expect");
	await_signal();
	need(write(s, passive, sizeof passive - 1) > 0, "write");
}

/* A program that wants to hear of each connection's end and does not listen: the kernel keeps those that it could not tell of. */
static void dying(void) {
	enter("lab-b");
	int s = socket(AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER);
	struct sockaddr_nl a = {.nl_family = AF_NETLINK};
	if (!note(s >= 0 && bind(s, (void *)&a, sizeof a) == 0, "netlink protocol")) return ready("track-dying-none");
	set(s, SOL_SOCKET, SO_RCVBUF, 1);
	set(s, SOL_NETLINK, NETLINK_BROADCAST_ERROR, 1);
	try_set(s, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, NFNLGRP_CONNTRACK_DESTROY, "events");
	char command[200];
	for (int port = 9000; port < 9020; port++) {
		snprintf(command, sizeof command, "conntrack -I -p udp -s 192.0.2.60 -d 192.0.2.61 --sport %d --dport 53 -t 80000 -m %d 2>&1", port, port);
		note(system(command) == 0, "connection");
	}
	note(system("conntrack -D -p udp -s 192.0.2.60 -d 192.0.2.61 >/dev/null 2>&1") == 0, "end of connections");
	ready("track-dying");
}

/* configure sends one message of nfnetlink_queue with one attribute. */
static int configure(int s, int family, int queue, int type, const void *value, size_t len) {
	struct {
		struct nlmsghdr h;
		struct nfgenmsg g;
		struct nlattr a;
		char value[16];
	} m = {{sizeof m.h + sizeof m.g + sizeof m.a + NLA_ALIGN(len), NFNL_SUBSYS_QUEUE << 8 | NFQNL_MSG_CONFIG, NLM_F_REQUEST | NLM_F_ACK, 0, 0},
		{family, NFNETLINK_V0, htons(queue)}, {sizeof m.a + len, type}, {0}};
	struct {
		struct nlmsghdr h;
		struct nlmsgerr e;
		char rest[256];
	} answer;
	memcpy(m.value, value, len);
	return send(s, &m, m.h.nlmsg_len, 0) > 0 && recv(s, &answer, sizeof answer, 0) > 0 && answer.e.error == 0;
}

/* A queue whose program says nothing of the packets in it: their connections are not confirmed. */
static void unconfirmed(void) {
	enter("lab-b");
	int s = socket(AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER);
	struct sockaddr_nl a = {.nl_family = AF_NETLINK};
	struct nfqnl_msg_config_cmd bind_it = {.command = NFQNL_CFG_CMD_BIND, .pf = htons(AF_INET)};
	struct nfqnl_msg_config_params meta = {.copy_range = 0, .copy_mode = NFQNL_COPY_META};
	if (!note(s >= 0 && bind(s, (void *)&a, sizeof a) == 0 && configure(s, AF_UNSPEC, 77, NFQA_CFG_CMD, &bind_it, sizeof bind_it) &&
			configure(s, AF_UNSPEC, 77, NFQA_CFG_PARAMS, &meta, sizeof meta), "nfnetlink_queue"))
		return ready("track-unconfirmed-none");
	struct place to = place("127.0.0.1", 7777), patient = place("127.0.0.1", 7778);
	for (int i = 0; i < 2; i++) {
		int u = bound(SOCK_DGRAM, 0, "127.0.0.1", 7790 + i);
		need(sendto(u, "waits", 5, 0, &to.any, to.len) == 5 && sendto(u, "goes", 4, 0, &patient.any, patient.len) == 4, "send");
	}
	ready("track-unconfirmed");
}

const struct edge_case track_cases[] = {{"expectation", expectation}, {"dying", dying}, {"unconfirmed", unconfirmed}, {0}};

int rule(int family, uint32_t priority, char **attributes) {
	struct {
		struct nlmsghdr h;
		struct fib_rule_hdr r;
		char attributes[512];
	} m = {{NLMSG_LENGTH(sizeof m.r), RTM_NEWRULE, NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, 0, 0}, {.family = family == 6 ? AF_INET6 : AF_INET, .table = 100, .action = FR_ACT_TO_TBL}, {0}};
	struct {
		struct nlmsghdr h;
		struct nlmsgerr e;
		char rest[512];
	} answer;
	char order[16];
	snprintf(order, sizeof order, "%d=%02x%02x%02x%02x", FRA_PRIORITY, priority & 255, priority >> 8 & 255, priority >> 16 & 255, priority >> 24);
	for (char *text = order; text; text = *attributes++) {
		struct nlattr *a = (void *)((char *)&m + m.h.nlmsg_len);
		const char *hex = strchr(text, '=');
		if (!hex) return 2;
		*a = (struct nlattr){NLA_HDRLEN, atoi(text)};
		for (hex++; hex[0] && hex[1]; hex += 2) {
			char two[3] = {hex[0], hex[1]};
			((unsigned char *)a)[a->nla_len++] = strtoul(two, 0, 16);
		}
		m.h.nlmsg_len += NLA_ALIGN(a->nla_len);
	}
	int s = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
	return s >= 0 && send(s, &m, m.h.nlmsg_len, 0) > 0 && recv(s, &answer, sizeof answer, 0) > 0 && answer.e.error == 0 ? 0 : 1;
}
