#include "task.h"

static void by_number(int s) {
	(void)s;
}

static void by_info(int s, siginfo_t *i, void *context) {
	(void)s, (void)i, (void)context;
}

/* act tells PID, signal, handler, flags and mask (in hex, as libc passes them). */
static void act(int s, void *handler, int flags, sigset_t mask) {
	struct sigaction a = {.sa_flags = flags, .sa_mask = mask};
	if (flags & SA_SIGINFO) a.sa_sigaction = handler;
	else a.sa_handler = handler;
	need(sigaction(s, &a, NULL) == 0, "sigaction");
	tell("handlers", "%d %d %p %#x %s", getpid(), s, handler, flags, hex(&mask, 8));
}

static sigset_t of(int first, int last) {
	sigset_t s;
	sigemptyset(&s);
	for (int i = first; i <= last; i++) sigaddset(&s, i);
	return s;
}

/* Handlers of every kind; every signal either handled, ignored or left. */
static void handled(void) {
	sigset_t none = of(1, 0), some = of(SIGUSR1, SIGUSR2), all = of(1, 64);
	act(SIGHUP, by_number, 0, none), act(SIGINT, by_info, SA_SIGINFO, some), act(SIGQUIT, by_number, SA_RESTART, all), act(SIGUSR1, by_info, SA_SIGINFO | SA_NODEFER | SA_RESTART, none);
	act(SIGUSR2, by_number, SA_RESETHAND, some), act(SIGSEGV, by_info, SA_SIGINFO | SA_ONSTACK, all), act(SIGCHLD, by_number, SA_NOCLDSTOP | SA_NOCLDWAIT, none);
	act(SIGALRM, SIG_IGN, 0, none), act(SIGTERM, SIG_IGN, SA_RESTART, none), act(SIGTSTP, SIG_IGN, 0, none);
	for (int s = SIGRTMIN; s <= SIGRTMAX; s += 3) act(s, by_info, SA_SIGINFO, of(s, SIGRTMAX));
	stack_t stack = {.ss_sp = malloc(65536), .ss_size = 65536};
	need(sigaltstack(&stack, NULL) == 0, "sigaltstack");
	tell("sigaltstack", "%d %p %zu", getpid(), stack.ss_sp, stack.ss_size);
	ready("signals-handled");
}

static pid_t tid;

static void *blocker(void *name) {
	sigset_t s = of(1, 64);
	tid = syscall(SYS_gettid);
	pthread_sigmask(SIG_BLOCK, &s, NULL);
	settle(name);
	stay();
}

/* queue tells PID, thread or 0, signal, code, value and sender. */
static void queue(pid_t thread, int s, int value) {
	siginfo_t i = {.si_signo = s, .si_code = thread ? SI_TKILL - 100 : SI_QUEUE, .si_pid = getpid(), .si_uid = 4242, .si_value.sival_int = value};
	long r = thread ? syscall(SYS_rt_tgsigqueueinfo, getpid(), thread, s, &i) : syscall(SYS_rt_sigqueueinfo, getpid(), s, &i);
	if (note(r == 0, "queued signal")) tell("queued", "%d %d %d %d %d %d", getpid(), thread, s, i.si_code, value, getpid());
}

/* Pending for the process, for a thread; once and many times; with values. */
static void pending(void) {
	sigset_t blocked = of(1, 64);
	sigprocmask(SIG_BLOCK, &blocked, NULL);
	expect(1);
	thread(blocker, "pending thread");
	settled();
	for (int i = 0; i < 5; i++) queue(0, SIGRTMIN + 4, 1000 + i), queue(tid, SIGRTMIN + 6, 2000 + i);
	queue(0, SIGRTMAX, -1), queue(tid, SIGUSR1, 5), queue(0, SIGUSR2, 6);
	need(kill(getpid(), SIGTERM) == 0 && kill(getpid(), SIGTERM) == 0 && syscall(SYS_tgkill, getpid(), tid, SIGHUP) == 0, "kill");
	tell("queued", "%d 0 %d %d 0 %d", getpid(), SIGTERM, SI_USER, getpid());
	tell("queued", "%d %d %d %d 0 %d", getpid(), tid, SIGHUP, SI_TKILL, getpid());
	ready("signals-pending");
}

static void leave(void) {
	_exit(5);
}

/* From a child's end, from a parent in another namespace, and by the kernel for a fault that is yet to be handled. */
static void of_child(void) {
	sigset_t blocked = of(SIGCHLD, SIGCHLD);
	sigprocmask(SIG_BLOCK, &blocked, NULL);
	pid_t p = child(leave);
	siginfo_t i;
	need(waitid(P_PID, p, &i, WEXITED | WNOWAIT) == 0, "waitid");
	tell("queued", "%d 0 %d %d %d %d", getpid(), SIGCHLD, CLD_EXITED, 5, p);
	ready("signals-child");
}

/* Stopped, with signals pending that it cannot take before it goes on. */
static void stop(void) {
	ready("signals-stopped");
	raise(SIGSTOP);
}

static void stopped(void) {
	pid_t p = reporter(stop);
	siginfo_t i;
	need(waitid(P_PID, p, &i, WSTOPPED | WNOWAIT) == 0, "waitid");
	need(kill(p, SIGTERM) == 0 && kill(p, SIGUSR1) == 0, "kill");
	tell("queued", "%d 0 %d %d 0 %d", p, SIGTERM, SI_USER, getpid());
	tell("queued", "%d 0 %d %d 0 %d", p, SIGUSR1, SI_USER, getpid());
	hush();
}

/* A session of its own with process groups, without a terminal. */
static void group(void) {
	need(setpgid(0, 0) == 0, "process group");
	ready("group");
}

static void session(void) {
	pid_t p = fork();
	need(p >= 0, "fork");
	if (p) {
		hush();
		return;
	}
	need(setsid() > 0, "session");
	reporter(group);
	ready("session");
	stay();
}

const struct edge_case signal_cases[] = {{"handled", handled}, {"pending", pending}, {"sigchild", of_child}, {"sigstop", stopped}, {"session", session}, {0}};
