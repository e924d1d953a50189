/* task: processes whose state is hard to find in memory: what they may do, what
 * they wait for, hold and have in memory. Cases are as those of edge. What /proc
 * does not tell is told by the case itself, in files below TOLD. */
#include "../edge/edge.h"
#include <pthread.h>
#include <stdarg.h>

#define TOLD "/run/task"
#define FILES "/var/lib/task" /* where cases keep their files, on the root file system */

enum { PAGE = 4096 };

/* tell appends a line to a file below TOLD. */
void tell(const char *file, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* hex and sha256 return text in one of some buffers that are used in turn; hex takes up to 1024 bytes. */
const char *hex(const void *data, size_t n);
const char *sha256(const void *data, size_t n);

/* fill writes bytes that depend on the seed alone. */
void fill(void *to, size_t n, uint64_t seed);

/* thread starts a thread with a small stack; settled has as many threads as count,
 * and the caller, wait for each other. A thread's body calls settle when it is in place. */
void thread(void *(*body)(void *), const void *argument);
void expect(unsigned count);
void settle(const char *name);
void settled(void);

/* swap_case has its memory written to the swap area that takes pages now, and stays. */
void swap_case(const char *name) __attribute__((noreturn));

extern const struct edge_case cap_cases[], seccomp_cases[], label_cases[], key_cases[], lock_cases[], watch_cases[], ring_cases[], pipe_cases[], queue_cases[], ipc_cases[],
	timer_cases[], limit_cases[], signal_cases[], sched_cases[], page_cases[], wait_cases[];
