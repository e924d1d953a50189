#include "net.h"

const char program[] = "net";

struct place place(const char *address, int port) {
	struct place p = {.len = sizeof p.in};
	if (strchr(address, ':')) {
		p.in6 = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons(port)};
		p.len = sizeof p.in6;
		need(inet_pton(AF_INET6, address, &p.in6.sin6_addr) == 1, address);
		return p;
	}
	p.in = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port)};
	need(inet_pton(AF_INET, address, &p.in.sin_addr) == 1, address);
	return p;
}

void enter(const char *name) {
	char path[64];
	snprintf(path, sizeof path, "/run/netns/%s", name);
	int f = open(path, O_RDONLY | O_CLOEXEC);
	need(f >= 0 && setns(f, CLONE_NEWNET) == 0, path);
	close(f);
}

void try_set(int s, int level, int option, int value, const char *what) {
	note(setsockopt(s, level, option, &value, sizeof value) == 0, what);
}

void set(int s, int level, int option, int value) {
	char what[64];
	snprintf(what, sizeof what, "option %d of level %d", option, level);
	need(setsockopt(s, level, option, &value, sizeof value) == 0, what);
}

int bound(int type, int protocol, const char *address, int port) {
	struct place p = place(address, port);
	int s = socket(p.any.sa_family, type, protocol);
	need(s >= 0, "socket");
	set(s, SOL_SOCKET, SO_REUSEADDR, 1);
	need(bind(s, &p.any, p.len) == 0, address);
	return s;
}

int serve(const char *address, int port, int backlog) {
	int s = bound(SOCK_STREAM, 0, address, port);
	need(listen(s, backlog) == 0, "listen");
	return s;
}

void connect_to(int s, struct place p) {
	for (int tries = 0; connect(s, &p.any, p.len) != 0; tries++) {
		need(tries < 3000, "connect");
		usleep(200000);
	}
}

int dial(const char *address, int port) {
	struct place p = place(address, port);
	int s = socket(p.any.sa_family, SOCK_STREAM, 0);
	need(s >= 0, "socket");
	connect_to(s, p);
	return s;
}

size_t fill(int s) {
	static char data[16384];
	size_t all = 0;
	/* What the other end has room for goes there meanwhile. */
	for (int idle = 0; idle < 5;) {
		ssize_t n = send(s, data, sizeof data, MSG_DONTWAIT);
		if (n > 0) all += n, idle = 0;
		else idle++, usleep(200000);
	}
	return all;
}

void classic(int s, uint32_t k) {
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_LEN, 0),
		BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, k, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, 0),
		BPF_STMT(BPF_RET | BPF_K, 0x40000),
	};
	struct sock_fprog f = {sizeof code / sizeof *code, code};
	need(setsockopt(s, SOL_SOCKET, SO_ATTACH_FILTER, &f, sizeof f) == 0, "classic filter");
}

int bpf_load(int type, int attach, int value, const char *name) {
	struct bpf_insn code[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = value},
		{.code = BPF_JMP | BPF_EXIT},
	};
	union bpf_attr a = {0};
	a.prog_type = type;
	a.expected_attach_type = attach;
	a.insns = (uintptr_t)code;
	a.insn_cnt = sizeof code / sizeof *code;
	a.license = (uintptr_t) "GPL";
	strncpy(a.prog_name, name, sizeof a.prog_name - 1);
	return syscall(SYS_bpf, BPF_PROG_LOAD, &a, sizeof a);
}

int extended(int s) {
	int f = bpf_load(BPF_PROG_TYPE_SOCKET_FILTER, 0, -1, "lab_filter");
	if (!note(f >= 0, "BPF program")) return -1;
	set(s, SOL_SOCKET, SO_ATTACH_BPF, f);
	close(f);
	return 0;
}

void pass(int over, int fd) {
	char byte = 'x', control[CMSG_SPACE(sizeof fd)] = {0};
	struct iovec v = {&byte, 1};
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	*c = (struct cmsghdr){.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof fd)};
	memcpy(CMSG_DATA(c), &fd, sizeof fd);
	need(sendmsg(over, &m, 0) == 1, "pass a descriptor");
}

int pin(const char *type, const char *path) {
	int xdp = strcmp(type, "xdp") == 0;
	int f = bpf_load(xdp ? BPF_PROG_TYPE_XDP : BPF_PROG_TYPE_SCHED_CLS, 0, xdp ? 2 /* XDP_PASS */ : -1 /* TC_ACT_UNSPEC */, xdp ? "lab_xdp" : "lab_cls");
	union bpf_attr a = {0};
	a.pathname = (uintptr_t)path;
	a.bpf_fd = f;
	return note(f >= 0, "BPF program") && note(syscall(SYS_bpf, BPF_OBJ_PIN, &a, sizeof a) == 0, path) ? 0 : 1;
}

/* Usage: net OUT, net pin TYPE PATH, net rule 4|6 PRIORITY TYPE=HEX..., net server|client .... The first starts every case, writes "NAME PID" lines to OUT when
 * all are in place, and stays as their parent. */
int main(int argc, char **argv) {
	signal(SIGPIPE, SIG_IGN);
	if (argc == 4 && strcmp(argv[1], "pin") == 0) return pin(argv[2], argv[3]);
	if (argc > 4 && strcmp(argv[1], "rule") == 0) return rule(atoi(argv[2]), atoi(argv[3]), argv + 4);
	if (argc > 2) return pod(argc - 1, argv + 1);
	if (argc != 2) return 2;
	mkdir(DIR, 0755);
	open_report();
	const struct edge_case *all[] = {tcp_cases, close_cases, datagram_cases, unix_cases, family_cases, holder_cases, track_cases};
	for (size_t i = 0; i < sizeof all / sizeof *all; i++) start(all[i]);
	collect(argv[1]);
	stay();
}
