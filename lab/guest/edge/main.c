#include "edge.h"

const char program[] = "edge";

/* Usage: edge OUT. Starts every case, writes "NAME PID" lines to OUT when all are in place, and stays as their parent. */
int main(int argc, char **argv, char **envp) {
	const char *stage = getenv("EDGE");
	if (stage) arg_stage(stage, argc, argv, envp);
	if (argc != 2) return 2;
	signal(SIGPIPE, SIG_IGN);
	mkdir(DIR, 0755);
	open_report();
	big_pids();
	const struct edge_case *all[] = {state_cases, arg_cases, fd_cases, ns_cases, mm_cases, thread_cases};
	for (size_t i = 0; i < sizeof all / sizeof *all; i++) start(all[i]);
	collect(argv[1]);
	stay();
}
