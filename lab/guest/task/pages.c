#include "task.h"
#include <linux/memfd.h>
#include <sys/uio.h>

/* Numbers that older headers do not have. */
enum { COLD = 20, PAGEOUT = 21, COLLAPSE = 25, GUARD = 102, DROPPABLE = 8, HUGE = 2 << 20 };

static char *map(size_t n, int prot, int flags, int f, off_t at) {
	char *p = mmap(0, n, prot, flags, f, at);
	return note(p != MAP_FAILED, "mmap") ? p : NULL;
}

static char *anonymous(size_t n) {
	char *p = map(n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	need(p != NULL, "memory");
	return p;
}

/* aligned is anonymous memory at a multiple of its size, a power of two, with nothing right behind it. */
static char *aligned(size_t n) {
	char *p = anonymous(3 * n), *at = (char *)(((uintptr_t)p + n - 1) & ~(n - 1));
	if (at > p) munmap(p, at - p);
	munmap(at + n, p + 3 * n - at - n);
	return at;
}

/* told tells PID, address, length, what kind of pages, and the digest of their bytes, which reading has to give; "-" where they are not to be touched. */
static void told(const char *kind, const char *p, size_t n, int touch) {
	tell("pages", "%d %lx %zu %s %s", getpid(), (unsigned long)p, n, kind, touch ? sha256(p, n) : "-");
}

static char *written(const char *kind, size_t pages, uint64_t seed) {
	char *p = anonymous(pages * PAGE);
	fill(p, pages * PAGE, seed);
	if (kind) told(kind, p, pages * PAGE, 1);
	return p;
}

static void plain(void) {
	written("anonymous", 8, 1);
	char *zero = anonymous(4 * PAGE), *p = written(NULL, 8, 2);
	need(*(volatile char *)zero == 0 && *(volatile char *)(zero + 2 * PAGE) == 0, "zero page");
	told("zero-page-two-of-four", zero, 4 * PAGE, 0);
	told("untouched", anonymous(4 * PAGE), 4 * PAGE, 0);
	need(madvise(p + 2 * PAGE, 3 * PAGE, MADV_DONTNEED) == 0, "MADV_DONTNEED");
	told("discarded-3-of-8", p, 8 * PAGE, 0), told("discarded-kept", p, 2 * PAGE, 1);
	p = written("freed-lazily", 4, 3), note(madvise(p, 4 * PAGE, MADV_FREE) == 0, "MADV_FREE");
	p = written("cold", 4, 4), note(madvise(p, 4 * PAGE, COLD) == 0, "MADV_COLD");
	p = written("no-access", 4, 5), need(mprotect(p, 4 * PAGE, PROT_NONE) == 0, "PROT_NONE");
	p = written("read-only", 4, 6), need(mprotect(p, 4 * PAGE, PROT_READ) == 0, "PROT_READ");
	p = written("executable", 2, 7), need(mprotect(p, 2 * PAGE, PROT_READ | PROT_WRITE | PROT_EXEC) == 0, "PROT_EXEC");
	p = written("locked", 4, 8), note(mlock(p, 4 * PAGE) == 0, "mlock");
	p = anonymous(4 * PAGE), note(syscall(SYS_mlock2, p, 4 * PAGE, 1 /* MLOCK_ONFAULT */) == 0, "mlock2"), fill(p + PAGE, PAGE, 9), told("locked-on-fault", p + PAGE, PAGE, 1);
	ready("pages-plain");
}

/* Each flag that /proc/PID/smaps can show. */
static void advice(void) {
	static const struct { int advice; const char *name; } all[] = {{MADV_SEQUENTIAL, "sequential"}, {MADV_RANDOM, "random"}, {MADV_DONTFORK, "not-forked"},
		{MADV_DONTDUMP, "not-dumped"}, {MADV_WIPEONFORK, "wiped"}, {MADV_MERGEABLE, "mergeable"}, {MADV_HUGEPAGE, "wants-huge"}, {MADV_NOHUGEPAGE, "no-huge"}};
	for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
		char *p = written(all[i].name, 3, 20 + i);
		note(madvise(p, 3 * PAGE, all[i].advice) == 0, all[i].name);
		mprotect(p + 3 * PAGE - PAGE, PAGE, PROT_READ); /* keeps areas apart */
	}
	char *p = map(4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN, -1, 0);
	if (p) fill(p, PAGE, 40), told("grows-down", p, PAGE, 1);
	p = map(4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_POPULATE, -1, 0);
	if (p) told("populated", p, 4 * PAGE, 1);
	p = map(4 * PAGE, PROT_READ | PROT_WRITE, DROPPABLE | MAP_ANONYMOUS, -1, 0);
	if (p) fill(p, 4 * PAGE, 41), told("droppable", p, 4 * PAGE, 1);
	p = written("sealed", 2, 42), note(syscall(462 /* mseal */, p, 2 * PAGE, 0) == 0, "mseal");
	p = written("with-key", 2, 43);
	int key = syscall(SYS_pkey_alloc, 0, 0);
	if (note(key > 0, "protection key")) note(syscall(SYS_pkey_mprotect, p, 2 * PAGE, PROT_READ | PROT_WRITE, key) == 0, "protection key");
	p = written(NULL, 4, 44);
	if (note(madvise(p + PAGE, PAGE, GUARD) == 0, "MADV_GUARD_INSTALL")) told("before-guard", p, PAGE, 1), told("guard", p + PAGE, PAGE, 0), told("behind-guard", p + 2 * PAGE, 2 * PAGE, 1);
	int secret = syscall(447 /* memfd_secret */, 0);
	if (note(secret >= 0 && ftruncate(secret, 2 * PAGE) == 0, "memfd_secret") && (p = map(2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, secret, 0)))
		fill(p, 2 * PAGE, 45), told("secret", p, 2 * PAGE, 1);
	ready("pages-advice");
}

