/* What the cases of the network share. The namespaces, devices and rules that
 * they count on are made by guest/netnode, which runs before. */
#include "../edge/edge.h"
#include <arpa/inet.h>
#include <linux/bpf.h>
#include <linux/filter.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

/* The node's and the other's end of the wire between the node and namespace lab-a. */
#define NODE4 "10.99.1.1"
#define PEER4 "10.99.1.2"
#define NODE6 "fd00:99:1::1"
#define PEER6 "fd00:99:1::2"
#define WIRE "labh0" /* the node's end */

/* A place to bind or connect to, of either family. */
struct place {
	union {
		struct sockaddr any;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
	};
	socklen_t len;
};

struct place place(const char *address, int port);

/* enter brings the process into the network namespace NAME of /run/netns. */
void enter(const char *name);

/* set sets an integer option; it ends the case if that fails, try_set only says so. */
void set(int s, int level, int option, int value);
void try_set(int s, int level, int option, int value, const char *what);

/* bound returns a socket of that type and protocol bound there, serve one that listens, dial one that is connected. */
int bound(int type, int protocol, const char *address, int port);
int serve(const char *address, int port, int backlog);
int dial(const char *address, int port);

/* connect_to connects, and tries again for a while as long as nobody listens. */
void connect_to(int s, struct place p);

/* fill writes to the socket until it takes no more; returns how much that was. */
size_t fill(int s);

/* classic attaches a classic filter of a few instructions, with the constant k in it; extended one of eBPF. */
void classic(int s, uint32_t k);
int extended(int s);

/* bpf_load returns the descriptor of a program that returns the value, or -1. */
int bpf_load(int type, int attach, int value, const char *name);

/* pass sends a descriptor over a unix socket. */
void pass(int over, int fd);

/* pod is what containers run: "net server", "net client"; pin makes a program in the bpf file system. */
int pod(int argc, char **argv);
int pin(const char *type, const char *path);

/* block_signal and await_signal are of what passes soon, so that it begins only with SIGUSR1, which nodetruth sends before it takes
 * the truth. The first is for before the fork, so that no process dies of the signal. */
void block_signal(void);
void await_signal(void);

/* rule adds a rule of routing with attributes TYPE=HEX of linux/fib_rules.h. */
int rule(int family, uint32_t priority, char **attributes);

extern const struct edge_case tcp_cases[], close_cases[], datagram_cases[], unix_cases[], family_cases[], holder_cases[], track_cases[];
