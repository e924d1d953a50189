/* intruder: what a responder must find in a container. It runs from a memfd
 * (no file on any disk) under a kernel worker's name, has a writable and
 * executable mapping, keeps a deleted file open, listens on a port, and holds
 * a connection to itself. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static const char secret[] = "LAB-SECRET on the heap";

static void need(int ok, const char *what) {
	if (ok) return;
	perror(what);
	exit(1);
}

/* hide copies this program to a memfd and executes that, with arguments that look like a kernel thread's name. */
static void hide(char **envp) {
	int from = open("/proc/self/exe", O_RDONLY | O_CLOEXEC), to = memfd_create("update", 0);
	struct stat st;
	need(from >= 0 && to >= 0 && fstat(from, &st) == 0, "open");
	need(sendfile(to, from, NULL, st.st_size) == st.st_size, "sendfile");
	char *argv[] = {"[kworker/u4:2-events]", "hidden", NULL};
	fexecve(to, argv, envp);
	need(0, "fexecve");
}

static void leave_file(void) {
	int f = open("/tmp/.cache.db", O_RDWR | O_CREAT, 0600);
	need(f >= 0 && write(f, "LAB-DELETED-FILE\n", 17) == 17, "file");
	need(unlink("/tmp/.cache.db") == 0, "unlink");
}

static void talk_to_self(void) {
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(31337)};
	int s = socket(AF_INET, SOCK_STREAM, 0), c = socket(AF_INET, SOCK_STREAM, 0);
	need(bind(s, (void *)&a, sizeof a) == 0 && listen(s, 4) == 0, "listen");
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	need(connect(c, (void *)&a, sizeof a) == 0 && accept(s, 0, 0) >= 0, "connect");
}

static void map_code(void) {
	char *p = mmap(0, 8192, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	need(p != MAP_FAILED, "mmap");
	memcpy(p, "\x55\x48\x89\xe5\x90\x90LAB-RWX-BODY", 18);
}

int main(int argc, char **argv, char **envp) {
	if (argc < 2 || strcmp(argv[1], "hidden")) hide(envp);
	prctl(PR_SET_NAME, "kworker/u4:2");
	char *heap = strdup(secret);
	map_code();
	leave_file();
	talk_to_self();
	while (heap) pause();
}