/* Pages of files: clean, dirty, written by a private mapping, in memory only. */
static void files(void) {
	static char data[8 * PAGE];
	fill(data, sizeof data, 50);
	int f = open(FILES "/mapped", O_RDWR | O_CREAT | O_TRUNC, 0600), m = memfd_create("pages", 0);
	need(f >= 0 && write(f, data, sizeof data) == sizeof data && fsync(f) == 0, "file");
	char *clean = map(sizeof data, PROT_READ, MAP_SHARED, f, 0), *own = map(sizeof data, PROT_READ | PROT_WRITE, MAP_PRIVATE, f, 0), *dirty = map(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, f, 7 * PAGE);
	need(clean && own && dirty, "mapped file");
	fill(dirty, PAGE, 51);
	fill(own + PAGE, PAGE, 52);
	told("file-shared", clean, sizeof data, 1), told("file-private-second-own", own, sizeof data, 1), told("file-dirty", dirty, PAGE, 1);
	need(ftruncate(m, 6 * PAGE) == 0, "memfd");
	char *shared = map(6 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, m, 0), *private = map(6 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, m, 0);
	fill(shared, 3 * PAGE, 53);
	need(private[0] == shared[0], "private mapping of a memfd"), fill(private + PAGE, PAGE, 54), fill(private + 4 * PAGE, PAGE, 55);
	told("memfd-three-of-six", shared, 3 * PAGE, 1), told("memfd-private", private, 3 * PAGE, 1), told("memfd-private-over-hole", private + 4 * PAGE, PAGE, 1);
	char *nameless = map(4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	fill(nameless, 4 * PAGE, 56), told("shared-anonymous", nameless, 4 * PAGE, 1);
	char *beyond = map(10 * PAGE, PROT_READ, MAP_SHARED, f, 0);
	told("file-beyond-its-end", beyond + 8 * PAGE, 2 * PAGE, 0);
	ready("pages-files");
}

static char *before;

static void forked(void) {
	told("shared-after-fork", before, 2 * PAGE, 1);
	fill(before + 2 * PAGE, 2 * PAGE, 61), told("copied-by-child", before + 2 * PAGE, 2 * PAGE, 1);
	ready("pages-child");
}

/* Pages of before a fork: still of both, copied by the one, by the other, and left by the other. */
static void fork_pages(void) {
	before = written(NULL, 8, 60);
	reporter(forked);
	fill(before + 4 * PAGE, 2 * PAGE, 62);
	told("shared-after-fork", before, 2 * PAGE, 1), told("kept-by-parent", before + 2 * PAGE, 2 * PAGE, 1), told("copied-by-parent", before + 4 * PAGE, 2 * PAGE, 1);
	ready("pages-parent");
}

/* Huge pages: whole, with an own protection inside, shared memory's, of hugetlb private and shared; smaller large folios. */
static void huge(void) {
	char *whole = aligned(HUGE), *split = aligned(HUGE), *holed = aligned(HUGE), *mid = aligned(1 << 18);
	note(madvise(whole, HUGE, MADV_HUGEPAGE) == 0 && madvise(split, HUGE, MADV_HUGEPAGE) == 0 && madvise(holed, HUGE, MADV_HUGEPAGE) == 0, "MADV_HUGEPAGE");
	fill(whole, HUGE, 70), told("huge", whole, HUGE, 1);
	fill(split, HUGE, 71), need(mprotect(split + 100 * PAGE, PAGE, PROT_READ) == 0, "mprotect"), told("huge-split", split, HUGE, 1);
	fill(holed, HUGE, 72), need(madvise(holed + 16 * PAGE, 16 * PAGE, MADV_DONTNEED) == 0, "MADV_DONTNEED"), told("huge-holed", holed, 16 * PAGE, 1);
	note(madvise(mid, 1 << 18, MADV_HUGEPAGE) == 0, "MADV_HUGEPAGE"), fill(mid, 1 << 18, 73), told("large-folios", mid, 1 << 18, 1);
	char *private = map(HUGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
	if (private) fill(private, HUGE, 74), told("hugetlb-private", private, HUGE, 1);
	int f = memfd_create("hugetlb", MFD_HUGETLB);
	char *shared = f >= 0 && ftruncate(f, 2 * HUGE) == 0 ? map(2 * HUGE, PROT_READ | PROT_WRITE, MAP_SHARED, f, 0) : NULL;
	if (note(shared != NULL, "hugetlb")) fill(shared, HUGE, 75), told("hugetlb-shared-one-of-two", shared, HUGE, 1);
	ready("pages-huge");
}

/* Pages that the kernel merges with those of the other process. The second is written to again. */
static void mergeable(const char *name, int own) {
	char *p = anonymous(8 * PAGE);
	need(madvise(p, 8 * PAGE, MADV_MERGEABLE) == 0, "MADV_MERGEABLE");
	for (int i = 0; i < 8; i++) fill(p + i * PAGE, PAGE, 80 + (i == 3 ? 100 + own : i / 2)); /* all but one twice, here and there */
	memset(p + 7 * PAGE, 0, PAGE);
	told("mergeable", p, 8 * PAGE, 1);
	ready(name);
}

static void merge_one(void) {
	mergeable("pages-merged-one", 1);
}

static void merge_two(void) {
	mergeable("pages-merged-two", 2);
}

/* What was written since the bits were cleared. */
static void softly_dirty(void) {
	char *p = written(NULL, 6, 90);
	note(write_file("/proc/self/clear_refs", "4") == 0, "soft dirty bits");
	fill(p + 2 * PAGE, PAGE, 91);
	told("soft-dirty-third", p, 6 * PAGE, 1);
	ready("pages-soft-dirty");
}

/* A page that is broken: an entry says so, and the page is taken from use. */
static void broken(void) {
	char *p = written(NULL, 3, 95);
	note(madvise(p + PAGE, PAGE, 100 /* MADV_HWPOISON */) == 0, "MADV_HWPOISON");
	told("poisoned", p + PAGE, PAGE, 0), told("beside-poisoned", p + 2 * PAGE, PAGE, 1);
	ready("pages-poisoned");
}

const struct edge_case page_cases[] = {{"plain", plain}, {"advice", advice}, {"filepages", files}, {"forkpages", fork_pages}, {"hugepages", huge}, {"merge1", merge_one},
	{"merge2", merge_two}, {"softdirty", softly_dirty}, {"poison", broken}, {0}};

/* mixed fills a page so that all ways to keep one compressed are seen: all zeros, one word only, text, noise, and every size between. */
static void mixed(char *p, size_t i) {
	memset(p, 0, PAGE);
	switch (i % 8) {
	case 0: break;
	case 1: for (size_t k = 0; k < PAGE / 8; k++) ((uint64_t *)p)[k] = 0x0101010101010101 * (i % 255 + 1); break;
	case 2: for (size_t at = 0; at < PAGE - 64;) at += sprintf(p + at, "%zu: line %zu of a page that is swapped out\n", i, at); break;
	case 3: fill(p, PAGE, i); break;
	case 4: fill(p, PAGE / 2, i); break;
	case 5: for (size_t k = 0; k < PAGE / 4; k++) ((uint32_t *)p)[k] = k * i; break;
	case 6: fill(p, i * 67 % PAGE, i); break;
	case 7: for (size_t k = 0; k < PAGE; k += 16) fill(p + k, (k + i) % 16, k * i); break;
	}
}

/* pending counts pages of an area that have no place in the swap area. */
static size_t pending(const char *p, size_t pages) {
	size_t n = 0;
	int f = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	for (size_t i = 0; i < pages; i++) {
		uint64_t e = 0;
		need(pread(f, &e, 8, ((uintptr_t)p / PAGE + i) * 8) == 8, "pagemap");
		n += !(e >> 62 & 1);
	}
	close(f);
	return n;
}

void swap_case(const char *name) {
	enum { PAGES = 512, SHARED = 64 };
	char comm[16], list[64];
	snprintf(comm, sizeof comm, "swap-%s", name), prctl(PR_SET_NAME, comm);
	static char digests[PAGES + SHARED][65];
	int f = memfd_create(comm, 0);
	need(ftruncate(f, SHARED * PAGE) == 0, "memfd");
	char *p = anonymous(PAGES * PAGE), *s = map(SHARED * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, f, 0);
	madvise(p, PAGES * PAGE, MADV_NOHUGEPAGE);
	need(s != NULL, "memfd");
	for (size_t i = 0; i < PAGES; i++) mixed(p + i * PAGE, i), strcpy(digests[i], sha256(p + i * PAGE, PAGE));
	for (size_t i = 0; i < SHARED; i++) mixed(s + i * PAGE, i + 1000), strcpy(digests[PAGES + i], sha256(s + i * PAGE, PAGE));
	for (int tries = 0; tries < 50 && (tries < 3 || pending(p, PAGES)); tries++) {
		note(madvise(p, PAGES * PAGE, PAGEOUT) == 0 && madvise(s, SHARED * PAGE, PAGEOUT) == 0, "MADV_PAGEOUT");
		usleep(100000);
	}
	for (size_t i = 0; i < PAGES + SHARED; i++)
		tell("pages", "%d %lx %d swap-%s%s %s", getpid(), (unsigned long)(i < PAGES ? p + i * PAGE : s + (i - PAGES) * PAGE), PAGE, name, i < PAGES ? "" : "-shared", digests[i]);
	fprintf(stderr, "%s: %zu of %d pages not swapped out\n", comm, pending(p, PAGES), PAGES);
	snprintf(list, sizeof list, "%s %d", comm, getpid());
	tell("swap.list", "%s", list);
	stay();
}
