/* trace: a process whose stack is known, for debuggers to show: calls in calls, through
 * a function that libc calls back, a signal handler upon them, and threads that wait. */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int ends[2];

/* wait_here is where all wait: nobody ever writes. */
static __attribute__((noinline)) int wait_here(int depth) {
	char byte;
	return (int)read(ends[0], &byte, 1) + depth;
}

static __attribute__((noinline)) int inner(int depth, const char *text) {
	volatile char local[64];
	snprintf((char *)local, sizeof local, "%s at %d", text, depth);
	return depth ? inner(depth - 1, text) + local[0] : wait_here(local[1]) + 1;
}

static int compare(const void *a, const void *b) {
	return inner(3, "called back") + *(const int *)a - *(const int *)b;
}

static void handler(int s) {
	int two[] = {s, 1};
	qsort(two, 2, sizeof *two, compare);
}

static __attribute__((noinline)) int outer(double x, long long y) {
	raise(SIGUSR1);
	return (int)x + (int)y;
}

static void *worker(void *name) {
	inner(*(const char *)name - 'a', name);
	return NULL;
}

int main(void) {
	pthread_t t;
	if (pipe(ends)) return 1;
	signal(SIGUSR1, handler);
	pthread_create(&t, NULL, worker, "b thread");
	pthread_create(&t, NULL, worker, "e thread");
	return outer(1.5, 7);
}
