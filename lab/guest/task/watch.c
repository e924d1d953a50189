#include "task.h"
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/fanotify.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <linux/userfaultfd.h>

static void watch(int epoll, int fd, uint32_t events, uint64_t data) {
	struct epoll_event e = {.events = events, .data.u64 = data};
	need(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e) == 0, "epoll");
}

/* Instances in instances; one file under two numbers; a target that is closed here but held elsewhere; many targets. */
static void epolls(void) {
	int p[2], outer = epoll_create1(0), inner = epoll_create1(0), innermost = epoll_create1(0);
	need(pipe(p) == 0, "pipe");
	int event = eventfd(7, 0);
	watch(innermost, event, EPOLLIN, 1);
	watch(inner, innermost, EPOLLIN | EPOLLET, 0xfedcba9876543210);
	watch(outer, inner, EPOLLIN | EPOLLONESHOT, 2);
	watch(outer, p[0], EPOLLIN | EPOLLPRI | EPOLLRDHUP | EPOLLWAKEUP, (uintptr_t)&outer);
	watch(outer, p[1], EPOLLOUT | EPOLLEXCLUSIVE, 4);
	int copy = dup(event);
	watch(outer, event, EPOLLIN, 5), watch(outer, copy, EPOLLERR, 6);
	int hidden = eventfd(0, 0), held = dup(hidden);
	watch(outer, hidden, EPOLLIN, 7);
	close(hidden); /* its watch stays, for held has the file */
	tell("epoll", "%d %d %d", getpid(), hidden, held);
	int many = epoll_create1(EPOLL_CLOEXEC);
	for (int i = 0; i < 300; i++) watch(many, eventfd(i, EFD_NONBLOCK), i % 2 ? EPOLLIN : EPOLLIN | EPOLLET, (uint64_t)i << 32 | i);
	ready("epoll");
}

static void inotifies(void) {
	int i = inotify_init1(IN_NONBLOCK), empty = inotify_init1(0);
	need(i >= 0 && empty >= 0 && (mkdir(FILES "/watched", 0755) == 0 || errno == EEXIST), "inotify");
	int w[] = {inotify_add_watch(i, FILES "/watched", IN_ALL_EVENTS), inotify_add_watch(i, "/etc/passwd", IN_MODIFY | IN_ONESHOT),
		inotify_add_watch(i, "/proc", IN_OPEN | IN_EXCL_UNLINK | IN_ONLYDIR)};
	need(write_file(FILES "/watched/event one", "x") == 0 && rename(FILES "/watched/event one", FILES "/watched/two") == 0, "events");
	need(write_file(FILES "/watched/gone", "x") == 0, "file");
	int held = open(FILES "/watched/gone", O_RDONLY), gone = inotify_add_watch(i, FILES "/watched/gone", IN_ATTRIB | IN_DELETE_SELF);
	need(held >= 0 && unlink(FILES "/watched/gone") == 0, "unlink");
	int removed = inotify_add_watch(i, "/tmp", IN_CREATE);
	need(inotify_rm_watch(i, removed) == 0, "removed watch");
	tell("inotify", "%d %d %d:%s/watched %d:/etc/passwd %d:/proc %d:%s/watched/gone", getpid(), i, w[0], FILES, w[1], w[2], gone, FILES);
	ready("inotify");
}

static void mark(int f, unsigned how, uint64_t mask, const char *path) {
	note(fanotify_mark(f, FAN_MARK_ADD | how, mask, AT_FDCWD, path) == 0, path);
}

static void fanotifies(void) {
	int content = fanotify_init(FAN_CLASS_CONTENT | FAN_NONBLOCK | FAN_UNLIMITED_QUEUE, O_RDONLY | O_LARGEFILE), id = fanotify_init(FAN_CLASS_NOTIF | FAN_REPORT_FID, O_RDWR);
	need(content >= 0, "fanotify");
	need(mkdir(FILES "/watched", 0755) == 0 || errno == EEXIST, "directory");
	need(write_file(FILES "/fanotify", "x") == 0, "file");
	mark(content, 0, FAN_MODIFY | FAN_CLOSE_WRITE, FILES "/fanotify");
	mark(content, FAN_MARK_MOUNT, FAN_OPEN_EXEC, "/run");
	mark(content, FAN_MARK_FILESYSTEM, FAN_CLOSE_WRITE, "/sys/fs/cgroup");
	mark(content, FAN_MARK_IGNORED_MASK | FAN_MARK_IGNORED_SURV_MODIFY, FAN_MODIFY, FILES "/fanotify");
	mark(content, FAN_MARK_ONLYDIR, FAN_ONDIR | FAN_OPEN | FAN_EVENT_ON_CHILD, FILES "/watched");
	mark(content, 0, FAN_OPEN_PERM, FILES "/fanotify");
	if (note(id >= 0, "fanotify that reports handles")) mark(id, FAN_MARK_FILESYSTEM, FAN_CREATE | FAN_DELETE | FAN_ONDIR, FILES);
	need(write_file("/sys/fs/cgroup/cgroup.max.depth", "max") == 0, "event");
	ready("fanotify");
}

