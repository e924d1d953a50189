// One type of each kind that BTF has.
#define percpu __attribute__((section(".data..percpu")))
#define user __attribute__((btf_type_tag("user")))
#define noted __attribute__((btf_decl_tag("noted")))

typedef unsigned int u32;
typedef struct { int counter; } atomic_t;
typedef struct list list_t;
typedef list_t list_again_t;
typedef enum { FIRST, SECOND } order_t;

struct elsewhere;
union elsewhere_too;

enum sign { MINUS = -1, ZERO, PLUS };
enum size { NONE, LARGE = 0x90000000 };
enum wide { WIDEST = 0xffffffff00000001, WIDE = 2 };
enum depth { DEEPEST = -0x100000000, FLAT = 0 };

struct list { struct list *next, **prev; };
struct empty {};

struct bits {
	u32 a : 3;
	u32 b : 13;
	int c : 17;
	unsigned long long d : 40;
	enum sign e : 2;
	_Bool f : 1;
	char g;
};

struct all {
	_Bool boolean;
	char character;
	unsigned char byte;
	short small;
	const volatile long number;
	__int128 huge;
	float single;
	double twice;
	void *nothing;
	int (*call)(struct all *self, const char *name, ...);
	struct elsewhere *there;
	union elsewhere_too *too;
	list_t heads[3][2];
	list_again_t again;
	atomic_t count;
	order_t order;
	enum sign sign;
	enum size size;
	enum wide wide;
	enum depth depth;
	struct bits bits;
	union {
		int one;
		struct { short low, high; };
	};
	struct { u32 inner; } named;
	const char *restrict user text noted;
	struct empty empty;
	char rest[];
};

struct all *percpu per_cpu;
int percpu per_cpu_count;

noted int use(struct all *a) { return a->number + per_cpu_count + (per_cpu == a); }
