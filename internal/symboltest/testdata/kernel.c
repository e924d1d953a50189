// What of a kernel tells which one it is, at the addresses that symboltest.go has. RELEASE
// and BUILD are given by build.sh.
// sizes as in symboltest.go: 16 x + 16
#define S(x) struct type##x { char before[8 * x]; char member; char after[16 * x + 16 - 8 * x - 1]; } type##x = {}
S(0); S(1); S(2); S(3); S(4); S(5); S(6); S(7); S(8); S(9);

__attribute__((section(".rodata.banner"))) const char linux_banner[] =
	"Linux version " RELEASE " (builder@host) (gcc 12) " BUILD "\n";

struct uts_namespace { char name[390]; };
__attribute__((section(".data.uts"))) struct uts_namespace init_uts_ns = {"Linux"};

__attribute__((section(".text.first"))) void _stext(void) {}
