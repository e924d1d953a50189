#include "edge.h"
#include <arpa/inet.h>
#include <linux/netlink.h>
#include <mqueue.h>
#include <net/ethernet.h>
#include <netinet/in.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/fanotify.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/un.h>

/* Files of the kernel's own, which have no path. */
static void anonymous(void) {
	sigset_t set;
	int fds[2];
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	int event = eventfd(3, 0), poll = epoll_create1(0);
	struct epoll_event e = {.events = EPOLLIN, .data.fd = event};
	need(epoll_ctl(poll, EPOLL_CTL_ADD, event, &e) == 0, "epoll");
	need(signalfd(-1, &set, 0) >= 0, "signalfd");
	need(timerfd_create(CLOCK_MONOTONIC, 0) >= 0, "timerfd");
	need(inotify_add_watch(inotify_init1(0), "/tmp", IN_CREATE) >= 0, "inotify");
	need(pipe(fds) == 0 && write(fds[1], "in the pipe", 11) == 11, "pipe");
	need(write(memfd_create("edge memfd\n(x)", 0), "in the memfd", 12) == 12, "memfd");
	note(memfd_create("", MFD_ALLOW_SEALING) >= 0, "memfd without a name");
	note(syscall(SYS_pidfd_open, getppid(), 0) >= 0, "pidfd");
	note(syscall(SYS_pidfd_open, getpid(), 0) >= 0, "pidfd of itself");
	note(fanotify_init(FAN_CLASS_NOTIF, O_RDONLY) >= 0, "fanotify");
	note(syscall(SYS_userfaultfd, 0) >= 0, "userfaultfd");
	note(syscall(SYS_fsopen, "tmpfs", 0) >= 0, "fsopen");
	char params[256] = {0};
	note(syscall(SYS_io_uring_setup, 4, params) >= 0, "io_uring");
	int attr[32] = {2 /* array */, 4, 8, 4}; /* union bpf_attr: type, key size, value size, entries */
	note(syscall(SYS_bpf, 0, attr, 64) >= 0, "bpf map");
	ready("anonymous");
}

/* unix_bound binds a socket of this type to a name, which may hold NULs. */
static int unix_bound(int type, const char *name, size_t len) {
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	memcpy(a.sun_path, name, len);
	int s = socket(AF_UNIX, type, 0);
	need(bind(s, (void *)&a, offsetof(struct sockaddr_un, sun_path) + len) == 0, "bind");
	return s;
}

static void unix_sockets(void) {
	int pair[2];
	unlink(DIR "/edge.sock");
	need(listen(unix_bound(SOCK_STREAM, DIR "/edge.sock", sizeof DIR "/edge.sock"), 5) == 0, "listen");
	int s = socket(AF_UNIX, SOCK_STREAM, 0);
	struct sockaddr_un a = {.sun_family = AF_UNIX, .sun_path = DIR "/edge.sock"};
	need(connect(s, (void *)&a, sizeof a) == 0, "connect");
	unix_bound(SOCK_DGRAM, "\0edge\0abstract\xff", 15);
	unix_bound(SOCK_SEQPACKET, "\0edge-seqpacket", 15);
	need(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) == 0, "socketpair");
	ready("unix-sockets");
}

static void inet_sockets(void) {
	struct sockaddr_in6 any6 = {.sin6_family = AF_INET6, .sin6_port = htons(8443)};
	struct sockaddr_in local = {.sin_family = AF_INET, .sin_port = htons(5300), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int s6 = socket(AF_INET6, SOCK_STREAM, 0), u = socket(AF_INET, SOCK_DGRAM, 0);
	need(bind(s6, (void *)&any6, sizeof any6) == 0 && listen(s6, 9) == 0, "tcp6");
	need(bind(u, (void *)&local, sizeof local) == 0 && connect(u, (void *)&local, sizeof local) == 0, "udp");
	note(socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE) >= 0, "netlink");
	note(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP) >= 0, "raw");
	note(socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL)) >= 0, "packet");
	note(socket(AF_VSOCK, SOCK_STREAM, 0) >= 0, "vsock");
	ready("inet-sockets");
}

/* deep_dir makes directories below the current one until the path is longer than n, and enters them. */
static void deep_dir(size_t n) {
	char name[201];
	memset(name, 'd', 200);
	name[200] = 0;
	for (size_t i = 0; i < n; i += 201) need((mkdir(name, 0755) == 0 || errno == EEXIST) && chdir(name) == 0, "deep directory");
}

