#include "edge.h"
#include <pthread.h>

static pthread_barrier_t settled;

static void __attribute__((noreturn)) settle(const char *name) {
	prctl(PR_SET_NAME, name);
	pthread_barrier_wait(&settled);
	stay();
}

static void *plain(void *name) {
	settle(name);
}

/* A thread with its own working directory. */
static void *own_fs(void *name) {
	need(unshare(CLONE_FS) == 0 && chdir("/tmp") == 0, "CLONE_FS");
	settle(name);
}

/* A thread with its own descriptors. */
static void *own_files(void *name) {
	need(unshare(CLONE_FILES) == 0 && open("/dev/full", O_RDONLY) >= 0, "CLONE_FILES");
	close(0);
	hush();
	settle(name);
}

/* A thread in another network and UTS namespace. */
static void *own_ns(void *name) {
	need(unshare(CLONE_NEWNET | CLONE_NEWUTS) == 0, "unshare");
	settle(name);
}

/* A thread with other credentials; the library's own call would change all threads. */
static void *own_creds(void *name) {
	need(syscall(SYS_setresuid, 3001, 3002, 3003) == 0, "setresuid");
	settle(name);
}

static void begin(void *(*body)(void *), const char *name) {
	pthread_t t;
	pthread_attr_t a;
	pthread_attr_init(&a);
	pthread_attr_setstacksize(&a, 65536);
	need(pthread_create(&t, &a, body, (void *)name) == 0, "pthread_create");
}

static void threads(void) {
	pthread_barrier_init(&settled, NULL, 8);
	begin(plain, "worker one");
	begin(plain, "two)\n(\xff");
	begin(plain, "");
	begin(own_fs, "own cwd");
	begin(own_files, "own files");
	begin(own_ns, "own netns");
	begin(own_creds, "own creds");
	pthread_barrier_wait(&settled);
	ready("threads");
}

static void *outlive(void *leader) {
	pthread_join(*(pthread_t *)leader, NULL);
	usleep(200000); /* the kernel's exit of the leader follows its join */
	prctl(PR_SET_NAME, "survivor");
	ready("dead-leader");
	stay();
}

/* The thread group's leader has exited: a zombie whose group lives on. */
static void dead_leader(void) {
	static pthread_t self, t;
	self = pthread_self();
	need(pthread_create(&t, NULL, outlive, &self) == 0, "pthread_create");
	pthread_exit(NULL);
}

/* A thread that the kernel itself made for the process: io_uring's poller. */
static void kernel_made(void) {
	uint32_t params[64] = {[2] = 2 /* IORING_SETUP_SQPOLL */, [4] = 50 /* idle after, ms */};
	int f = syscall(SYS_io_uring_setup, 4, params);
	note(f >= 0, "io_uring with a poller");
	ready("io-thread");
}

const struct edge_case thread_cases[] = {{"threads", threads}, {"deadlead", dead_leader}, {"iothread", kernel_made}, {0}};
