#define THIRD
#include "common.h"

struct disputed three;
union word *words;
struct bits *bits(struct bits *b) { return b; }
