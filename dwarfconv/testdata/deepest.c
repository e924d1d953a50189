/* A type that nests as deep as may be. */
#define NINE(x) x x x x x x x x x
struct deepest { int NINE(NINE(*) *) NINE(*) const volatile pointer; };
struct deepest deepest;
