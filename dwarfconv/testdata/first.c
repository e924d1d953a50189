#include "common.h"

const char linux_banner[] = "Linux version 0.0.0-test (nobody@nowhere) #1\n";
const char modinfo[] __attribute__((section(".modinfo"), used)) = "license=GPL";

struct outer init_outer = { .x = 1 };
struct disputed one;
struct packed packed;
struct flexible *flexible;
struct empty empty;
static struct list_head twin __attribute__((used)) = { &twin, &twin }; /* of another type in second.c */
static int private __attribute__((used)) = 3;
extern struct outer outside; /* defined in assembly */
extern u64 alias __attribute__((alias("total")));
u64 total = 7;
static _Bool seldom; /* clang keeps a bit of it, the other way round */

__attribute__((noinline)) int touch(int n)
{
	static int calls = 1;
	struct inside { int depth; u8 *where; } local = { n, 0 };
	int private = n; /* no symbol */
	calls += local.depth + private + outside.x + seldom;
	if (n > 9)
		seldom = 1;
	return calls;
}

int enter(struct disputed *d) { return touch(d->first) + (int)total + (twin.next == 0); }
