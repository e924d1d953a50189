#include "task.h"
#include <sys/time.h>
#include <time.h>

/* create makes a POSIX timer and tells PID, number, clock, how and by what signal it tells, its argument, first expiry and interval in ns, and flags. */
static int create(clockid_t clock, int notify, int signo, pid_t thread, struct timespec first, struct timespec interval, int flags) {
	int id = -1;
	struct sigevent e = {.sigev_notify = notify, .sigev_signo = signo, .sigev_value.sival_ptr = (void *)0x1234567890};
	e._sigev_un._tid = thread;
	if (!note(syscall(SYS_timer_create, clock, &e, &id) == 0, "timer")) return -1;
	struct itimerspec t = {interval, first};
	need(syscall(SYS_timer_settime, id, flags, &t, NULL) == 0, "timer's time");
	tell("timers", "%d %d %d %d %d %lx %lld %lld %d", getpid(), id, clock, notify, signo, (long)e.sigev_value.sival_ptr,
		first.tv_sec * 1000000000ll + first.tv_nsec, interval.tv_sec * 1000000000ll + interval.tv_nsec, flags);
	return id;
}

static pid_t other;

static void *target(void *name) {
	other = syscall(SYS_gettid);
	settle(name);
	stay();
}

static void posix(void) {
	static const clockid_t clocks[] = {CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_BOOTTIME, CLOCK_TAI, CLOCK_PROCESS_CPUTIME_ID, CLOCK_THREAD_CPUTIME_ID,
		CLOCK_REALTIME_ALARM, CLOCK_BOOTTIME_ALARM};
	sigset_t blocked;
	sigemptyset(&blocked), sigaddset(&blocked, SIGRTMIN + 9);
	sigprocmask(SIG_BLOCK, &blocked, NULL);
	expect(1);
	thread(target, "timer target");
	settled();
	struct timespec day = {86400, 7}, week = {604800, 13}, none = {0, 0}, now;
	for (size_t i = 0; i < sizeof clocks / sizeof *clocks; i++) create(clocks[i], SIGEV_SIGNAL, SIGRTMIN + i, 0, day, i % 2 ? week : none, 0);
	create(CLOCK_MONOTONIC, SIGEV_NONE, 0, 0, week, day, 0);
	create(CLOCK_MONOTONIC, SIGEV_THREAD_ID, SIGUSR2, other, day, day, 0);
	create(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGUSR1, 0, none, none, 0); /* not armed */
	clock_gettime(CLOCK_REALTIME, &now);
	now.tv_sec += 1000000;
	create(CLOCK_REALTIME, SIGEV_SIGNAL, SIGUSR1, 0, now, none, TIMER_ABSTIME);
	/* Has expired, and its signal waits; it goes on only when that is taken. */
	create(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGRTMIN + 9, 0, (struct timespec){0, 1}, (struct timespec){0, 50000000}, 0);
	int id = create(CLOCK_MONOTONIC, SIGEV_NONE, 0, 0, day, none, 0);
	need(id < 0 || syscall(SYS_timer_delete, id) == 0, "deleted timer");
	tell("timers_deleted", "%d %d", getpid(), id);
	ready("timers");
}

static void interval(int which, long first, long again) {
	struct itimerval t = {{again, 250000}, {first, 500000}};
	need(setitimer(which, &t, NULL) == 0, "itimer");
	tell("itimers", "%d %d %ld.5 %ld.25", getpid(), which, first, again);
}

static void intervals(void) {
	interval(ITIMER_REAL, 70000, 1000), interval(ITIMER_VIRTUAL, 80000, 2000), interval(ITIMER_PROF, 90000, 3000);
	ready("itimers");
}

static void alarmed(void) {
	alarm(55555);
	ready("alarm");
}

/* More than a hash's bucket is likely to have one of. */
static void many(void) {
	for (int i = 0; i < 300; i++) create(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGRTMIN + i % 20, 0, (struct timespec){90000 + i, i}, (struct timespec){i, 0}, 0);
	ready("timers-many");
}

const struct edge_case timer_cases[] = {{"timers", posix}, {"itimers", intervals}, {"alarm", alarmed}, {"timersmany", many}, {0}};
