#include "task.h"
#include <grp.h>
#include <linux/capability.h>
#include <linux/securebits.h>

static void capset64(uint64_t effective, uint64_t permitted, uint64_t inheritable) {
	struct __user_cap_header_struct h = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct d[2] = {{effective, permitted, inheritable}, {effective >> 32, permitted >> 32, inheritable >> 32}};
	need(syscall(SYS_capset, &h, d) == 0, "capset");
}

/* known is all capabilities that there are to be had: on the node, all that the kernel has. */
static uint64_t known(void) {
	struct __user_cap_header_struct h = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct d[2];
	need(syscall(SYS_capget, &h, d) == 0, "capget");
	return d[0].permitted | (uint64_t)d[1].permitted << 32;
}

static void drop_bounding(uint64_t drop) {
	for (int c = 0; c < 64; c++)
		if (drop >> c & 1) need(prctl(PR_CAPBSET_DROP, c) == 0, "bounding set");
}

static void ambient(uint64_t raise) {
	for (int c = 0; c < 64; c++)
		if (raise >> c & 1) need(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, c, 0, 0) == 0, "ambient set");
}

/* Each of the five sets is another one. */
static void sets(void) {
	drop_bounding(1ull << 17 | 1ull << 32);
	capset64(0x2a | 1 << 8, 0x7ff, 1ull << 2 | 1ull << 4 | 1ull << 6 | 1ull << 38);
	ambient(1 << 2 | 1 << 4);
	ready("caps-sets");
}

static void none(void) {
	drop_bounding(known());
	need(prctl(PR_SET_SECUREBITS, SECURE_ALL_BITS | SECURE_ALL_LOCKS) == 0, "securebits");
	capset64(0, 0, 0);
	ready("caps-none");
}

static void everything(void) {
	capset64(known(), known(), known());
	ambient(known());
	ready("caps-all");
}

/* Another user, who keeps some by the ambient set, and through exec none of the others. */
static void user(void) {
	need(prctl(PR_SET_KEEPCAPS, 1) == 0, "keepcaps");
	need(syscall(SYS_setresgid, 1234, 1234, 1234) == 0 && syscall(SYS_setresuid, 1234, 1234, 1234) == 0, "user");
	uint64_t some = 1 << CAP_NET_BIND_SERVICE | 1 << CAP_SYS_PTRACE;
	capset64(some, some, some);
	ambient(some);
	ready("caps-user");
}

static uint64_t one_by_one[64];

static void *only(void *which) {
	uint64_t *c = which;
	char name[16];
	snprintf(name, sizeof name, "cap-%d", __builtin_ctzll(*c));
	capset64(*c, *c, 0);
	settle(name);
	stay();
}

/* A thread for each capability, which has that alone. */
static void single(void) {
	unsigned n = 0;
	for (uint64_t all = known(), c = 1; c; c <<= 1)
		if (all & c) one_by_one[n++] = c;
	expect(n);
	for (unsigned i = 0; i < n; i++) thread(only, one_by_one + i);
	settled();
	ready("caps-single");
}

static const unsigned long bits[] = {SECBIT_NOROOT, SECBIT_NOROOT_LOCKED, SECBIT_NO_SETUID_FIXUP, SECBIT_NO_SETUID_FIXUP_LOCKED, SECBIT_KEEP_CAPS,
	SECBIT_KEEP_CAPS_LOCKED, SECBIT_NO_CAP_AMBIENT_RAISE, SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED, 1 << 8, 1 << 9, 1 << 10, 1 << 11};

static void *secure(void *bit) {
	char name[16];
	unsigned long b = *(const unsigned long *)bit;
	if (!note(prctl(PR_SET_SECUREBITS, b) == 0, "one of the secure bits")) b = 0;
	tell("securebits", "%d %ld %#lx", getpid(), syscall(SYS_gettid), b);
	snprintf(name, sizeof name, "secbits-%lx", b);
	settle(name);
	stay();
}

/* A thread for each of the secure bits, which /proc does not show. */
static void secure_bits(void) {
	expect(sizeof bits / sizeof *bits);
	for (size_t i = 0; i < sizeof bits / sizeof *bits; i++) thread(secure, bits + i);
	settled();
	ready("securebits");
}

/* More groups than a page of a group_info holds, with IDs that need all bits. */
static void groups(void) {
	static gid_t all[3000];
	for (size_t i = 0; i < 3000; i++) all[i] = i * 1431655;
	need(setgroups(3000, all) == 0, "groups");
	ready("groups");
}

/* Login and session of audit, as a log-in over SSH leaves them. */
static void login(void) {
	note(write_file("/proc/self/loginuid", "1000") == 0, "loginuid");
	ready("login");
}

/* The first process of a user namespace: all capabilities there, none here; IDs mapped in pieces. */
static void namespace(void) {
	char path[64];
	int up[2], down[2];
	char byte = 0;
	need(pipe(up) == 0 && pipe(down) == 0, "pipe");
	pid_t p = fork();
	need(p >= 0, "fork");
	if (!p) {
		need(unshare(CLONE_NEWUSER) == 0 && write(up[1], &byte, 1) == 1 && read(down[0], &byte, 1) == 1, "user namespace");
		for (int i = 0; i < 2; i++) close(up[i]), close(down[i]);
		note(prctl(PR_SET_SECUREBITS, SECBIT_NOROOT) == 0, "securebits");
		ready("userns");
		stay();
	}
	need(read(up[0], &byte, 1) == 1, "pipe");
	snprintf(path, sizeof path, "/proc/%d/uid_map", p);
	need(write_file(path, "0 0 1\n1 100000 65535\n65536 300000 10\n70000 400000 1\n70002 500000 3\n80000 600000 7\n") == 0, path);
	snprintf(path, sizeof path, "/proc/%d/gid_map", p);
	need(write_file(path, "0 200000 65536\n") == 0, path);
	need(write(down[1], &byte, 1) == 1, "pipe");
	for (int i = 0; i < 2; i++) close(up[i]), close(down[i]);
	hush();
}

const struct edge_case cap_cases[] = {{"sets", sets}, {"none", none}, {"all", everything}, {"user", user}, {"single", single}, {"secbits", secure_bits},
	{"groups", groups}, {"login", login}, {"userns", namespace}, {0}};
