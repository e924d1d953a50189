#include "net.h"

static int unix_socket(int type, const char *name, size_t len) {
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	memcpy(a.sun_path, name, len);
	int s = socket(AF_UNIX, type, 0);
	need(bind(s, (void *)&a, offsetof(struct sockaddr_un, sun_path) + len) == 0, "bind");
	return s;
}

static int unix_dial(int type, const char *name, size_t len) {
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	memcpy(a.sun_path, name, len);
	int s = socket(AF_UNIX, type, 0);
	need(connect(s, (void *)&a, offsetof(struct sockaddr_un, sun_path) + len) == 0, "connect");
	return s;
}

#define AT(path) path, sizeof path      /* with its NUL */
#define BYTES(name) name, sizeof name - 1 /* an abstract name: no NUL after it */

/* One that was accepted, one that waits; path still there, deleted, relative. */
static void stream(void) {
	unlink(DIR "/stream.sock");
	unlink(DIR "/deleted.sock");
	int l = unix_socket(SOCK_STREAM, AT(DIR "/stream.sock"));
	need(listen(l, 5) == 0, "listen");
	int a = unix_dial(SOCK_STREAM, AT(DIR "/stream.sock")), s = accept(l, 0, 0);
	need(s >= 0 && write(a, "unread", 6) == 6, "accept");
	unix_dial(SOCK_STREAM, AT(DIR "/stream.sock"));
	need(listen(unix_socket(SOCK_STREAM, AT(DIR "/deleted.sock")), 6) == 0, "listen");
	unlink(DIR "/deleted.sock");
	need(chdir(DIR) == 0, "chdir");
	unlink("relative\n.sock");
	unix_socket(SOCK_STREAM, AT("relative\n.sock"));
	need(chdir("/") == 0, "chdir");
	ready("unix-stream");
}

/* Abstract names of any bytes, and one that the kernel chose. */
static void abstract(void) {
	unix_socket(SOCK_STREAM, BYTES("\0net\0with NUL\0"));
	unix_socket(SOCK_STREAM, BYTES("\0two\nlines\t\x01"));
	unix_socket(SOCK_DGRAM, BYTES("\0\xff\xfe\x80 no text"));
	char all[sizeof((struct sockaddr_un *)0)->sun_path] = {0};
	memset(all + 1, 'a', sizeof all - 1);
	unix_socket(SOCK_DGRAM, all, sizeof all);
	need(listen(unix_socket(SOCK_SEQPACKET, BYTES("\0")), 3) == 0, "one NUL");
	sa_family_t family = AF_UNIX;
	need(bind(socket(AF_UNIX, SOCK_DGRAM, 0), (void *)&family, sizeof family) == 0, "autobind");
	int s = unix_dial(SOCK_SEQPACKET, BYTES("\0"));
	need(s >= 0, "connect");
	ready("unix-abstract");
}

static void pairs(void) {
	const int types[] = {SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET};
	int p[2];
	for (int i = 0; i < 3; i++) need(socketpair(AF_UNIX, types[i], 0, p) == 0 && write(p[0], "xyz", 3) == 3, "pair");
	need(socketpair(AF_UNIX, SOCK_STREAM, 0, p) == 0 && shutdown(p[0], SHUT_WR) == 0, "half closed");
	need(socketpair(AF_UNIX, SOCK_STREAM, 0, p) == 0 && close(p[1]) == 0, "peer gone");
	need(socketpair(AF_UNIX, SOCK_STREAM, 0, p) == 0, "pair");
	classic(p[0], 100000);
	need(socket(AF_UNIX, SOCK_STREAM, 0) >= 0, "neither bound nor connected");
	ready("unix-pairs");
}

/* Datagrams: a receiver with many senders, one of them bound. */
static void datagrams(void) {
	unlink(DIR "/dgram.sock");
	int r = unix_socket(SOCK_DGRAM, AT(DIR "/dgram.sock"));
	for (int i = 0; i < 3; i++) need(write(unix_dial(SOCK_DGRAM, AT(DIR "/dgram.sock")), "datagram", 8) == 8, "write");
	need(r >= 0, "receiver");
	int s = unix_socket(SOCK_DGRAM, BYTES("\0net-sender"));
	struct sockaddr_un a = {.sun_family = AF_UNIX, .sun_path = DIR "/dgram.sock"};
	need(connect(s, (void *)&a, sizeof a) == 0, "connect");
	ready("unix-dgram");
}

const struct edge_case unix_cases[] = {{"stream", stream}, {"abstract", abstract}, {"pairs", pairs}, {"dgram", datagrams}, {0}};
