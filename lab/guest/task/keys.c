#include "task.h"
#include <linux/keyctl.h>

/* The library of keyutils is not part of libc. */
static int32_t add(const char *type, const char *name, const void *payload, size_t n, int32_t ring) {
	int32_t k = syscall(SYS_add_key, type, name, payload, n, ring);
	note(k > 0, type);
	return k;
}

static long control(int op, unsigned long a, unsigned long b, unsigned long c) {
	return syscall(SYS_keyctl, op, a, b, c, 0);
}

/* describe tells PID, number, what the kernel says of a key, its name in hex, and length and digest of its payload where it can be read. */
static void describe(int32_t key, const char *name) {
	static char text[1024], payload[65536];
	if (key <= 0) return;
	long n = control(KEYCTL_DESCRIBE, key, (unsigned long)text, sizeof text);
	if (n <= 0) snprintf(text, sizeof text, "! %s", strerror(errno));
	long got = control(KEYCTL_READ, key, (unsigned long)payload, sizeof payload);
	tell("keys", "%d %d %s %ld %s %s", getpid(), key, hex(name, strlen(name)), got, got >= 0 ? sha256(payload, got) : "-", hex(text, strlen(text)));
}

static int32_t ring(int32_t special, const char *name) {
	int32_t k = control(KEYCTL_GET_KEYRING_ID, special, 1, 0);
	note(k > 0, name);
	return k;
}

static void user_key(const char *name, const char *payload, size_t n, int32_t to) {
	describe(add("user", name, payload, n, to), name);
}

/* A key in each of the keyrings that a process has. */
static void rings(void) {
	need(control(KEYCTL_JOIN_SESSION_KEYRING, (unsigned long)"lab session", 0, 0) > 0, "session keyring");
	static const struct {
		int32_t special;
		const char *name;
	} all[] = {{KEY_SPEC_THREAD_KEYRING, "in-thread"}, {KEY_SPEC_PROCESS_KEYRING, "in-process"}, {KEY_SPEC_SESSION_KEYRING, "in-session"},
		{KEY_SPEC_USER_KEYRING, "in-user"}, {KEY_SPEC_USER_SESSION_KEYRING, "in-user-session"}};
	for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
		int32_t r = ring(all[i].special, all[i].name);
		user_key(all[i].name, "a secret of it", 14, r);
		describe(r, all[i].name);
	}
	int32_t persistent = control(KEYCTL_GET_PERSISTENT, -1, KEY_SPEC_PROCESS_KEYRING, 0);
	if (note(persistent > 0, "persistent keyring")) user_key("in-persistent", "longer than a session", 21, persistent), describe(persistent, "persistent");
	ready("keys-rings");
}

/* Every type, payloads of every length. */
static void types(void) {
	static char large[32767];
	fill(large, sizeof large, 1);
	control(KEYCTL_JOIN_SESSION_KEYRING, 0, 0, 0);
	int32_t to = KEY_SPEC_SESSION_KEYRING;
	user_key("one byte", "x", 1, to);
	user_key("binary \001\377 name; with | separators", "\0\1\2\3", 4, to);
	user_key("large", large, sizeof large, to);
	describe(add("logon", "lab:logon", "not to be read", 14, to), "lab:logon");
	describe(add("big_key", "big in memory", large, 1000, to), "big in memory");
	describe(add("big_key", "big in a file", large, sizeof large, to), "big in a file");
	describe(add("dns_resolver", "lab.example", "10.0.0.1,10.0.0.2", 17, to), "lab.example");
	describe(add("encrypted", "sealed", "new user:one 32", 15, to), "sealed");
	char name[4097];
	memset(name, 'n', 4000), name[4000] = 0;
	int32_t k = add("user", name, "long name", 9, to);
	tell("keys_long", "%d %d %s", getpid(), k, sha256(name, 4000));
	int32_t inner = add("keyring", "inner", 0, 0, to);
	describe(inner, "inner");
	user_key("inside", "nested", 6, inner);
	int32_t many = add("keyring", "many", 0, 0, inner);
	for (int i = 0; i < 40; i++) { /* more than a node of the keyring's array holds, some names alike */
		snprintf(name, sizeof name, "%s%d", i % 2 ? "a name that is longer than what an index holds of it " : "", i);
		user_key(name, name, strlen(name), many);
	}
	describe(many, "many");
	need(control(KEYCTL_LINK, many, KEY_SPEC_PROCESS_KEYRING, 0) == 0 || errno, "link");
	ready("keys-types");
}

/* Keys in states: with an end, expired, revoked, without permissions, of another owner, updated, restricted. */
static void states(void) {
	control(KEYCTL_JOIN_SESSION_KEYRING, (unsigned long)"states", 0, 0);
	int32_t to = KEY_SPEC_SESSION_KEYRING;
	int32_t k = add("user", "ends", "ends in two days", 16, to);
	control(KEYCTL_SET_TIMEOUT, k, 172800, 0), describe(k, "ends");
	k = add("user", "expired", "ended", 5, to);
	control(KEYCTL_SET_TIMEOUT, k, 1, 0), tell("keys_expired", "%d %d", getpid(), k);
	k = add("user", "revoked", "revoked", 7, to);
	control(KEYCTL_REVOKE, k, 0, 0), tell("keys_revoked", "%d %d", getpid(), k);
	k = add("user", "updated", "first", 5, to);
	control(KEYCTL_UPDATE, k, (unsigned long)"second, and longer", 18), describe(k, "updated");
	k = add("user", "only seen", "no one reads it", 15, to);
	control(KEYCTL_SETPERM, k, 0x01010101, 0), describe(k, "only seen");
	k = add("user", "of another", "given away", 10, to);
	control(KEYCTL_SETPERM, k, 0x3f3f3f3f, 0), control(KEYCTL_CHOWN, k, 1001, 2002), describe(k, "of another");
	k = add("keyring", "restricted", 0, 0, to);
	note(syscall(SYS_keyctl, KEYCTL_RESTRICT_KEYRING, k, 0, 0) == 0, "restricted keyring"), describe(k, "restricted");
	control(KEYCTL_SET_REQKEY_KEYRING, KEY_REQKEY_DEFL_PROCESS_KEYRING, 0, 0);
	ready("keys-states");
}

static void *own_ring(void *name) {
	user_key(name, name, strlen(name), KEY_SPEC_THREAD_KEYRING);
	settle(name);
	stay();
}

/* Threads with keyrings of their own and one that all share; another user. */
static void threads(void) {
	need(syscall(SYS_setresuid, 4321, 4321, 4321) == 0, "user");
	control(KEYCTL_JOIN_SESSION_KEYRING, 0, 0, 0);
	int32_t shared = ring(KEY_SPEC_PROCESS_KEYRING, "process keyring");
	user_key("of all", "shared", 6, shared);
	expect(2);
	thread(own_ring, "key of one");
	thread(own_ring, "key of two");
	settled();
	ready("keys-threads");
}

const struct edge_case key_cases[] = {{"rings", rings}, {"types", types}, {"keystates", states}, {"keythreads", threads}, {0}};
