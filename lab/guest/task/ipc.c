#include "task.h"
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>

/* segment makes shared memory and tells ID, length and digest. Its pages hold bytes by the seed. */
static char *segment(key_t key, size_t n, int flags, uint64_t seed) {
	int id = shmget(key, n, flags | IPC_CREAT);
	if (!note(id >= 0, "shared memory")) return NULL;
	char *p = shmat(id, NULL, 0);
	need(p != (char *)-1, "shmat");
	fill(p, n, seed);
	tell("shm", "%d %d %zu %s", getpid(), id, n, sha256(p, n));
	return p;
}

static void memory(void) {
	segment(0x1ab00001, 3 * PAGE, 0640, 1);
	char *left = segment(0x1ab00002, 100, 0600, 2), *doomed = segment(IPC_PRIVATE, 2 * PAGE, 0600, 3), *given = segment(0x1ab00003, PAGE, 0666, 4);
	shmdt(left);
	shmctl(shmget(0x1ab00002, 0, 0), SHM_LOCK, NULL);
	struct shmid_ds d;
	int id = shmget(0x1ab00003, 0, 0);
	need(given && shmctl(id, IPC_STAT, &d) == 0, "stat");
	d.shm_perm.uid = 1001, d.shm_perm.gid = 2002, d.shm_perm.mode = 0604;
	need(shmctl(id, IPC_SET, &d) == 0, "owner");
	need(shmat(id, NULL, SHM_RDONLY) != (char *)-1, "attached twice");
	/* Removed while it is attached; its number is found by the mapping alone. */
	id = shmget(IPC_PRIVATE, PAGE, 0600);
	char *p = shmat(id, NULL, 0);
	strcpy(p, "removed"), need(shmctl(id, IPC_RMID, NULL) == 0 && doomed, "remove");
	segment(0x1ab00004, 2 << 20, 0600 | SHM_HUGETLB, 5);
	ready("sysv-shm");
}

static int set;

static void down(void) {
	struct sembuf two[] = {{0, -100, 0}, {1, 0, SEM_UNDO}};
	semop(set, two, 2);
}

static void zero(void) {
	struct sembuf wait = {1, 0, 0};
	semop(set, &wait, 1);
}

static void undo(void) {
	struct sembuf ops[] = {{0, -2, SEM_UNDO}, {2, 3, SEM_UNDO}};
	need(semop(set, ops, 2) == 0, "semaphores");
	ready("sysv-sem-undo");
}

static void semaphores(void) {
	unsigned short values[] = {5, 17, 0, 32767};
	set = semget(0x1ab00005, 4, IPC_CREAT | 0660);
	need(set >= 0 && semctl(set, 0, SETALL, values) == 0, "semaphores");
	int many = semget(IPC_PRIVATE, 1000, IPC_CREAT | 0600);
	need(many >= 0 && semctl(many, 999, SETVAL, 999) == 0, "many semaphores");
	child(down), child(zero), reporter(undo);
	for (int tries = 0; tries < 300 && (semctl(set, 2, GETVAL) != 3 || semctl(set, 0, GETNCNT) != 1 || semctl(set, 1, GETZCNT) != 1); tries++) usleep(100000);
	for (int i = 0; i < 4; i++)
		tell("sem", "%d %d %d %d %d %d %d", getpid(), set, i, semctl(set, i, GETVAL), semctl(set, i, GETPID), semctl(set, i, GETNCNT), semctl(set, i, GETZCNT));
	tell("sem", "%d %d %d %d %d %d %d", getpid(), many, 999, 999, getpid(), 0, 0);
	ready("sysv-sem");
}

static int box;

static void receive(void) {
	static struct { long type; char text[100]; } m;
	msgrcv(box, &m, sizeof m.text, 99, 0);
}

/* message tells PID, queue, type, length and digest. */
static void message(int to, long type, size_t n) {
	static struct { long type; char text[8192]; } m;
	m.type = type;
	fill(m.text, n, type * 1000 + n);
	if (note(msgsnd(to, &m, n, IPC_NOWAIT) == 0, "message")) tell("msg", "%d %d %ld %zu %s", getpid(), to, type, n, sha256(m.text, n));
}

static void messages(void) {
	box = msgget(0x1ab00006, IPC_CREAT | 0622);
	need(box >= 0 && msgget(0x1ab00007, IPC_CREAT | 0600) >= 0, "messages");
	static const struct { long type; size_t n; } all[] = {{1, 0}, {2, 1}, {1, 4048}, {3, 4049}, {0x7fffffffffffffff, 17}, {1, 8192}};
	for (size_t i = 0; i < sizeof all / sizeof *all; i++) message(box, all[i].type, all[i].n);
	child(receive);
	ready("sysv-msg");
}

static void apart(void) {
	need(unshare(CLONE_NEWIPC) == 0, "IPC namespace");
	segment(0x1ab00008, PAGE, 0600, 8);
	message(msgget(0x1ab00009, IPC_CREAT | 0600), 5, 50);
	int s = semget(0x1ab0000a, 1, IPC_CREAT | 0600);
	need(semctl(s, 0, SETVAL, 6) == 0, "semaphore");
	ready("sysv-apart");
}

const struct edge_case ipc_cases[] = {{"shm", memory}, {"sem", semaphores}, {"msg", messages}, {"ipcapart", apart}, {0}};
