#include "edge.h"
#include <linux/prctl.h>

/* Every case here ends in exec_case; what follows the exec is in arg_stage. */

static void bytes(void) {
	char *argv[] = {"edge-bytes", "\xff\xfe", "caf\xe9", "", "two\nlines", "tab\there", "\xed\xb3\xbf", "\xf0\x9f\x90\xa7", "", NULL};
	char *env[] = {"LATIN=\xe9t\xe9", "BROKEN=\x80\x81\xc3", "NOEQUALS", "=empty", "", "DUP=1", "DUP=2", "LINES=a\nb", NULL};
	exec_case("bytes", argv, env);
}

/* fill returns a string of n bytes, no two of its 16-byte lines alike. */
static char *fill(size_t n) {
	char *s = malloc(n + 17);
	for (size_t i = 0; i < n; i += 16) snprintf(s + i, 17, "%08x-------.", (unsigned)i);
	s[n] = 0;
	return s;
}

/* More than 128 KiB of arguments, one of them as long as the kernel permits, and as much environment. */
static void longargs(void) {
	char *argv[] = {"edge-long", fill(131071), fill(100000), fill(4096), fill(4095), "last", NULL};
	char *var = fill(70000);
	memcpy(var, "LONG=", 5);
	char *env[] = {var, "SHORT=1", NULL};
	exec_case("long", argv, env);
}

/* No argv[0] at all; newer kernels make it one empty string. */
static void noargs(void) {
	char *argv[] = {NULL};
	exec_case("noargs", argv, NULL);
}

static void titled(const char *stage) {
	char *argv[] = {"edge-title: a name that is overwritten", "--first", "--second", NULL};
	char *env[] = {"PATH=/usr/bin", "SECOND=this is overwritten too, if the title is long", "THIRD=3", NULL};
	exec_case(stage, argv, env);
}

static void title_short(void) { titled("title-short"); }
static void title_fill(void) { titled("title-fill"); }
static void title_over(void) { titled("title-over"); }
static void title_nonul(void) { titled("title-nonul"); }
static void args_zero(void) { titled("args-zero"); }
static void env_over(void) { titled("env-over"); }
static void mm_moved(void) { titled("mm-moved"); }
static void mm_gone(void) { titled("mm-gone"); }

/* Executed by a thread that was not the leader; the leader's PID goes on. */
static int other_thread(void *unused) {
	(void)unused;
	char *argv[] = {"edge-dethread", NULL};
	exec_case("dethread", argv, NULL);
}

static void dethread(void) {
	char *stack = mmap(0, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM;
	need(clone(other_thread, stack + 65536, flags, NULL) > 0, "clone");
	stay();
}

/* exe_as executes this program by another name of its own, a hard link. */
static void exe_as(const char *path, const char *stage) {
	char mark[64];
	snprintf(mark, sizeof mark, "EDGE=%s", stage);
	char *argv[] = {"edge-exe", (char *)path, NULL}, *env[] = {mark, NULL};
	need(linkat(AT_FDCWD, SELF, AT_FDCWD, path, AT_SYMLINK_FOLLOW) == 0, path);
	execve(path, argv, env);
	need(0, path);
}

static void exe_deleted(void) { exe_as(DIR "/exe-deleted", "exe-deleted"); }
static void exe_renamed(void) { exe_as(DIR "/exe-renamed", "exe-renamed"); }

static void comm_as(const char *name) {
	need(prctl(PR_SET_NAME, name) == 0, "PR_SET_NAME");
}

static void comm_newline(void) {
	comm_as("a\nb) R (c\\d\t");
	ready("comm-newline");
}

static void comm_bytes(void) {
	comm_as("\xff\xfe) Z 1 (\x01\x7f");
	ready("comm-bytes");
}

static void comm_empty(void) {
	comm_as("");
	ready("comm-empty");
}

const struct edge_case arg_cases[] = {
	{"bytes", bytes}, {"long", longargs}, {"noargs", noargs}, {"title1", title_short}, {"title2", title_fill}, {"title3", title_over},
	{"title4", title_nonul}, {"argszero", args_zero}, {"envover", env_over}, {"mmmoved", mm_moved}, {"mmgone", mm_gone}, {"dethread", dethread},
	{"exedel", exe_deleted}, {"exeren", exe_renamed}, {"comm1", comm_newline}, {"comm2", comm_bytes}, {"comm3", comm_empty}, {0},
};

/* The strings of argv and of the environment lie one after the other, the last ending at their common end. */
struct area {
	char *start, *end;
};

static struct area strings(char **v) {
	struct area a = {v[0], v[0]};
	for (; *v; v++) a.end = *v + strlen(*v) + 1;
	return a;
}

/* move_mm copies the argument and environment strings to a new mapping and makes it the place of record. */
static char *move_mm(struct area arg, struct area env) {
	char *m = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	size_t na = arg.end - arg.start, ne = env.end - env.start;
	memcpy(m + 100, arg.start, na);
	memcpy(m + 100, "EDGE-MOVED", 10);
	memcpy(m + 4096, env.start, ne);
	need(prctl(PR_SET_MM, PR_SET_MM_ARG_START, m + 100, 0, 0) == 0, "ARG_START");
	need(prctl(PR_SET_MM, PR_SET_MM_ARG_END, m + 100 + na, 0, 0) == 0, "ARG_END");
	need(prctl(PR_SET_MM, PR_SET_MM_ENV_START, m + 4096, 0, 0) == 0, "ENV_START");
	need(prctl(PR_SET_MM, PR_SET_MM_ENV_END, m + 4096 + ne, 0, 0) == 0, "ENV_END");
	return m;
}

/* rewrite_args changes the strings in place as the stage asks; see get_mm_cmdline in the kernel's fs/proc/base.c. */
static void rewrite_args(const char *stage, struct area arg, struct area env) {
	size_t na = arg.end - arg.start, ne = env.end - env.start;
	if (!strcmp(stage, "title-short")) {
		memset(arg.start, 0, na);
		strcpy(arg.start, "edge: short title");
	} else if (!strcmp(stage, "title-fill")) {
		memset(arg.start, ' ', na - 1);
		memcpy(arg.start, "edge: padded title", 18);
	} else if (!strcmp(stage, "title-over")) {
		memset(arg.start, 0, na + ne);
		memset(arg.start, '=', na + ne / 2);
		memcpy(arg.start, "edge: title into the environment", 32);
	} else if (!strcmp(stage, "title-nonul")) {
		memset(arg.start, '#', na + ne);
	} else if (!strcmp(stage, "args-zero")) {
		memset(arg.start, 0, na);
	} else if (!strcmp(stage, "env-over")) {
		memset(env.start, 'E', ne);
	}
}

void arg_stage(const char *stage, int argc, char **argv, char **envp) {
	char name[64], path[PATH_MAX] = "";
	char *none[] = {NULL};
	snprintf(name, sizeof name, "%s", stage);
	prctl(PR_SET_NAME, name);
	struct area arg = argc ? strings(argv) : strings(none), env = strings(envp);
	if (!strcmp(name, "exe-deleted")) unlink(argv[1]);
	if (!strcmp(name, "exe-renamed")) {
		snprintf(path, sizeof path, "%s to (deleted)", argv[1]);
		rename(argv[1], path);
	}
	if (!strncmp(name, "mm-", 3)) {
		char *m = move_mm(arg, env);
		if (!strcmp(name, "mm-gone")) munmap(m, 8192);
	} else {
		rewrite_args(name, arg, env);
	}
	ready(name);
	stay();
}
