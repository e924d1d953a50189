/* exhaust: what a pod without privileges can lay out in its memory to make an
 * analysis of the node's expensive. It harms nothing on the node itself.
 *
 *   exhaust args   moves its argument and environment areas over 128 MiB of zeros
 *   exhaust files  opens a directory 4000 levels deep as often as it may */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/prctl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define AREA (128UL << 20)

static void need(int ok, const char *what) {
	if (ok) return;
	perror(what);
	exit(1);
}

/* layout fills in what PR_SET_MM_MAP wants to know again, from /proc/self/stat. */
static void layout(struct prctl_mm_map *m) {
	unsigned long v[53] = {0};
	char text[4096], *at;
	FILE *f = fopen("/proc/self/stat", "r");
	need(f && fgets(text, sizeof text, f), "stat");
	at = strrchr(text, ')') + 2;
	for (int i = 3; i <= 52 && at; i++) {
		v[i] = strtoul(at, NULL, 10);
		if ((at = strchr(at, ' '))) at++;
	}
	m->start_code = v[26], m->end_code = v[27], m->start_stack = v[28];
	m->start_data = v[45], m->end_data = v[46], m->start_brk = v[47];
	m->brk = (unsigned long)sbrk(0);
	m->exe_fd = -1;
}

/* args maps the page of zeros all over an area, which costs nothing but page tables. */
static void args(void) {
	struct prctl_mm_map m = {0};
	volatile char *p = mmap(0, AREA, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	need(p != MAP_FAILED, "mmap");
	madvise((void *)p, AREA, MADV_NOHUGEPAGE);
	for (unsigned long i = 0; i < AREA; i += 4096) (void)p[i];
	layout(&m);
	m.arg_start = m.env_start = (unsigned long)p;
	m.arg_end = m.env_end = (unsigned long)p + AREA;
	need(prctl(PR_SET_MM, PR_SET_MM_MAP, &m, sizeof m, 0) == 0, "PR_SET_MM_MAP");
	puts("arguments moved");
}

static void files(void) {
	char name[256];
	struct rlimit r;
	int opened = 0;
	memset(name, 'd', 255), name[255] = 0;
	need(chdir("/tmp") == 0, "/tmp");
	for (int i = 0; i < 4000; i++) {
		need(mkdir(name, 0700) == 0 || errno == EEXIST, "mkdir");
		need(chdir(name) == 0, "chdir");
	}
	need(getrlimit(RLIMIT_NOFILE, &r) == 0, "rlimit");
	r.rlim_cur = r.rlim_max;
	setrlimit(RLIMIT_NOFILE, &r);
	while (opened < 20000 && open(".", O_RDONLY | O_DIRECTORY) >= 0) opened++;
	printf("%d descriptors\n", opened);
}

/* drop leaves it no privilege at all, whatever the pod's user is. */
static void drop(void) {
	if (getuid() == 0) need(setgid(65534) == 0 && setuid(65534) == 0, "setuid");
}

int main(int argc, char **argv) {
	drop();
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc > 1 && !strcmp(argv[1], "args")) args();
	else if (argc > 1 && !strcmp(argv[1], "files")) files();
	else return 2;
	for (;;) pause();
}
