#include "task.h"
#include <sys/file.h>

static int file(const char *name) {
	char path[128];
	snprintf(path, sizeof path, FILES "/%s", name);
	int f = open(path, O_RDWR | O_CREAT, 0666);
	need(f >= 0 && ftruncate(f, 100000) == 0, path);
	return f;
}

static int range(int f, int op, short type, off_t start, off_t length) {
	struct flock l = {.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = length};
	return fcntl(f, op, &l);
}

static void wait_flock(void) {
	flock(file("flock"), LOCK_SH);
}

static void wait_range(void) {
	range(file("posix"), F_SETLKW, F_WRLCK, 10, 5);
}

static void wait_behind(void) {
	range(file("posix"), F_SETLKW, F_RDLCK, 12, 1);
}

static void wait_open(void) {
	range(file("ofd"), F_OFD_SETLKW, F_WRLCK, 0, 0);
}

static void holds(void) {
	need(flock(file("flock"), LOCK_EX) == 0, "flock");
	need(flock(file("shared"), LOCK_SH) == 0 && flock(file("shared"), LOCK_SH) == 0, "shared flock");
	int p = file("posix"), o = file("ofd"), again = file("ofd");
	need(range(p, F_SETLK, F_WRLCK, 10, 5) == 0 && range(p, F_SETLK, F_RDLCK, 100, 50) == 0 && range(p, F_SETLK, F_RDLCK, 1ll << 40, 0) == 0, "POSIX lock");
	need(range(p, F_SETLK, F_WRLCK, 120, 10) == 0, "part of a lock");
	need(range(o, F_OFD_SETLK, F_WRLCK, 1000, 1) == 0 && range(again, F_OFD_SETLK, F_RDLCK, 2000, 3) == 0, "OFD lock");
	child(wait_flock), child(wait_range), child(wait_behind), child(wait_open);
	ready("locks");
}

/* Leases: for reading, for writing; one that is being broken, for which another waits. */
static void breaker(void) {
	open(FILES "/lease-breaking", O_RDONLY);
}

static void leases(void) {
	signal(SIGIO, SIG_IGN), signal(SIGRTMIN + 3, SIG_IGN);
	write_file("/proc/sys/fs/lease-break-time", "100000");
	close(file("lease-read"));
	int r = open(FILES "/lease-read", O_RDONLY), w = file("lease-write"), b = file("lease-breaking");
	note(fcntl(r, F_SETLEASE, F_RDLCK) == 0, "read lease");
	note(fcntl(w, F_SETLEASE, F_WRLCK) == 0, "write lease");
	if (note(fcntl(b, F_SETLEASE, F_WRLCK) == 0, "lease to break")) child(breaker), sleep(1);
	int d = open(FILES, O_RDONLY | O_DIRECTORY);
	need(fcntl(d, F_SETSIG, SIGRTMIN + 3) == 0, "signal of a descriptor");
	note(fcntl(d, F_NOTIFY, DN_CREATE | DN_DELETE | DN_MULTISHOT) == 0, "dnotify");
	int own = file("owned"), pid = file("owned");
	struct f_owner_ex thread = {F_OWNER_TID, getpid()}, group = {F_OWNER_PGRP, getpgrp()};
	note(fcntl(own, F_SETOWN_EX, &thread) == 0 && fcntl(pid, F_SETOWN_EX, &group) == 0, "owner of a descriptor");
	ready("leases");
}

/* Locks of an open file that two processes have, and of one that has no name any more. */
static void inherits(void) {
	ready("lock-inherited");
}

static void shared(void) {
	need(flock(file("inherited"), LOCK_EX) == 0, "flock");
	int f = file("lock-deleted");
	need(range(f, F_OFD_SETLK, F_WRLCK, 0, 0) == 0 && unlink(FILES "/lock-deleted") == 0, "lock of a deleted file");
	reporter(inherits);
	int m = memfd_create("locked", 0);
	need(range(m, F_SETLK, F_WRLCK, 3, 4) == 0, "lock of a memfd");
	ready("lock-shared");
}

static void *by_thread(void *name) {
	need(range(file("thread"), F_SETLK, F_WRLCK, 77, 1) == 0, "POSIX lock by a thread");
	settle(name);
	stay();
}

static void threads(void) {
	expect(1);
	thread(by_thread, "locker");
	settled();
	ready("lock-thread");
}

const struct edge_case lock_cases[] = {{"locks", holds}, {"leases", leases}, {"lockshared", shared}, {"lockthread", threads}, {0}};
