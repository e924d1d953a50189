#include "net.h"

/* What runs in pods: a server, and a client that talks to it by several ways. */

/* server TCP UDP LOCAL: ports of both families, and one of the loopback device alone. */
static void server(const char *tcp, const char *udp, const char *local) {
	int s = serve("::", atoi(tcp), 16), u = bound(SOCK_DGRAM, 0, "::", atoi(udp));
	serve("127.0.0.1", atoi(local), 4);
	for (;;) {
		struct place p = {.len = sizeof p.in6};
		char buf[64];
		fd_set f;
		FD_ZERO(&f);
		FD_SET(s, &f);
		FD_SET(u, &f);
		need(select(u + 1, &f, 0, 0, 0) > 0, "select");
		if (FD_ISSET(s, &f)) need(write(accept(s, 0, 0), "hello", 5) == 5, "accept");
		ssize_t n = FD_ISSET(u, &f) ? recvfrom(u, buf, sizeof buf, 0, &p.any, &p.len) : -1;
		if (n >= 0) sendto(u, buf, n, 0, &p.any, p.len);
	}
}

/* client ADDRESS/PORT[/udp] ...: stays connected to each. */
static void client(int argc, char **argv) {
	for (int i = 1; i < argc; i++) {
		char *address = strtok(argv[i], "/"), *port = strtok(0, "/"), *udp = strtok(0, "/");
		struct place p = place(address, atoi(port));
		int s = socket(p.any.sa_family, udp ? SOCK_DGRAM : SOCK_STREAM, 0);
		connect_to(s, p);
		fprintf(stderr, "net: connected to %s/%s\n", address, port);
		if (udp) for (int n = 0; n < 3; n++) note(write(s, "query", 5) == 5, "query");
	}
	stay();
}

int pod(int argc, char **argv) {
	if (strcmp(argv[0], "client") == 0) client(argc, argv);
	if (strcmp(argv[0], "server") == 0 && argc == 4) server(argv[1], argv[2], argv[3]);
	return 2;
}
