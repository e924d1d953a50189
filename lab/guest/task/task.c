#include "task.h"

const char program[] = "task";

void tell(const char *file, const char *format, ...) {
	char path[128], line[4096];
	va_list args;
	va_start(args, format);
	int len = vsnprintf(line, sizeof line - 1, format, args);
	va_end(args);
	need(len >= 0 && len < (int)sizeof line - 1, "line too long");
	line[len++] = '\n';
	snprintf(path, sizeof path, TOLD "/%s", file);
	int f = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
	fchmod(f, 0666); /* other users tell, too */
	need(f >= 0 && write(f, line, len) == len, path);
	close(f);
}

const char *hex(const void *data, size_t n) {
	static char text[4][2 * 1024 + 1];
	static int turn;
	const unsigned char *b = data;
	char *t = text[turn++ % 4];
	need(n <= 1024, "hex");
	t[0] = 0;
	for (size_t i = 0; i < n; i++) sprintf(t + 2 * i, "%02x", b[i]);
	return t;
}

static uint32_t right(uint32_t x, int n) {
	return x >> n | x << (32 - n);
}

/* primes sets the constants of FIPS 180-4: the first 32 bits of the fractional parts of the
 * square roots (power 2) and cube roots (power 3) of the first primes. */
static void primes(uint32_t *out, int n, int power) {
	for (int p = 2, i = 0; i < n; p++) {
		int prime = 1;
		for (int d = 2; d * d <= p; d++) prime &= p % d != 0;
		if (!prime) continue;
		unsigned __int128 root = 0, target = (unsigned __int128)p << (32 * power); /* with 32 bits behind the point */
		for (int bit = 35; bit >= 0; bit--) {
			unsigned __int128 r = root | (unsigned __int128)1 << bit;
			if ((power == 2 ? r * r : r * r * r) <= target) root = r;
		}
		out[i++] = (uint32_t)root;
	}
}

static void block(uint32_t h[8], const uint32_t k[64], const unsigned char *b) {
	uint32_t w[64], v[8];
	for (int i = 0; i < 16; i++) w[i] = (uint32_t)b[4 * i] << 24 | b[4 * i + 1] << 16 | b[4 * i + 2] << 8 | b[4 * i + 3];
	for (int i = 16; i < 64; i++)
		w[i] = w[i - 16] + (right(w[i - 15], 7) ^ right(w[i - 15], 18) ^ w[i - 15] >> 3) + w[i - 7] +
		       (right(w[i - 2], 17) ^ right(w[i - 2], 19) ^ w[i - 2] >> 10);
	memcpy(v, h, sizeof v);
	for (int i = 0; i < 64; i++) {
		uint32_t a = v[0], e = v[4];
		uint32_t t1 = v[7] + (right(e, 6) ^ right(e, 11) ^ right(e, 25)) + ((e & v[5]) ^ (~e & v[6])) + k[i] + w[i];
		uint32_t t2 = (right(a, 2) ^ right(a, 13) ^ right(a, 22)) + ((a & v[1]) ^ (a & v[2]) ^ (v[1] & v[2]));
		memmove(v + 1, v, 7 * sizeof *v);
		v[4] += t1;
		v[0] = t1 + t2;
	}
	for (int i = 0; i < 8; i++) h[i] += v[i];
}

const char *sha256(const void *data, size_t n) {
	static uint32_t k[64], first[8];
	if (!k[0]) primes(first, 8, 2), primes(k, 64, 3);
	uint32_t h[8];
	memcpy(h, first, sizeof h);
	const unsigned char *b = data;
	size_t whole = n / 64 * 64, rest = n - whole, end = rest < 56 ? 64 : 128;
	unsigned char last[128] = {0}, out[32];
	for (size_t i = 0; i < whole; i += 64) block(h, k, b + i);
	memcpy(last, b + whole, rest);
	last[rest] = 0x80;
	for (int i = 0; i < 8; i++) last[end - 1 - i] = (uint64_t)n * 8 >> 8 * i;
	for (size_t i = 0; i < end; i += 64) block(h, k, last + i);
	for (int i = 0; i < 32; i++) out[i] = h[i / 4] >> (24 - 8 * (i % 4));
	return hex(out, 32);
}

void fill(void *to, size_t n, uint64_t seed) {
	unsigned char *b = to;
	uint64_t x = seed * 0x9e3779b97f4a7c15 | 1;
	for (size_t i = 0; i < n; i++) {
		x ^= x << 13, x ^= x >> 7, x ^= x << 17;
		b[i] = x >> 32;
	}
}

static pthread_barrier_t barrier;

void expect(unsigned count) {
	pthread_barrier_init(&barrier, NULL, count + 1);
}

void settled(void) {
	pthread_barrier_wait(&barrier);
}

void settle(const char *name) {
	prctl(PR_SET_NAME, name);
	settled();
}

void thread(void *(*body)(void *), const void *argument) {
	pthread_t t;
	pthread_attr_t a;
	pthread_attr_init(&a);
	pthread_attr_setstacksize(&a, 65536);
	need(pthread_create(&t, &a, body, (void *)argument) == 0, "pthread_create");
}

/* Usage: task OUT, as edge; task -swap NAME. */
int main(int argc, char **argv) {
	signal(SIGPIPE, SIG_IGN);
	umask(0);
	mkdir(TOLD, 0777);
	mkdir(FILES, 0777);
	umask(022);
	if (argc == 3 && !strcmp(argv[1], "-swap")) swap_case(argv[2]);
	if (argc != 2) return 2;
	open_report();
	const struct edge_case *all[] = {cap_cases, seccomp_cases, label_cases, key_cases, lock_cases, watch_cases, ring_cases, pipe_cases, queue_cases, ipc_cases,
		timer_cases, limit_cases, signal_cases, sched_cases, page_cases, wait_cases};
	for (size_t i = 0; i < sizeof all / sizeof *all; i++) start(all[i]);
	collect(argv[1]);
	stay();
}
