#include "task.h"
#include <linux/io_uring.h>
#include <sys/eventfd.h>
#include <sys/uio.h>

struct ring {
	int fd;
	struct io_uring_params params;
	struct io_uring_sqe *sqe;
	uint32_t *tail, *array;
};

static struct ring open_ring(unsigned entries, unsigned flags) {
	struct ring r = {.params = {.flags = flags, .sq_thread_idle = 50}};
	r.fd = syscall(SYS_io_uring_setup, entries, &r.params);
	if (!note(r.fd >= 0, "io_uring")) _exit(1);
	struct io_sqring_offsets *o = &r.params.sq_off;
	char *sq = mmap(0, o->array + r.params.sq_entries * 4, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, r.fd, IORING_OFF_SQ_RING);
	r.sqe = mmap(0, r.params.sq_entries * sizeof *r.sqe, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, r.fd, IORING_OFF_SQES);
	need(sq != MAP_FAILED && r.sqe != MAP_FAILED, "io_uring's memory");
	r.tail = (uint32_t *)(sq + o->tail), r.array = (uint32_t *)(sq + o->array);
	return r;
}

static void put(struct ring *r, struct io_uring_sqe e) {
	unsigned at = *r->tail % r->params.sq_entries;
	r->sqe[at] = e;
	r->array[at] = at;
	__atomic_store_n(r->tail, *r->tail + 1, __ATOMIC_RELEASE);
}

static int enroll(struct ring *r, unsigned op, void *what, unsigned n) {
	return note(syscall(SYS_io_uring_register, r->fd, op, what, n) == 0, "registered with io_uring");
}

/* Registered files (one slot empty) and buffers; requests that wait; one that is not submitted; completions that nobody took. */
static void busy(void) {
	struct ring r = open_ring(8, 0);
	int p[2], event = eventfd(0, 0), file = open("/etc/passwd", O_RDONLY);
	need(pipe(p) == 0, "pipe");
	int files[] = {file, -1, p[0]};
	static char buffers[3][PAGE] __attribute__((aligned(PAGE)));
	struct iovec vectors[] = {{buffers[0], 100}, {buffers[1], PAGE}};
	enroll(&r, IORING_REGISTER_FILES, files, 3);
	enroll(&r, IORING_REGISTER_BUFFERS, vectors, 2);
	enroll(&r, IORING_REGISTER_EVENTFD, &event, 1);
	put(&r, (struct io_uring_sqe){.opcode = IORING_OP_NOP, .user_data = 1});
	put(&r, (struct io_uring_sqe){.opcode = IORING_OP_POLL_ADD, .fd = p[0], .poll_events = 1, .user_data = 0xabcdef0123456789});
	put(&r, (struct io_uring_sqe){.opcode = IORING_OP_READ, .fd = p[0], .addr = (uintptr_t)buffers[2], .len = 10, .user_data = 3});
	static struct { int64_t seconds, nanoseconds; } later = {90000, 0};
	put(&r, (struct io_uring_sqe){.opcode = IORING_OP_TIMEOUT, .fd = -1, .addr = (uintptr_t)&later, .len = 1, .off = 0, .user_data = 4});
	need(syscall(SYS_io_uring_enter, r.fd, 4, 0, 0, NULL, 0) == 4, "submit");
	put(&r, (struct io_uring_sqe){.opcode = IORING_OP_FSYNC, .fd = file, .user_data = 5});
	tell("io_uring", "%d %d %u %u", getpid(), r.fd, r.params.sq_entries, r.params.cq_entries);
	close(file); /* the ring holds it alone */
	ready("io_uring-busy");
}

/* Other layouts of entries, a thread of the kernel's that submits, a ring that another ring's thread serves. */
static void layouts(void) {
	static const unsigned flags[] = {IORING_SETUP_CQSIZE, 1u << 10 /* SQE128 */ | 1u << 11 /* CQE32 */, 1u << 8 /* COOP_TASKRUN */, 1u << 12 | 1u << 13 /* SINGLE_ISSUER, DEFER_TASKRUN */};
	for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
		struct io_uring_params p = {.flags = flags[i], .cq_entries = flags[i] & IORING_SETUP_CQSIZE ? 64 : 0};
		int f = syscall(SYS_io_uring_setup, 2, &p);
		if (note(f >= 0, "io_uring of this layout")) tell("io_uring", "%d %d %u %u", getpid(), f, p.sq_entries, p.cq_entries);
	}
	struct io_uring_params first = {.flags = IORING_SETUP_SQPOLL | IORING_SETUP_SQ_AFF, .sq_thread_cpu = 1, .sq_thread_idle = 10}, second = {.flags = IORING_SETUP_SQPOLL | IORING_SETUP_ATTACH_WQ, .sq_thread_idle = 10};
	int one = syscall(SYS_io_uring_setup, 4, &first);
	if (note(one >= 0, "io_uring with a poller")) {
		second.wq_fd = one;
		note(syscall(SYS_io_uring_setup, 4, &second) >= 0, "io_uring with another's poller");
	}
	ready("io_uring-layouts");
}

const struct edge_case ring_cases[] = {{"ringbusy", busy}, {"ringlayout", layouts}, {0}};
