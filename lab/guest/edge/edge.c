#include "edge.h"

/* The reporting pipe and the node's /proc keep these numbers in every case,
 * through chroot and exec, until ready closes them. */
enum { FROM = 59, REPORT = 61, PROC = 62 };

void stay(void) {
	for (;;) pause();
}

int note(int ok, const char *what) {
	if (!ok) fprintf(stderr, "%s: missing: %s: %s\n", program, what, strerror(errno));
	return ok;
}

void need(int ok, const char *what) {
	if (note(ok, what)) return;
	_exit(1);
}

void hush(void) {
	close(FROM);
	close(REPORT);
	close(PROC);
}

void ready(const char *name) {
	char pid[32] = "", line[128];
	need(readlinkat(PROC, "self", pid, sizeof pid - 1) > 0, "/proc/self");
	int len = snprintf(line, sizeof line, "%s %s\n", name, pid);
	need(write(REPORT, line, len) == len, name);
	hush();
}

int write_file(const char *path, const char *text) {
	int f = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	if (f < 0) return -1;
	ssize_t want = strlen(text), n = write(f, text, want);
	close(f);
	return n == want ? 0 : -1;
}

pid_t reporter(void (*body)(void)) {
	pid_t p = fork();
	need(p >= 0, "fork");
	if (p) return p;
	body();
	stay();
}

pid_t child(void (*body)(void)) {
	pid_t p = fork();
	need(p >= 0, "fork");
	if (p) return p;
	hush();
	body();
	stay();
}

void exec_case(const char *name, char **argv, char **env) {
	static char mark[64];
	char *none[] = {NULL};
	size_t n = 0;
	snprintf(mark, sizeof mark, "EDGE=%s", name);
	if (!env) env = none;
	while (env[n]) n++;
	char **e = calloc(n + 2, sizeof *e);
	memcpy(e, env, n * sizeof *e);
	e[n] = mark;
	execve(SELF, argv, e);
	need(0, "execve");
	_exit(1);
}

/* run_case names the child after its case, so that it can be found by comm. */
static void run_case(const struct edge_case *c) {
	char comm[16];
	snprintf(comm, sizeof comm, "%s-%s", program, c->name);
	prctl(PR_SET_NAME, comm);
	c->body();
	stay();
}

void start(const struct edge_case *c) {
	for (; c->name; c++) {
		pid_t p = fork();
		need(p >= 0, "fork");
		if (!p) run_case(c);
	}
}

void open_report(void) {
	int p[2];
	need(pipe(p) == 0, "pipe");
	need(dup2(p[0], FROM) == FROM && dup2(p[1], REPORT) == REPORT, "dup2");
	close(p[0]);
	close(p[1]);
	int proc = open("/proc", O_PATH | O_DIRECTORY);
	need(proc >= 0 && dup2(proc, PROC) == PROC && close(proc) == 0, "/proc");
}

/* Each case closes the pipe in ready, and one that failed closes it by its exit. */
void collect(const char *out) {
	char tmp[PATH_MAX], buf[4096];
	close(REPORT);
	close(PROC);
	snprintf(tmp, sizeof tmp, "%s.part", out);
	int f = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	need(f >= 0, tmp);
	ssize_t n;
	while ((n = read(FROM, buf, sizeof buf)) > 0) need(write(f, buf, n) == n, tmp);
	close(f);
	close(FROM);
	need(rename(tmp, out) == 0, out);
}

