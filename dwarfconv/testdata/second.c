#include "common.h"

extern struct outer init_outer;
extern const char linux_banner[];
struct disputed two;
static long twin[3] __attribute__((used));
int touch(int n);

__attribute__((noinline)) long again(struct outer *o)
{
	static char calls[2];
	calls[0]++;
	return touch(o->x) + twin[1] + calls[0] + linux_banner[0];
}

long second(void) { return again(&init_outer); }