/* Paths that must be quoted, are gone, or are not there any more as they were. */
static void paths(void) {
	int flags = O_RDWR | O_CREAT;
	mkdir(DIR "/paths", 0755);
	need(chdir(DIR "/paths") == 0, "paths");
	need(write(open("deleted", flags, 0600), "deleted", 7) == 7 && unlink("deleted") == 0, "deleted");
	need(open("looks (deleted)", flags, 0600) >= 0, "looks deleted");
	need(open("two\nlines \\ \xff\xc3 end", flags, 0600) >= 0, "bytes");
	need(open("before", flags, 0600) >= 0 && rename("before", "after the rename") == 0, "rename");
	need(open("replaced", flags, 0600) >= 0 && unlink("replaced") == 0 && open("replaced", flags, 0600) >= 0, "replaced");
	need(mkdir("gone", 0755) == 0 && open("gone", O_RDONLY) >= 0 && rmdir("gone") == 0, "deleted directory");
	need(mkdir("up", 0755) == 0 && mkdir("up/sub", 0755) == 0, "up");
	need(open("up/sub/file", flags, 0600) >= 0 && unlink("up/sub/file") == 0 && rmdir("up/sub") == 0 && rmdir("up") == 0, "parents deleted");
	need(symlink("after the rename", "link") == 0 && open("link", O_PATH | O_NOFOLLOW) >= 0, "O_PATH of a symlink");
	need(open(".", O_PATH | O_DIRECTORY) >= 0, "O_PATH of a directory");
	need(mkfifo("fifo", 0600) == 0 && open("fifo", O_RDWR) >= 0, "fifo");
	note(open(DIR "/paths", O_TMPFILE | O_RDWR, 0600) >= 0, "O_TMPFILE");
	deep_dir(3500);
	need(open("f", flags, 0600) >= 0, "long path");
	deep_dir(1000);
	note(open("f", flags, 0600) >= 0, "path longer than PATH_MAX");
	need(chdir("/") == 0, "chdir");
	ready("paths");
}

/* Files on other file systems and devices. */
static void special(void) {
	need(open("/proc/self/status", O_RDONLY) >= 0 && open("/proc/1/ns/net", O_RDONLY) >= 0, "proc");
	need(open("/sys/kernel", O_RDONLY) >= 0 && open("/dev/null", O_RDWR) >= 0, "sys");
	note(open("/dev/kmsg", O_RDONLY) >= 0, "kmsg");
	note(open("/dev/ptmx", O_RDWR | O_NOCTTY) >= 0, "ptmx");
	note(open("/dev/shm/edge shm", O_RDWR | O_CREAT, 0600) >= 0 && unlink("/dev/shm/edge shm") == 0, "shm");
	struct mq_attr attr = {.mq_maxmsg = 2, .mq_msgsize = 8};
	note(mq_open("/edge-queue", O_RDWR | O_CREAT, 0600, &attr) >= 0, "message queue");
	note(open("/sys/fs/cgroup", O_RDONLY) >= 0, "cgroup");
	ready("special");
}

/* Mounts put over, and taken away from under, an open file. */
static void mounts(void) {
	mkdir(DIR "/over", 0755);
	mkdir(DIR "/lazy", 0755);
	need(open(DIR "/over/hidden", O_RDWR | O_CREAT, 0600) >= 0, "hidden");
	need(unshare(CLONE_NEWNS) == 0 && mount(0, "/", 0, MS_REC | MS_PRIVATE, 0) == 0, "mount namespace");
	need(mount("edge", DIR "/over", "tmpfs", 0, "size=64k") == 0, "tmpfs");
	need(open(DIR "/over/on-tmpfs", O_RDWR | O_CREAT, 0600) >= 0, "on tmpfs");
	need(mount(DIR, DIR "/lazy", 0, MS_BIND, 0) == 0, "bind");
	need(open(DIR "/lazy/via-bind", O_RDWR | O_CREAT, 0600) >= 0, "via bind");
	need(mkdir(DIR "/lazy/dir", 0755) == 0 && chdir(DIR "/lazy/dir") == 0, "cwd");
	need(umount2(DIR "/lazy", MNT_DETACH) == 0, "lazy unmount");
	need(mount(DIR, DIR "/lazy", 0, MS_BIND, 0) == 0 && open(DIR "/lazy/still-bound", O_RDWR | O_CREAT, 0600) >= 0, "bind again");
	note(syscall(SYS_open_tree, AT_FDCWD, DIR "/over", 1 /* OPEN_TREE_CLONE */) >= 0, "open_tree");
	ready("mounts");
}

/* Numbers beyond the first table, and more than 64 of them. */
static void numbers(void) {
	struct rlimit l = {4097, 4097};
	need(setrlimit(RLIMIT_NOFILE, &l) == 0, "RLIMIT_NOFILE");
	int f = open("/dev/zero", O_RDONLY);
	for (int i = 3; i < 200; i += 3) need(dup2(f, i) == i, "dup2");
	need(dup2(f, 1025) == 1025 && dup2(f, 4096) == 4096, "dup2");
	need(fcntl(1025, F_SETFD, FD_CLOEXEC) == 0, "close on exec");
	ready("fd-numbers");
}

static void no_fds(void) {
	for (int i = 0; i < 32; i++) close(i);
	ready("no-fds");
}

static void cwd_deleted(void) {
	need(mkdir(DIR "/cwd gone", 0755) == 0 && chdir(DIR "/cwd gone") == 0 && rmdir(DIR "/cwd gone") == 0, "cwd");
	ready("cwd-deleted");
}

static void cwd_long(void) {
	mkdir(DIR "/cwd", 0755);
	need(chdir(DIR "/cwd") == 0, "cwd");
	deep_dir(3800);
	ready("cwd-long");
}

const struct edge_case fd_cases[] = {
	{"anon", anonymous}, {"unix", unix_sockets}, {"inet", inet_sockets}, {"paths", paths}, {"special", special}, {"mounts", mounts},
	{"numbers", numbers}, {"nofds", no_fds}, {"cwd1", cwd_deleted}, {"cwd2", cwd_long}, {0},
};
