#include "task.h"
#include <sys/uio.h>

/* told writes what can be read from a descriptor without ending it: PID, number, length and digest, and the capacity. */
static void told(int fd, const void *data, size_t n) {
	tell("pipes", "%d %d %zu %s %d", getpid(), fd, n, sha256(data, n), fcntl(fd, F_GETPIPE_SZ));
}

static char data[1 << 20];

static int fresh(int p[2], int flags, int capacity) {
	need(pipe2(p, flags) == 0, "pipe");
	return capacity == 0 || note(fcntl(p[1], F_SETPIPE_SZ, capacity) >= capacity, "size of a pipe");
}

static void put(int fd, size_t from, size_t n) {
	need(write(fd, data + from, n) == (ssize_t)n, "write into a pipe");
}

/* Empty, one write, several merged in a page, full, grown, shrunk, read in part, as packets. */
static void contents(void) {
	int p[2];
	char got[9000];
	fill(data, sizeof data, 3);
	fresh(p, 0, 0), told(p[0], data, 0);
	fresh(p, 0, 0), put(p[1], 0, 3), put(p[1], 3, 5000), put(p[1], 5003, 1), told(p[0], data, 5004);
	fresh(p, O_NONBLOCK, 0), put(p[1], 0, 65536), told(p[0], data, 65536);
	if (fresh(p, 0, 1 << 20)) put(p[1], 0, 1 << 20), told(p[0], data, 1 << 20);
	fresh(p, 0, PAGE), put(p[1], 10, 4000), told(p[0], data + 10, 4000);
	fresh(p, 0, 0), put(p[1], 0, 20000), need(read(p[0], got, 9000) == 9000, "read"), told(p[0], data + 9000, 11000);
	fresh(p, 0, 0), put(p[1], 0, 60000); /* around the end of the ring */
	for (int i = 0; i < 6; i++) need(read(p[0], got, 8192) == 8192, "read");
	put(p[1], 60000, 40000), told(p[0], data + 6 * 8192, 100000 - 6 * 8192);
	fresh(p, O_DIRECT, 0), put(p[1], 0, 10), put(p[1], 10, 20), put(p[1], 30, 4096), told(p[0], data, 4126);
	ready("pipe-contents");
}

/* Pages of a file, of the process itself, of another pipe. */
static void borrowed(void) {
	int p[2], copy[2];
	loff_t at = 100;
	fill(data, sizeof data, 4);
	int f = open(FILES "/spliced", O_RDWR | O_CREAT | O_TRUNC, 0600);
	need(f >= 0 && pwrite(f, data, 20000, 0) == 20000, "file");
	fresh(p, 0, 0), need(splice(f, &at, p[1], NULL, 12000, 0) == 12000, "splice"), told(p[0], data + 100, 12000);
	fresh(copy, 0, 0), need(tee(p[0], copy[1], 12000, 0) == 12000, "tee"), told(copy[0], data + 100, 12000);
	static char own[3 * PAGE] __attribute__((aligned(PAGE)));
	fill(own, sizeof own, 5);
	struct iovec v = {own + 7, 2 * PAGE};
	fresh(p, 0, 0), need(vmsplice(p[1], &v, 1, 0) == 2 * PAGE, "vmsplice"), told(p[0], own + 7, 2 * PAGE);
	ready("pipe-borrowed");
}

/* Held by two processes: this one keeps the ends for reading, its child those for writing, which it waits to fill. */
static int ends[2], other[2];

static void writer(void) {
	close(ends[0]), close(other[0]);
	ready("pipe-writer");
	for (;;) put(ends[1], 0, 65536);
}

static void shared(void) {
	need(pipe(ends) == 0 && pipe(other) == 0, "pipe");
	fill(data, sizeof data, 3);
	reporter(writer);
	close(ends[1]), close(other[1]);
	sleep(1);
	told(ends[0], data, 65536);
	prctl(PR_SET_NAME, "task-pipe-wait");
	ready("pipe-reader");
	char byte;
	(void)!read(other[0], &byte, 1);
}

/* A named pipe with content, one that nobody has open at the other end, and half closed ones. */
static void named(void) {
	int p[2];
	fill(data, sizeof data, 6);
	mkfifo(FILES "/fifo", 0600), mkfifo(FILES "/fifo-alone", 0600);
	int f = open(FILES "/fifo", O_RDWR);
	need(f >= 0, "fifo");
	put(f, 0, 777), told(f, data, 777);
	need(open(FILES "/fifo-alone", O_RDONLY | O_NONBLOCK) >= 0, "fifo");
	fresh(p, 0, 0), put(p[1], 0, 99), close(p[1]), told(p[0], data, 99);
	fresh(p, 0, 0), put(p[1], 0, 55), close(p[0]);
	ready("pipe-named");
}

const struct edge_case pipe_cases[] = {{"pipes", contents}, {"pipeborrow", borrowed}, {"pipeshared", shared}, {"fifo", named}, {0}};
