#include "task.h"
#include <linux/prctl.h>
#include <sys/personality.h>
#include <sys/resource.h>

/* Every limit is another one; one is unlimited, one more than 32 bits. */
static void limits(void) {
	for (int i = 0; i < RLIM_NLIMITS; i++) {
		struct rlimit l = {.rlim_cur = 10000000 + i, .rlim_max = 20000000000 + i};
		if (i == RLIMIT_NOFILE) l = (struct rlimit){1000, 1001};
		if (i == RLIMIT_NICE || i == RLIMIT_RTPRIO) l = (struct rlimit){10 + i, 11 + i};
		if (i == RLIMIT_DATA || i == RLIMIT_AS) l = (struct rlimit){0x1000000000 + i, RLIM_INFINITY};
		note(setrlimit(i, &l) == 0, "limit");
	}
	ready("limits");
}

static void nothing(void) {
	struct rlimit none = {0, 0};
	setrlimit(RLIMIT_CORE, &none), setrlimit(RLIMIT_MEMLOCK, &none), setrlimit(RLIMIT_NPROC, &none), setrlimit(RLIMIT_MSGQUEUE, &none);
	ready("limits-none");
}

static void set(int option, unsigned long value, const char *name) {
	if (note(prctl(option, value, 0, 0, 0) == 0, name)) tell("prctl", "%d %s %#lx", getpid(), name, value);
}

/* What prctl and files of /proc set, and only some of which /proc shows again. */
static void settings(void) {
	set(PR_SET_DUMPABLE, 0, "dumpable");
	set(PR_SET_PDEATHSIG, SIGUSR2, "pdeathsig");
	set(PR_SET_CHILD_SUBREAPER, 1, "child_subreaper");
	set(PR_SET_THP_DISABLE, 1, "thp_disable");
	set(PR_SET_TIMERSLACK, 123456789, "timerslack");
	set(PR_SET_TSC, PR_TSC_SIGSEGV, "tsc");
	set(57 /* PR_SET_IO_FLUSHER */, 1, "io_flusher");
	set(65 /* PR_SET_MDWE */, 1, "mdwe");
	need(prctl(PR_MCE_KILL, PR_MCE_KILL_SET, PR_MCE_KILL_EARLY, 0, 0) == 0, "mce_kill");
	tell("prctl", "%d mce_kill 1", getpid());
	note(write_file("/proc/self/oom_score_adj", "-777") == 0, "oom_score_adj");
	note(write_file("/proc/self/coredump_filter", "0x1a5") == 0, "coredump_filter");
	need(personality(ADDR_NO_RANDOMIZE | SHORT_INODE | UNAME26) >= 0, "personality");
	ready("settings");
}

/* Every dirty page of it was accounted, and some were taken back. */
static void inputs(void) {
	static char data[300000];
	int f = open(FILES "/io", O_RDWR | O_CREAT | O_TRUNC, 0600);
	need(f >= 0, "file");
	for (int i = 0; i < 3; i++) need(write(f, data, sizeof data) == sizeof data, "write");
	need(fsync(f) == 0 && pread(f, data, 12345, 0) == 12345, "fsync");
	need(pwrite(f, data, 100000, 0) == 100000 && ftruncate(f, 0) == 0, "cancelled writes");
	ready("io");
}

const struct edge_case limit_cases[] = {{"limits", limits}, {"nolimits", nothing}, {"settings", settings}, {"io", inputs}, {0}};
