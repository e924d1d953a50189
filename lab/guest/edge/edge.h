/* edge: processes that are hard to describe from the outside. Each case sets
 * itself up, reports that it is in place, and then stays as it is. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#define SELF "/proc/self/exe"
#define DIR "/var/lib/edge" /* where cases keep their files, on the root file system */

/* ready tells the parent that the calling process is the case NAME, in place,
 * by its PID in the PID namespace of /proc; it leaves no file open. */
void ready(const char *name);

/* hush closes what ready needs. Until every copy of it is closed, the parent waits. */
void hush(void);

/* stay does not return. */
void stay(void) __attribute__((noreturn));

/* need ends the calling case with a message on stderr unless ok; optional
 * facilities use note instead, which only says what is missing. */
void need(int ok, const char *what);
int note(int ok, const char *what);

/* write_file writes text to an existing or new file; it returns 0 or -1. */
int write_file(const char *path, const char *text);

/* child and reporter fork; the child runs body and then stays. They return the
 * PID. Only a reporter's body may call ready. */
pid_t child(void (*body)(void));
pid_t reporter(void (*body)(void));

/* exec_case executes this program again as the case NAME, with these arguments
 * and environment (the case is passed in the environment as EDGE=NAME, last). */
void exec_case(const char *name, char **argv, char **env) __attribute__((noreturn));

struct edge_case {
	const char *name;
	void (*body)(void); /* runs in a child of its own */
};

/* open_report makes what ready needs; start starts a table of cases; collect waits
 * until all have reported and writes the lines to OUT. */
void open_report(void);
void start(const struct edge_case *c);
void collect(const char *out);

/* The program's name, before that of the case in the names of processes. */
extern const char program[];

/* big_pids starts processes with large PIDs, one after the other. */
void big_pids(void);

extern const struct edge_case state_cases[], arg_cases[], fd_cases[], ns_cases[], mm_cases[], thread_cases[];

/* stage runs the second half of a case, after exec_case. */
void arg_stage(const char *name, int argc, char **argv, char **envp);
