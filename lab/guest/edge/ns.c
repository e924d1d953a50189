#include "edge.h"

/* map_ids gives the process's new user namespace IDs: 0 to n-1 there are base and up here. */
static void map_ids(const char *pid, unsigned base, unsigned n) {
	char path[64], text[64];
	snprintf(text, sizeof text, "0 %u %u", base, n);
	snprintf(path, sizeof path, "/proc/%s/uid_map", pid);
	need(write_file(path, text) == 0, path);
	snprintf(path, sizeof path, "/proc/%s/gid_map", pid);
	need(write_file(path, text) == 0, path);
}

/* become_root also keeps the process's files in /proc its own, which a change of user ends. */
static void become_root(const char *host) {
	need(setgid(0) == 0 && setuid(0) == 0, "setuid");
	need(prctl(PR_SET_DUMPABLE, 1) == 0, "dumpable");
	need(sethostname(host, strlen(host)) == 0, "sethostname");
}

enum { SPACES = CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWNET | CLONE_NEWCGROUP | 0x80 /* CLONE_NEWTIME */ };

/* enter unshares everything. Only a process outside can map more than one ID of the new user namespace, so a child that stayed there does. */
static void enter(unsigned base, unsigned n, const char *offset) {
	int go[2], done[2];
	char c, self[32] = "";
	need(readlink("/proc/self", self, sizeof self - 1) > 0, "/proc/self");
	need(pipe(go) == 0 && pipe(done) == 0, "pipe");
	pid_t p = fork();
	need(p >= 0, "fork");
	if (!p) {
		need(read(go[0], &c, 1) == 1, "read");
		map_ids(self, base, n);
		need(write(done[1], "x", 1) == 1, "write");
		_exit(0);
	}
	need(unshare(SPACES) == 0, "unshare");
	close(done[1]);
	need(write(go[1], "x", 1) == 1 && read(done[0], &c, 1) == 1, "map");
	waitpid(p, NULL, 0);
	note(write_file("/proc/self/timens_offsets", offset) == 0, "timens_offsets");
	close(go[0]);
	close(go[1]);
	close(done[0]);
}

static void innermost(void) {
	become_root("edge-inner");
	prctl(PR_SET_NAME, "edge-ns-inner");
	ready("ns-inner");
}

static void outer(void) {
	become_root("edge-outer");
	prctl(PR_SET_NAME, "edge-ns-outer");
	enter(1000, 1000, "boottime 500 0\nmonotonic 7 0\n");
	reporter(innermost);
	ready("ns-outer-init");
}

/* User, PID, UTS, time, IPC, network and cgroup namespaces, and the same within them. */
static void nested(void) {
	enter(100000, 65536, "boottime 1000000 0\nmonotonic 1000 5\n");
	reporter(outer);
	ready("ns-parent");
}

/* A PID namespace that no process is in yet. */
static void pid_for_children(void) {
	need(unshare(CLONE_NEWPID) == 0, "unshare");
	ready("ns-unused-pid");
}

static void pidns_child(void) {
	prctl(PR_SET_NAME, "edge-pidns-2");
	ready("pidns-second");
}

static void pidns_init(void) {
	prctl(PR_SET_NAME, "edge-pidns-1");
	reporter(pidns_child);
	ready("pidns-init");
}

/* Only a PID namespace, with two processes. */
static void pid_ns(void) {
	need(unshare(CLONE_NEWPID) == 0, "unshare");
	reporter(pidns_init);
	ready("pidns-parent");
}

/* chroot: paths of its files are below the node's root, its own below DIR/root. */
static void chrooted(void) {
	mkdir(DIR "/root", 0755);
	mkdir(DIR "/root/etc", 0755);
	need(write_file(DIR "/root/etc/inside", "x") == 0, "inside");
	int outside = open("/etc", O_RDONLY);
	need(outside >= 0 && chroot(DIR "/root") == 0 && chdir("/etc") == 0, "chroot");
	need(open("/etc/inside", O_RDONLY) >= 0, "inside");
	ready("chroot");
}

/* A mount namespace of its own, with a private bind mount that no other process sees. */
static void private_bind(void) {
	mkdir(DIR "/source", 0755);
	mkdir(DIR "/private target", 0755);
	need(write_file(DIR "/source/file", "x") == 0, "source");
	need(unshare(CLONE_NEWNS) == 0 && mount(0, "/", 0, MS_REC | MS_PRIVATE, 0) == 0, "private");
	need(mount(DIR "/source", DIR "/private target", 0, MS_BIND, 0) == 0, "bind");
	need(open(DIR "/private target/file", O_RDONLY) >= 0, "file");
	need(mount(DIR "/source/file", DIR "/one-file", 0, MS_BIND, 0) < 0, "bind over nothing");
	need(write_file(DIR "/one-file", "") == 0 && mount(DIR "/source/file", DIR "/one-file", 0, MS_BIND, 0) == 0, "bind a file");
	need(open(DIR "/one-file", O_RDONLY) >= 0 && chdir(DIR "/private target") == 0, "use");
	ready("private-bind");
}

/* pivot_root, as container runtimes do, the old root detached; a file stays open on it. */
static void pivoted(void) {
	const char *root = DIR "/pivot";
	mkdir(root, 0755);
	int old = open("/etc/hostname", O_RDONLY);
	need(old >= 0 && unshare(CLONE_NEWNS) == 0 && mount(0, "/", 0, MS_REC | MS_PRIVATE, 0) == 0, "private");
	need(mount("edge-root", root, "tmpfs", 0, "size=64k") == 0 && chdir(root) == 0, "tmpfs");
	need(mkdir("proc", 0755) == 0 && mount("/proc", "proc", 0, MS_BIND | MS_REC, 0) == 0, "proc");
	need(syscall(SYS_pivot_root, ".", ".") == 0 && umount2(".", MNT_DETACH) == 0 && chdir("/") == 0, "pivot_root");
	need(open("/in-new-root", O_RDWR | O_CREAT, 0600) >= 0, "file");
	ready("pivot");
}

const struct edge_case ns_cases[] = {
	{"nested", nested}, {"pidunused", pid_for_children}, {"pidns", pid_ns}, {"chroot", chrooted}, {"bind", private_bind}, {"pivot", pivoted}, {0},
};
