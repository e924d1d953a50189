#include "task.h"
#include <aio.h>
#include <arpa/inet.h>
#include <linux/aio_abi.h>
#include <linux/futex.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>

/* A process for each call that waits, named after it: what it waits in (wchan), the kernel's stack, the call and its
 * arguments, and the registers with which it entered. */
static const struct timespec week = {604800, 0};
static uint32_t word;

static void in_futex(void) {
	syscall(SYS_futex, &word, FUTEX_WAIT, 0, NULL, NULL, 0);
}

static void in_futex_time(void) {
	syscall(SYS_futex, &word, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG | FUTEX_CLOCK_REALTIME, 0, &(struct timespec){4000000000, 0}, NULL, 0xff);
}

static void in_futex_pi(void) {
	static uint32_t lock;
	lock = getppid(); /* held by its parent */
	syscall(SYS_futex, &lock, FUTEX_LOCK_PI, 0, NULL, NULL, 0);
}

static void in_nanosleep(void) {
	nanosleep(&week, NULL);
}

static void in_clock_nanosleep(void) {
	clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &(struct timespec){4000000000, 5}, NULL);
}

static void in_poll(void) {
	struct pollfd p[2] = {{eventfd(0, 0), POLLIN, 0}, {0, 0, 0}};
	poll(p, 1, 600000000);
}

static void in_ppoll(void) {
	struct pollfd p = {eventfd(0, 0), POLLIN, 0};
	sigset_t none;
	sigemptyset(&none);
	ppoll(&p, 1, NULL, &none);
}

static void in_select(void) {
	fd_set s;
	FD_ZERO(&s);
	int e = eventfd(0, 0);
	FD_SET(e, &s);
	select(e + 1, &s, NULL, NULL, NULL);
}

static void in_epoll_wait(void) {
	struct epoll_event e = {.events = EPOLLIN};
	int p = epoll_create1(0);
	epoll_ctl(p, EPOLL_CTL_ADD, eventfd(0, 0), &e);
	epoll_wait(p, &e, 1, -1);
}

static void in_accept(void) {
	int s = socket(AF_INET, SOCK_STREAM, 0);
	listen(s, 1);
	accept(s, NULL, NULL);
}

static void in_recv(void) {
	char byte;
	int p[2];
	need(socketpair(AF_UNIX, SOCK_STREAM, 0, p) == 0, "sockets");
	recv(p[0], &byte, 1, 0);
}

static void in_recv_udp(void) {
	char byte;
	struct sockaddr_in a = {.sin_family = AF_INET};
	int s = socket(AF_INET, SOCK_DGRAM, 0);
	need(bind(s, (void *)&a, sizeof a) == 0, "bind");
	recv(s, &byte, 1, 0);
}

static void sleeper(void) {
	pause();
}

static void in_wait4(void) {
	child(sleeper);
	wait(NULL);
}

static void in_waitid(void) {
	siginfo_t i;
	pid_t p = child(sleeper);
	waitid(P_PID, p, &i, WEXITED | WSTOPPED);
}

static void in_sigsuspend(void) {
	sigset_t s;
	sigfillset(&s);
	sigsuspend(&s);
}

static void in_sigtimedwait(void) {
	sigset_t s;
	sigemptyset(&s), sigaddset(&s, SIGUSR1);
	sigprocmask(SIG_BLOCK, &s, NULL);
	sigtimedwait(&s, NULL, &week);
}

static void read_from(int f) {
	char buffer[64];
	(void)!read(f, buffer, sizeof buffer);
}

static void in_read_event(void) {
	read_from(eventfd(0, 0));
}

static void in_read_timer(void) {
	int f = timerfd_create(CLOCK_MONOTONIC, 0);
	timerfd_settime(f, 0, &(struct itimerspec){{0, 0}, week}, NULL);
	read_from(f);
}

static void in_read_inotify(void) {
	read_from(inotify_init1(0));
}

static void in_read_terminal(void) {
	int f = posix_openpt(O_RDWR | O_NOCTTY);
	need(f >= 0 && grantpt(f) == 0 && unlockpt(f) == 0, "terminal");
	need(setsid() >= 0, "session"); /* so that the terminal becomes the one that controls it */
	int s = open(ptsname(f), O_RDWR);
	tell("terminals", "%d %s", getpid(), ptsname(f));
	read_from(s);
}

static void in_open_fifo(void) {
	mkfifo(FILES "/fifo-open", 0600);
	open(FILES "/fifo-open", O_WRONLY);
}

static void in_io_getevents(void) {
	aio_context_t c = 0;
	struct io_event e;
	need(syscall(SYS_io_setup, 4, &c) == 0, "io_setup");
	syscall(SYS_io_getevents, c, 1, 1, &e, NULL);
}

static void in_futex_waitv(void) {
	struct { uint64_t value, address; uint32_t flags, reserved; } v[2] = {{0, (uintptr_t)&word, 2, 0}, {0, (uintptr_t)&word, 2, 0}};
	note(syscall(449, v, 2, 0, NULL, 0) >= 0, "futex_waitv");
}

static const struct {
	const char *name;
	void (*wait)(void);
} all[] = {{"futex", in_futex}, {"futex-time", in_futex_time}, {"futex-pi", in_futex_pi}, {"nanosleep", in_nanosleep}, {"clock-nanosleep", in_clock_nanosleep}, {"poll", in_poll},
	{"ppoll", in_ppoll}, {"select", in_select}, {"epoll-wait", in_epoll_wait}, {"accept", in_accept}, {"recv", in_recv}, {"recv-udp", in_recv_udp}, {"wait4", in_wait4},
	{"waitid", in_waitid}, {"sigsuspend", in_sigsuspend}, {"sigtimedwait", in_sigtimedwait}, {"read-event", in_read_event}, {"read-timer", in_read_timer},
	{"read-inotify", in_read_inotify}, {"read-terminal", in_read_terminal}, {"open-fifo", in_open_fifo}, {"io-getevents", in_io_getevents}, {"futex-waitv", in_futex_waitv}};

static size_t next;

static void waiter(void) {
	char name[32];
	snprintf(name, sizeof name, "w-%s", all[next].name);
	prctl(PR_SET_NAME, name);
	snprintf(name, sizeof name, "wait-%s", all[next].name);
	ready(name);
	all[next].wait();
}

static void waits(void) {
	for (next = 0; next < sizeof all / sizeof *all; next++) reporter(waiter);
	ready("waits");
}

const struct edge_case wait_cases[] = {{"waits", waits}, {0}};
