/* pause: holds a pod's namespaces open, as the first process of its sandbox. */
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

static void end(int unused) {
	(void)unused;
	exit(0);
}

int main(void) {
	signal(SIGINT, end);
	signal(SIGTERM, end);
	for (;;) pause();
}
