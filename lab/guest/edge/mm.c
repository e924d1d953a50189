#include "edge.h"
#include <linux/prctl.h>
#include <sys/shm.h>

enum { PAGE = 4096 };

static char *anon(size_t n, int prot) {
	char *p = mmap(0, n, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	need(p != MAP_FAILED, "mmap");
	return p;
}

/* More areas than one level of a tree holds. */
static void many_areas(void) {
	char *p = anon(800 * PAGE, PROT_READ | PROT_WRITE);
	for (int i = 0; i < 800; i += 2) need(mprotect(p + i * PAGE, PAGE, PROT_READ) == 0, "mprotect");
	for (int i = 1; i < 800; i += 80) memcpy(p + i * PAGE, "EDGE-AREA", 9);
	ready("many-areas");
}

/* A page that was written and then made inaccessible: present, but not to the processor. */
static void prot_none(void) {
	char *p = anon(2 * PAGE, PROT_READ | PROT_WRITE);
	strcpy(p + 16, "EDGE-PROT-NONE");
	need(mprotect(p, PAGE, PROT_NONE) == 0, "mprotect");
	ready("prot-none");
}

/* A huge page, and a page that exists only as the shared page of zeros. */
static void huge(void) {
	size_t two = 2 << 20;
	char *p = anon(2 * two, PROT_READ | PROT_WRITE);
	p = (char *)(((uintptr_t)p + two - 1) & ~(two - 1));
	note(madvise(p, two, MADV_HUGEPAGE) == 0, "MADV_HUGEPAGE");
	strcpy(p + 0x12345, "EDGE-HUGE");
	volatile char *zero = anon(PAGE, PROT_READ);
	need(zero[5] == 0, "zero page");
	ready("huge");
}

/* Addresses beyond 47 bits, where the kernel has five levels. */
static void high(void) {
	char *p = mmap((void *)(1UL << 50), PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	need(p != MAP_FAILED, "mmap");
	strcpy(p, "EDGE-HIGH");
	ready("high");
}

/* Areas with names of all kinds. */
static void named(void) {
	char *p = anon(PAGE, PROT_READ | PROT_WRITE);
	strcpy(p, "EDGE-NAMED");
	note(prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, p, PAGE, "edge name") == 0, "PR_SET_VMA_ANON_NAME");
	strcpy(mmap(0, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0), "EDGE-SHARED");
	int m = memfd_create("edge-mapped", 0);
	need(ftruncate(m, PAGE) == 0, "memfd");
	strcpy(mmap(0, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, m, 0), "EDGE-MEMFD");
	close(m);
	int f = open(DIR "/mapped\nfile", O_RDWR | O_CREAT, 0600);
	need(ftruncate(f, PAGE) == 0, "file");
	strcpy(mmap(0, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, f, 0), "EDGE-COW");
	close(f);
	unlink(DIR "/mapped\nfile");
	int s = shmget(IPC_PRIVATE, PAGE, 0600);
	note(s >= 0, "shmget");
	char *shared = s >= 0 ? shmat(s, 0, 0) : (char *)-1;
	if (shared != (char *)-1) strcpy(shared, "EDGE-SYSV");
	ready("named");
}

const struct edge_case mm_cases[] = {{"areas", many_areas}, {"protnone", prot_none}, {"huge", huge}, {"high", high}, {"named", named}, {0}};
