#include "task.h"

/* change asks AppArmor for another label; profiles are loaded from guest/task/apparmor. */
static int change(const char *file, const char *text) {
	return note(write_file(file, text) == 0, text);
}

static void confined(void) {
	change("/proc/self/attr/current", "changeprofile lab-confined");
	ready("label-confined");
}

static void complaining(void) {
	change("/proc/self/attr/current", "changeprofile lab-complaining");
	ready("label-complaining");
}

static void stacked(void) {
	change("/proc/self/attr/current", "changeprofile lab-stackable");
	change("/proc/self/attr/current", "stack lab-complaining");
	ready("label-stacked");
}

static void at_exec(void) {
	change("/proc/self/attr/exec", "exec lab-confined");
	ready("label-exec");
}

static void hat(void) {
	if (change("/proc/self/attr/current", "changeprofile lab-hats")) change("/proc/self/attr/current", "changehat 0000000012345678^small");
	ready("label-hat");
}

static void *threaded(void *name) {
	change("/proc/thread-self/attr/current", "changeprofile lab-complaining");
	settle(name);
	stay();
}

static void thread_label(void) {
	expect(1);
	thread(threaded, "own label");
	settled();
	ready("label-thread");
}

const struct edge_case label_cases[] = {{"confined", confined}, {"complaining", complaining}, {"labelstack", stacked}, {"labelexec", at_exec}, {"hat", hat}, {"labelthread", thread_label}, {0}};
