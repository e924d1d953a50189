#include "task.h"
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/ioctl.h>

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define RETURN(value) BPF_STMT(BPF_RET | BPF_K, value)
#define CALL(nr, action) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 1), RETURN(action)

static int load(struct sock_filter *code, size_t n, unsigned flags) {
	struct sock_fprog program = {n, code};
	int r = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
	if (note(r >= 0, "seccomp filter"))
		tell("seccomp", "%d %ld %#x %s", getpid(), syscall(SYS_gettid), flags, hex(code, n * sizeof *code));
	return r;
}

#define LOAD_FILTER(code, flags) load(code, sizeof(code) / sizeof *(code), flags)

static struct sock_filter plain[] = {LOAD(nr), CALL(SYS_acct, SECCOMP_RET_ERRNO | EPERM), RETURN(SECCOMP_RET_ALLOW)};

static struct sock_filter actions[] = {LOAD(arch), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0), RETURN(SECCOMP_RET_KILL_PROCESS), LOAD(nr),
	BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 0x40000000, 0, 1), RETURN(SECCOMP_RET_KILL_THREAD), CALL(SYS_reboot, SECCOMP_RET_KILL_PROCESS),
	CALL(SYS_swapon, SECCOMP_RET_KILL_THREAD), CALL(SYS_swapoff, SECCOMP_RET_TRAP), CALL(SYS_mount, SECCOMP_RET_ERRNO | ENOSYS),
	CALL(SYS_umount2, SECCOMP_RET_TRACE | 77), CALL(SYS_sethostname, SECCOMP_RET_LOG), RETURN(SECCOMP_RET_ALLOW)};

/* Looks at arguments, with every class of instruction. */
static struct sock_filter arguments[] = {LOAD(nr), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_personality, 0, 8), LOAD(args[0]),
	BPF_STMT(BPF_ST, 3), BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0xff), BPF_STMT(BPF_MISC | BPF_TAX, 0), BPF_STMT(BPF_LD | BPF_MEM, 3),
	BPF_STMT(BPF_ALU | BPF_SUB | BPF_X, 0), BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 0xffffff00, 0, 1), RETURN(SECCOMP_RET_ERRNO | EINVAL), RETURN(SECCOMP_RET_ALLOW)};

static void no_new_privs(void) {
	need(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, "no_new_privs");
}

static void inheritor(void) {
	ready("seccomp-child");
}

/* One filter, and a child that has it from its parent. */
static void one(void) {
	no_new_privs();
	LOAD_FILTER(plain, 0);
	reporter(inheritor);
	ready("seccomp-one");
}

/* Filters upon each other; one is logged. Without no_new_privs, for root may. */
static void stacked(void) {
	LOAD_FILTER(plain, 0);
	LOAD_FILTER(actions, SECCOMP_FILTER_FLAG_LOG);
	LOAD_FILTER(arguments, SECCOMP_FILTER_FLAG_SPEC_ALLOW);
	ready("seccomp-stacked");
}

static void *more(void *name) {
	LOAD_FILTER(actions, 0);
	settle(name);
	stay();
}

static void *same(void *name) {
	settle(name);
	stay();
}

/* Threads that have their leader's filter, one that has another one upon it. */
static void threads(void) {
	no_new_privs();
	expect(2);
	thread(same, "same filter");
	thread(more, "own filter");
	settled();
	/* What the threads have no more in common cannot be set for all. */
	note(LOAD_FILTER(arguments, SECCOMP_FILTER_FLAG_TSYNC) == 0, "filter of all threads, of which one has its own");
	ready("seccomp-threads");
}

static void *all(void *name) {
	settle(name);
	stay();
}

static void together(void) {
	no_new_privs();
	expect(2);
	thread(all, "synchronised one");
	thread(all, "synchronised two");
	settled();
	LOAD_FILTER(plain, SECCOMP_FILTER_FLAG_TSYNC);
	ready("seccomp-tsync");
}

static void asker(void) {
	syscall(SYS_acct, 0x1234, 5, 6);
}

/* A supervisor with a listener, and a child that waits for its answer. */
static void supervised(void) {
	static struct sock_filter notify[] = {LOAD(nr), CALL(SYS_acct, SECCOMP_RET_USER_NOTIF), RETURN(SECCOMP_RET_ALLOW)};
	no_new_privs();
	int listener = LOAD_FILTER(notify, SECCOMP_FILTER_FLAG_NEW_LISTENER);
	pid_t p = child(asker);
	prctl(PR_SET_NAME, "task-supervisor");
	struct seccomp_notif *got = calloc(1, 4096);
	if (listener >= 0 && note(ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, got) == 0, "notification"))
		tell("notifications", "%d %d %d %llx %llx", getpid(), p, got->data.nr, (unsigned long long)got->id, (unsigned long long)got->data.args[0]);
	ready("seccomp-notify");
}

/* The first mode: read, write and exit only. */
static void strict(void) {
	int p[2];
	char byte;
	need(pipe(p) == 0, "pipe");
	ready("seccomp-strict");
	prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT);
	for (;;) (void)!read(p[0], &byte, 1);
}

/* What a processor may guess for it is restricted, each in another way. */
static void speculation(void) {
	for (int what = 0; what < 3; what++) note(prctl(PR_SET_SPECULATION_CTRL, what, PR_SPEC_FORCE_DISABLE, 0, 0) == 0, "speculation");
	ready("speculation");
}

const struct edge_case seccomp_cases[] = {{"one", one}, {"stacked", stacked}, {"secthreads", threads}, {"tsync", together}, {"supervised", supervised},
	{"strict", strict}, {"spec", speculation}, {0}};
