/* A type that nests deeper than ISF has types nest, by one pointer. */
#define TEN(x) x x x x x x x x x x
struct deep { int TEN(TEN(*)) pointer; };
struct deep deep;
