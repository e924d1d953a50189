#include "task.h"
#include <mqueue.h>

static mqd_t queue(const char *name, long messages, long size) {
	struct mq_attr a = {.mq_maxmsg = messages, .mq_msgsize = size};
	mqd_t q = mq_open(name, O_RDWR | O_CREAT, 0640, &a);
	note(q >= 0, name);
	return q;
}

/* send tells PID, number, priority, length and digest of a message. */
static void send(mqd_t q, unsigned priority, size_t n, uint64_t seed) {
	static char data[1 << 16];
	fill(data, n, seed);
	if (note(mq_send(q, data, n, priority) == 0, "message")) tell("mqueue", "%d %d %u %zu %s", getpid(), q, priority, n, sha256(data, n));
}

static void receiver(void) {
	char got[8192];
	mqd_t q = mq_open("/lab-empty", O_RDWR);
	mq_receive(q, got, sizeof got, NULL);
}

static void sender(void) {
	mqd_t q = mq_open("/lab-full", O_WRONLY);
	mq_send(q, "waits", 5, 3);
}

static void queues(void) {
	mqd_t q = queue("/lab-content", 10, 8192), full = queue("/lab-full", 2, 16), notified = queue("/lab-notify", 4, 64), gone = queue("/lab-gone", 4, 64), large = queue("/lab-large", 5, 65536);
	queue("/lab-empty", 3, 100);
	static const struct { unsigned priority, n; } all[] = {{0, 0}, {5, 1}, {5, 100}, {32767, 4048}, {1, 4049}, {5, 8192}, {0, 12}};
	for (size_t i = 0; i < sizeof all / sizeof *all; i++) send(q, all[i].priority, all[i].n, i);
	send(full, 1, 16, 20), send(full, 2, 3, 21);
	send(gone, 9, 33, 22), need(mq_unlink("/lab-gone") == 0, "unlink");
	if (large >= 0) send(large, 3, 65536, 23), send(large, 7, 30000, 24); /* several parts each */
	struct sigevent by_signal = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN + 7, .sigev_value.sival_int = 4711};
	need(mq_notify(notified, &by_signal) == 0, "notification");
	child(receiver), child(sender);
	ready("mqueue");
}

/* In a namespace of its own. */
static void apart(void) {
	need(unshare(CLONE_NEWIPC) == 0, "IPC namespace");
	mqd_t q = queue("/lab-apart", 3, 50);
	send(q, 2, 50, 30), send(q, 4, 40, 31);
	ready("mqueue-apart");
}

const struct edge_case queue_cases[] = {{"mqueue", queues}, {"mqapart", apart}, {0}};
