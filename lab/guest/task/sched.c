#include "task.h"

struct attributes { /* struct sched_attr of linux/sched/types.h, which older headers do not have */
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period;
	uint32_t clamp_least, clamp_most;
};

/* tell_sched tells PID, thread, policy, flags, nice, priority, runtime, deadline and period (ns) as the kernel gives them back. */
static void tell_sched(void) {
	struct attributes a = {.size = sizeof a};
	pid_t tid = syscall(SYS_gettid);
	need(syscall(SYS_sched_getattr, 0, &a, sizeof a, 0) == 0, "sched_getattr");
	tell("sched", "%d %d %u %#llx %d %u %llu %llu %llu", getpid(), tid, a.policy, (unsigned long long)a.flags, a.nice, a.priority,
		(unsigned long long)a.runtime, (unsigned long long)a.deadline, (unsigned long long)a.period);
}

static struct attributes kinds[] = {
	{.policy = 0, .nice = -15}, {.policy = 0, .nice = 19}, {.policy = 1, .priority = 1}, {.policy = 1, .priority = 99}, {.policy = 2, .priority = 50, .flags = 1 /* RESET_ON_FORK */},
	{.policy = 3, .nice = 5}, {.policy = 5}, {.policy = 6, .runtime = 10000000, .deadline = 500000000, .period = 1000000000},
	{.policy = 0, .runtime = 100000000 /* a slice, since 6.12 */},
};

static void *scheduled(void *attributes) {
	struct attributes *a = attributes;
	char name[16];
	a->size = sizeof *a;
	note(syscall(SYS_sched_setattr, 0, a, 0) == 0, "scheduling policy");
	tell_sched();
	snprintf(name, sizeof name, "sched-%d.%d", a->policy, a->policy == 1 || a->policy == 2 ? (int)a->priority : a->nice);
	settle(name);
	stay();
}

/* A thread for each policy. */
static void policies(void) {
	expect(sizeof kinds / sizeof *kinds);
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) thread(scheduled, kinds + i);
	settled();
	ready("sched-policies");
}

static const unsigned long masks[] = {1, 2, 3};

static void *bound(void *mask) {
	need(syscall(SYS_sched_setaffinity, 0, sizeof(long), mask) >= 0, "affinity");
	char name[16];
	snprintf(name, sizeof name, "cpus-%lx", *(const unsigned long *)mask);
	settle(name);
	stay();
}

static void affinity(void) {
	expect(3);
	for (int i = 0; i < 3; i++) thread(bound, masks + i);
	settled();
	ready("sched-affinity");
}

static const int priorities[] = {1 << 13 | 0, 1 << 13 | 7, 2 << 13 | 2, 3 << 13};

static void *disk(void *priority) {
	int p = *(const int *)priority;
	note(syscall(SYS_ioprio_set, 1, 0, p) == 0, "I/O priority");
	tell("ioprio", "%d %ld %ld", getpid(), syscall(SYS_gettid), syscall(SYS_ioprio_get, 1, 0));
	settle("ioprio");
	stay();
}

static void io_priorities(void) {
	expect(4);
	for (int i = 0; i < 4; i++) thread(disk, priorities + i);
	settled();
	ready("sched-ioprio");
}

/* Time in user and kernel mode that can be told from nothing. */
static void worked(void) {
	struct timespec begin, now;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &begin);
	do {
		for (volatile int i = 0; i < 1000000; i++);
		for (int i = 0; i < 1000; i++) syscall(SYS_getppid);
		clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	} while (now.tv_sec - begin.tv_sec < 1);
	if (!fork()) _exit(0);
	wait(NULL); /* and that of a child */
	ready("sched-worked");
}

const struct edge_case sched_cases[] = {{"policies", policies}, {"affinity", affinity}, {"ioprio", io_priorities}, {"worked", worked}, {0}};
