/* What both units of the test kernel share. */
struct list_head { struct list_head *next, *prev; };
typedef struct { int counter; } atomic_t;
typedef struct list_head list_t;
typedef unsigned char u8;
typedef unsigned long long u64;
typedef u64 dma_addr_t;

enum color { RED, GREEN = 5, BLUE = -1 };

struct bits {
	unsigned int a:3;
	unsigned int b:5;
	unsigned long c:40;
	int d:4;
	_Bool e:1;
	u8 tail;
};

struct __attribute__((packed)) packed {
	u8 first;
	u64 second;
	unsigned int high:24;
	unsigned int rest:8;
};

union word { u64 all; u8 bytes[8]; };

struct opaque;
struct flexible { int count; struct list_head items[]; };
struct empty { };

struct outer {
	union {
		int x;
		struct { short low, high; };
	};
	struct { char name[16]; } inner;
	int matrix[2][3];
	long (*call)(struct outer *, const char *);
	enum color color;
	enum { NONE, SOME = 3 } choice;
	const volatile char *text;
	float single;
	double real;
	atomic_t users;
	list_t list;
	dma_addr_t dma;
	struct opaque *opaque;
	void *any;
	struct bits bits;
	union word word;
	_Bool flag;
	signed char small;
	short *const *table[4];
};

/* Units do not agree on this one: two have the first form. */
#ifdef THIRD
struct disputed { long only; };
#else
struct disputed { int first, second; };
#endif