/* Descriptors that count: events, signals, time. */
static void counters(void) {
	sigset_t some, all;
	sigemptyset(&some), sigaddset(&some, SIGUSR2), sigaddset(&some, SIGRTMIN + 5), sigfillset(&all);
	need(eventfd(41, EFD_SEMAPHORE) >= 0, "eventfd");
	int full = eventfd(0, EFD_NONBLOCK);
	uint64_t most = UINT64_MAX - 1;
	need(write(full, &most, 8) == 8, "eventfd");
	need(signalfd(-1, &some, 0) >= 0 && signalfd(-1, &all, SFD_NONBLOCK) >= 0, "signalfd");
	static const int clocks[] = {CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_BOOTTIME, CLOCK_REALTIME_ALARM, CLOCK_BOOTTIME_ALARM};
	for (size_t i = 0; i < sizeof clocks / sizeof *clocks; i++) {
		struct itimerspec t = {{3600 + i, 5}, {100000 + i, 999}};
		int f = timerfd_create(clocks[i], 0);
		if (note(f >= 0 && timerfd_settime(f, 0, &t, NULL) == 0, "timerfd")) tell("timerfd", "%d %d %d %zu", getpid(), f, clocks[i], i);
	}
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	struct itimerspec later = {{0, 0}, {now.tv_sec + 500000, 1}}, soon = {{0, 20000000}, {0, 1}}, once = {{0, 0}, {0, 1}};
	need(timerfd_settime(timerfd_create(CLOCK_REALTIME, 0), TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &later, NULL) == 0, "timerfd");
	int ticks = timerfd_create(CLOCK_MONOTONIC, 0);
	need(timerfd_settime(ticks, 0, &soon, NULL) == 0, "timerfd");
	usleep(200000);
	need(timerfd_gettime(ticks, &soon) == 0, "timerfd"); /* counts what has passed; it expires once more and waits to be read */
	need(timerfd_settime(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK), 0, &once, NULL) == 0, "timerfd");
	need(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK) >= 0, "timerfd that was never set");
	ready("counters");
}

static void leave(void) {
	_exit(3);
}

static int pidfd(pid_t p, unsigned flags, const char *what) {
	int f = syscall(SYS_pidfd_open, p, flags);
	note(f >= 0, what);
	return f;
}

static pid_t tid;

static void *target(void *name) {
	tid = syscall(SYS_gettid);
	settle(name);
	stay();
}

/* Of its parent, itself, a thread, a zombie and one that is gone. */
static void pidfds(void) {
	int zombie = 0, gone = 0;
	expect(1);
	thread(target, "pidfd target");
	settled();
	pid_t z = child(leave), g = child(leave);
	siginfo_t i;
	need(waitid(P_PID, z, &i, WEXITED | WNOWAIT) == 0, "waitid");
	zombie = pidfd(z, 0, "pidfd of a zombie"), gone = pidfd(g, 0, "pidfd");
	need(waitpid(g, NULL, 0) == g, "waitpid");
	int parent = pidfd(getppid(), 0, "pidfd"), self = pidfd(getpid(), O_NONBLOCK, "pidfd that does not block"), thread_fd = pidfd(tid, O_EXCL, "pidfd of a thread");
	tell("pidfd", "%d %d:%d %d:%d %d:%d %d:%d %d:%d", getpid(), zombie, z, gone, g, parent, getppid(), self, getpid(), thread_fd, tid);
	ready("pidfd");
}

/* Page faults handled by the process; one is waited for. */
static char *missing;

static void *toucher(void *name) {
	prctl(PR_SET_NAME, name);
	settled();
	*(volatile char *)missing = 1;
	stay();
}

static void faults(void) {
	int f = syscall(SYS_userfaultfd, O_NONBLOCK);
	struct uffdio_api api = {.api = UFFD_API};
	need(f >= 0 && ioctl(f, UFFDIO_API, &api) == 0, "userfaultfd");
	missing = mmap(0, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct uffdio_register r = {.range = {(uintptr_t)missing, 4 * PAGE}, .mode = UFFDIO_REGISTER_MODE_MISSING}, w = {.range = {(uintptr_t)missing + 4 * PAGE, 4 * PAGE}, .mode = UFFDIO_REGISTER_MODE_WP};
	need(ioctl(f, UFFDIO_REGISTER, &r) == 0, "userfaultfd area");
	memset(missing + 4 * PAGE, 'w', 4 * PAGE);
	if (note(ioctl(f, UFFDIO_REGISTER, &w) == 0, "userfaultfd for writing")) {
		struct uffdio_writeprotect p = {.range = {(uintptr_t)missing + 5 * PAGE, PAGE}, .mode = UFFDIO_WRITEPROTECT_MODE_WP};
		note(ioctl(f, UFFDIO_WRITEPROTECT, &p) == 0, "write protected page");
	}
	expect(1);
	thread(toucher, "page faulter");
	settled();
	tell("userfaultfd", "%d %d %p", getpid(), f, (void *)missing);
	ready("userfaultfd");
}

const struct edge_case watch_cases[] = {{"epoll", epolls}, {"inotify", inotifies}, {"fanotify", fanotifies}, {"counters", counters}, {"pidfd", pidfds},
	{"uffd", faults}, {0}};
