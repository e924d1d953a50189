#include "net.h"
#include <sys/ioctl.h>
#include <sys/resource.h>

/* Who holds a socket: several, nobody's table, thousands in one. */

/* A listener and a connection that a child has too; the child has one under two numbers. */
static void shared(void) {
	int s = serve("127.0.0.1", 7200, 2), c = dial("127.0.0.1", 7200);
	pid_t p = fork();
	need(p >= 0, "fork");
	if (!p) {
		need(dup2(c, 90) == 90, "dup2");
		hush();
		stay();
	}
	need(s >= 0, "listener");
	ready("held-by-two");
}

/* In flight over a unix socket, and so in no descriptor table: a listener, a
 * connection, a UDP socket, and a unix socket that has another in flight itself. */
static void in_flight(void) {
	int over[2], inner[2];
	need(socketpair(AF_UNIX, SOCK_STREAM, 0, over) == 0 && socketpair(AF_UNIX, SOCK_DGRAM, 0, inner) == 0, "pair");
	int l = serve("127.0.0.1", 7201, 2), c = dial("127.0.0.1", 7201), u = bound(SOCK_DGRAM, 0, "127.0.0.1", 7202);
	pass(inner[0], u);
	pass(over[0], l);
	pass(over[0], c);
	pass(over[0], inner[1]);
	close(l);
	close(c);
	close(u);
	close(inner[0]);
	close(inner[1]);
	ready("in-flight");
}

/* Of the sender nothing is left, nor of the name. */
static void sender_gone(void) {
	int over[2];
	need(socketpair(AF_UNIX, SOCK_STREAM, 0, over) == 0, "pair");
	pid_t p = fork();
	if (!p) {
		pass(over[0], bound(SOCK_DGRAM, 0, "127.0.0.1", 7203));
		_exit(0);
	}
	need(waitpid(p, 0, 0) == p, "sender");
	close(over[0]);
	ready("in-flight-sender-gone");
}

/* Thousands, in a namespace of their own so that no other's lists grow: as many as SOCKETS in the environment says. */
static void many(void) {
	const char *asked = getenv("SOCKETS");
	int n = asked && *asked ? atoi(asked) : 2800, part = n * 10 / 28;
	need(n >= 280 && n <= 50000, "SOCKETS");
	struct rlimit l = {n + 5392, n + 5392};
	need(setrlimit(RLIMIT_NOFILE, &l) == 0, "RLIMIT_NOFILE");
	enter("lab-many");
	for (int i = 0; i < part; i++) serve("0.0.0.0", 10000 + i, 64);
	for (int i = 0; i < part * 3 / 10; i++) serve("::1", 10000 + i, 8);
	for (int i = 0; i < part; i++) bound(SOCK_DGRAM, 0, "0.0.0.0", 10000 + i);
	/* No more to one listener than it queues. */
	for (int i = 0; i < part * 3 / 10; i++) dial("127.0.0.1", 10000 + i % (part / 100));
	for (int i = 0; i < part / 5; i++) need(socket(AF_UNIX, SOCK_DGRAM, 0) >= 0, "unix");
	ready("many");
}

/* Sockets of another namespace than the process is in. */
static void foreign(void) {
	int here = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	enter("lab-b");
	serve("0.0.0.0", 7204, 2);
	need(setns(here, CLONE_NEWNET) == 0, "back");
	close(here);
	ready("foreign-socket");
}

/* A namespace without a process or a name, there because of a socket in it. */
static void only_socket(void) {
	int here = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	need(unshare(CLONE_NEWNET) == 0, "namespace");
	bound(SOCK_DGRAM, 0, "0.0.0.0", 7205);
	need(setns(here, CLONE_NEWNET) == 0, "back");
	close(here);
	ready("namespace-by-socket");
}

/* The same, because of an open file of it. */
static void only_file(void) {
	int here = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	need(unshare(CLONE_NEWNET) == 0 && open("/proc/self/ns/net", O_RDONLY) >= 0, "namespace");
	need(setns(here, CLONE_NEWNET) == 0, "back");
	close(here);
	ready("namespace-by-file");
}

const struct edge_case holder_cases[] = {{"shared", shared}, {"flight", in_flight}, {"sender", sender_gone}, {"many", many}, {"foreign", foreign},
	{"nssocket", only_socket}, {"nsfile", only_file}, {0}};
