#include "net.h"

/* Connections on their way to an end, which they do not reach: the other side
 * does not read, or netnode drops what would end them. */

static int small(void) {
	int s = socket(AF_INET, SOCK_STREAM, 0);
	set(s, SOL_SOCKET, SO_SNDBUF, 8192);
	set(s, SOL_SOCKET, SO_RCVBUF, 4096);
	return s;
}

static int serve_small(int port) {
	int s = small();
	struct place p = place(NODE4, port);
	set(s, SOL_SOCKET, SO_REUSEADDR, 1);
	need(bind(s, &p.any, p.len) == 0 && listen(s, 3) == 0, "listen");
	return s;
}

static void half_closer(void) {
	enter("lab-a");
	int s = small();
	connect_to(s, place(NODE4, 7050));
	need(write(s, "read me not", 11) == 11 && shutdown(s, SHUT_WR) == 0, "half close");
}

/* CLOSE-WAIT with data in both queues; the other side is in FIN-WAIT-2, held by
 * a process, with a full receive queue. */
static void close_wait(void) {
	child(half_closer);
	int s = accept(serve_small(7050), 0, 0);
	need(s >= 0, "accept");
	need(fill(s) > 0, "fill");
	ready("tcp-close-wait");
}

static void reads_never(void) {
	enter("lab-a");
	int s = small();
	connect_to(s, place(NODE4, 7051));
}

/* An orphan in FIN-WAIT-1: what was written before the close cannot be delivered. */
static void fin_wait_1(void) {
	child(reads_never);
	int s = accept(serve_small(7051), 0, 0);
	need(s >= 0 && fill(s) > 0, "fill");
	close(s);
	ready("tcp-fin-wait-1");
}

void await_signal(void) {
	sigset_t set;
	int got;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	need(sigwait(&set, &got) == 0, "signal");
}

void block_signal(void) {
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	need(sigprocmask(SIG_BLOCK, &set, 0) == 0, "signal");
}

static void closes_never(void) {
	enter("lab-a");
	dial(NODE4, 7052);
	dial(NODE4, 7052);
}

/* Orphans in FIN-WAIT-2: a whole socket, as netnode gives them long, and a small one
 * as TIME-WAIT has, for the last minute. */
static void fin_wait_2(void) {
	block_signal();
	child(closes_never);
	int l = serve(NODE4, 7052, 3), a = accept(l, 0, 0), b = accept(l, 0, 0);
	need(a >= 0 && b >= 0, "accept");
	set(b, IPPROTO_TCP, TCP_LINGER2, 59);
	close(a);
	ready("tcp-fin-wait-2");
	await_signal();
	close(b);
}

/* The last acknowledgement of marked sockets is dropped by netnode: LAST-ACK
 * here, which sends its FIN again, and so TIME-WAIT there begins anew each time. */
static void closes_first(void) {
	enter("lab-a");
	int s[3];
	char byte;
	for (int i = 0; i < 3; i++) s[i] = i < 2 ? dial(NODE4, 7053) : dial(NODE6, 7054);
	for (int i = 0; i < 3; i++) {
		need(read(s[i], &byte, 1) == 1, "read");
		set(s[i], SOL_SOCKET, SO_MARK, 0x71);
		close(s[i]);
	}
}

static void time_wait(void) {
	int l = serve(NODE4, 7053, 3), l6 = serve(NODE6, 7054, 3), s[3];
	char byte;
	block_signal();
	child(closes_first);
	for (int i = 0; i < 3; i++) need((s[i] = accept(i < 2 ? l : l6, 0, 0)) >= 0, "accept");
	ready("tcp-time-wait");
	await_signal();
	for (int i = 0; i < 3; i++) {
		need(write(s[i], "x", 1) == 1, "write");
		need(read(s[i], &byte, 1) == 0, "end of file");
		close(s[i]);
	}
}

const struct edge_case close_cases[] = {{"closewait", close_wait}, {"finwait1", fin_wait_1}, {"finwait2", fin_wait_2}, {"timewait", time_wait}, {0}};
