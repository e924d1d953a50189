#include "edge.h"
#include <sys/ptrace.h>

static void exit_now(void) {
	_exit(7);
}

static void stop_now(void) {
	raise(SIGSTOP);
}

static void wait_zombie(pid_t p) {
	siginfo_t i;
	need(waitid(P_PID, p, &i, WEXITED | WNOWAIT) == 0, "waitid");
}

/* A child that exited and is not waited for. */
static void zombie(void) {
	pid_t p = child(exit_now);
	wait_zombie(p);
	ready("zombie-parent");
}

/* A zombie whose cgroup has been removed: its /proc/PID/cgroup says " (deleted)". */
static void cgroup_zombie(void) {
	const char *dir = "/sys/fs/cgroup/edge-gone", *procs = "/sys/fs/cgroup/edge-gone/cgroup.procs";
	need(mkdir(dir, 0755) == 0, dir);
	pid_t p = fork();
	need(p >= 0, "fork");
	if (!p) {
		write_file(procs, "0");
		_exit(9);
	}
	wait_zombie(p);
	note(rmdir(dir) == 0, "rmdir of a cgroup that holds a zombie");
	ready("cgroup-zombie-parent");
}

/* A process in a cgroup whose name is not UTF-8. */
static void cgroup_name(void) {
	const char *dir = "/sys/fs/cgroup/edge \xff\xc3(name)";
	char procs[256];
	need(mkdir(dir, 0755) == 0, "cgroup");
	snprintf(procs, sizeof procs, "%s/cgroup.procs", dir);
	need(write_file(procs, "0") == 0, procs);
	ready("cgroup-name");
}

/* State T: stopped by a signal. */
static void stopped(void) {
	pid_t p = child(stop_now);
	siginfo_t i;
	need(waitid(P_PID, p, &i, WSTOPPED | WNOWAIT) == 0, "waitid");
	ready("stopped-parent");
}

static void traced_child(void) {
	ptrace(PTRACE_TRACEME, 0, 0, 0);
	stop_now();
}

/* State t: stopped under a tracer. */
static void traced(void) {
	pid_t p = child(traced_child);
	siginfo_t i;
	need(waitid(P_PID, p, &i, WSTOPPED | WNOWAIT) == 0, "waitid");
	ready("traced-parent");
}

static int vfork_child(void *unused) {
	(void)unused;
	ready("vfork-child");
	stay();
}

/* State D, and one mm and one file table shared by two processes: the parent waits as in vfork. */
static void vforked(void) {
	char *stack = mmap(0, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	need(clone(vfork_child, stack + 65536, CLONE_VM | CLONE_VFORK | CLONE_FILES | SIGCHLD, NULL) > 0, "clone");
}

/* pid_at forks a child whose PID is want, if that is free. */
static void pid_at(int want, const char *name) {
	char text[32];
	write_file("/proc/sys/kernel/pid_max", "4194304");
	snprintf(text, sizeof text, "%d", want - 1);
	need(write_file("/proc/sys/kernel/ns_last_pid", text) == 0, "ns_last_pid");
	pid_t p = fork();
	need(p >= 0, "fork");
	if (p) return;
	prctl(PR_SET_NAME, name);
	ready(name);
	stay();
}

/* PIDs that need more than 16 bits, and the last one there can be. No other case may fork meanwhile: it would get one of them. */
void big_pids(void) {
	char last[32] = {0};
	int f = open("/proc/sys/kernel/ns_last_pid", O_RDONLY); /* only with CONFIG_CHECKPOINT_RESTORE */
	if (!note(f >= 0, "ns_last_pid")) return;
	need(read(f, last, sizeof last - 1) > 0, "ns_last_pid");
	close(f);
	pid_at(65536, "edge-pid-65536");
	pid_at(131071, "edge-pid-131071");
	pid_at(4194303, "edge-pid-max");
	write_file("/proc/sys/kernel/ns_last_pid", last);
}

static void grandchild(void) {
	prctl(PR_SET_NAME, "edge-orphan");
	ready("orphan");
}

/* A process whose parent is gone, so that init or a subreaper adopted it. */
static void orphan(void) {
	pid_t p = fork();
	need(p >= 0, "fork");
	if (!p) {
		reporter(grandchild);
		_exit(0);
	}
	waitpid(p, NULL, 0);
	ready("orphan-first-parent");
}

/* Different real, effective, saved and file system IDs, and groups. */
static void creds(void) {
	gid_t groups[] = {4, 27, 100, 65534};
	need(syscall(SYS_setgroups, 4, groups) == 0, "setgroups");
	need(syscall(SYS_setresgid, 2001, 2002, 2003) == 0, "setresgid");
	need(prctl(PR_SET_KEEPCAPS, 1) == 0, "keepcaps");
	need(syscall(SYS_setresuid, 1001, 1002, 0) == 0, "setresuid");
	syscall(SYS_setfsuid, 1001);
	need(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, "no_new_privs");
	ready("creds");
}

const struct edge_case state_cases[] = {
	{"zombie", zombie}, {"cgzombie", cgroup_zombie}, {"cgname", cgroup_name}, {"stopped", stopped}, {"traced", traced},
	{"vfork", vforked}, {"orphan", orphan}, {"creds", creds}, {0},
};
