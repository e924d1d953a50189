/* bpfcases DIR: loads the BPF objects in DIR, attaches what can be attached, and stays.
 * bpfcases -pin DIR BPFFS: loads the first of them, pins a part of it under BPFFS, and ends.
 * What the kernel does not take is told on standard error. */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static const char *dir;
static const char group[] = "/sys/fs/cgroup/system.slice", child_group[] = "/sys/fs/cgroup/system.slice/containerd.service";

static int quiet(enum libbpf_print_level level, const char *format, va_list args) { return 0; }

static void missing(const char *what, int error) { fprintf(stderr, "missing: %s: %s\n", what, strerror(error < 0 ? -error : error)); }

static struct bpf_object *open_object(const char *file) {
	char path[256];
	snprintf(path, sizeof path, "%s/%s", dir, file);
	return bpf_object__open_file(path, 0);
}

/* keep_only leaves of an object the program and no map that only others use. */
static void keep_only(struct bpf_object *o, const char *name) {
	struct bpf_program *p;
	bpf_object__for_each_program(p, o) bpf_program__set_autoload(p, !strcmp(bpf_program__name(p), name));
}

/* skip_maps leaves out the maps that this kernel does not know. */
static void skip_maps(struct bpf_object *o) {
	struct bpf_map *m;
	bpf_object__for_each_map(m, o) {
		if (libbpf_probe_bpf_map_type(bpf_map__type(m), 0) != 0) continue;
		missing(bpf_map__name(m), EOPNOTSUPP);
		bpf_map__set_autocreate(m, 0);
	}
}

/* load loads all programs of an object that load alone. */
static struct bpf_object *load(const char *file) {
	struct bpf_object *all = open_object(file);
	if (!all) return missing(file, errno), (void *)0;
	skip_maps(all);
	struct bpf_program *p;
	bpf_object__for_each_program(p, all) {
		const char *name = bpf_program__name(p);
		struct bpf_object *one = open_object(file);
		skip_maps(one);
		keep_only(one, name);
		int err = bpf_object__load(one);
		if (err) missing(name, err);
		bpf_program__set_autoload(p, !err);
		bpf_object__close(one);
	}
	int err = bpf_object__load(all);
	if (err) missing(file, err);
	return err ? 0 : all;
}

static int fd_of(struct bpf_object *o, const char *name) {
	struct bpf_program *p = bpf_object__find_program_by_name(o, name);
	return p ? bpf_program__fd(p) : -1;
}

static int map_of(struct bpf_object *o, const char *name) { return bpf_object__find_map_fd_by_name(o, name); }

static void put(struct bpf_object *o, const char *map, const void *key, const void *value) {
	if (bpf_map_update_elem(map_of(o, map), key, value, BPF_ANY)) missing(map, errno);
}

struct pair {
	unsigned long long count;
	char name[16];
};

static void fill(struct bpf_object *o) {
	unsigned long long values[64] = {0};
	struct pair pairs[64] = {{0}};
	int processors = libbpf_num_possible_cpus();
	for (unsigned i = 0; i < 5; i++) {
		struct pair p = {.count = 1000 + i, .name = "array"};
		put(o, "lab_array", &i, &p);
	}
	for (unsigned long long i = 0; i < 70; i++) {
		struct pair p = {.count = i, .name = "hash"};
		unsigned long long key = i * 0x100000001ull;
		put(o, "lab_hash", &key, &p);
	}
	for (unsigned i = 0; i < 20; i++) {
		for (int c = 0; c < processors; c++) {
			values[c] = i * 100 + c;
			pairs[c] = (struct pair){.count = i * 10 + c, .name = "percpu"};
		}
		unsigned value = i * i;
		if (i < 3) put(o, "lab_pcpu_array", &i, values);
		put(o, "lab_pcpu_hash", &i, pairs);
		put(o, "lab_lru_hash", &i, &value);
		put(o, "lab_lru_pcpu", &i, values);
		put(o, "lab_hash_lazy", &i, &value);
	}
	struct {
		unsigned bits;
		unsigned char address[4];
	} prefixes[] = {{0, {0}}, {8, {10}}, {16, {10, 1}}, {24, {10, 1, 2}}, {32, {10, 1, 2, 3}}, {12, {172, 16}}};
	for (unsigned i = 0; i < sizeof prefixes / sizeof *prefixes; i++) put(o, "lab_trie", &prefixes[i], &i);
	for (unsigned i = 0; i < 5; i++) {
		char item[12] = "queued";
		item[7] = '0' + i;
		put(o, "lab_queue", 0, item);
		put(o, "lab_stack", 0, item);
		put(o, "lab_bloom", 0, &i);
	}
	unsigned zero = 0, one = 1, two = 2, lo = 1;
	int tail = fd_of(o, "lab_printk");
	if (tail >= 0) put(o, "lab_prog_array", &two, &tail);
	int cgroup = open(group, O_RDONLY | O_CLOEXEC);
	put(o, "lab_cgroups", &one, &cgroup);
	put(o, "lab_devmap", &two, &lo);
	put(o, "lab_devmap_hash", &lo, &lo);
	struct perf_event_attr clock = {.type = PERF_TYPE_SOFTWARE, .config = PERF_COUNT_SW_BPF_OUTPUT, .size = sizeof clock, .sample_type = PERF_SAMPLE_RAW};
	int event = syscall(SYS_perf_event_open, &clock, -1, 0, -1, PERF_FLAG_FD_CLOEXEC);
	put(o, "lab_events", &zero, &event);
	int task = syscall(SYS_pidfd_open, getpid(), 0), file = open("/etc/hostname", O_RDONLY | O_CLOEXEC);
	unsigned long long kept = 77;
	put(o, "lab_task_storage", &task, &kept);
	put(o, "lab_inode_storage", &file, &kept);
}

/* Sockets in maps, with storage, a filter and a selector. */
static void sockets(struct bpf_object *o) {
	unsigned long long key = 5, kept = 99;
	unsigned zero = 0;
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof a;
	int l = socket(AF_INET, SOCK_STREAM, 0), c = socket(AF_INET, SOCK_STREAM, 0), on = 1, prog;
	bind(l, (void *)&a, sizeof a);
	listen(l, 1);
	getsockname(l, (void *)&a, &len);
	connect(c, (void *)&a, sizeof a);
	unsigned long long socket_value = c;
	put(o, "lab_sockhash", &key, &socket_value);
	put(o, "lab_sockmap", &zero, &socket_value);
	put(o, "lab_sk_storage", &c, &kept);
	int u = socket(AF_INET, SOCK_DGRAM, 0);
	setsockopt(u, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
	bind(u, (void *)&a, sizeof a);
	socket_value = u;
	put(o, "lab_reuse", &zero, &socket_value);
	if ((prog = fd_of(o, "lab_reuseport")) >= 0 && setsockopt(u, SOL_SOCKET, SO_ATTACH_REUSEPORT_EBPF, &prog, sizeof prog)) missing("reuseport", errno);
	if ((prog = fd_of(o, "lab_socket")) >= 0 && setsockopt(u, SOL_SOCKET, SO_ATTACH_BPF, &prog, sizeof prog)) missing("socket filter", errno);
	if (bpf_prog_attach(fd_of(o, "lab_verdict"), map_of(o, "lab_sockmap"), BPF_SK_SKB_STREAM_VERDICT, 0)) missing("verdict", errno);
	if (bpf_prog_attach(fd_of(o, "lab_msg"), map_of(o, "lab_sockhash"), BPF_SK_MSG_VERDICT, 0)) missing("msg", errno);
}

static void cgroup(struct bpf_object *o, const char *name, const char *path, enum bpf_attach_type type, unsigned flags) {
	int at = open(path, O_RDONLY | O_CLOEXEC), prog = fd_of(o, name);
	if (prog >= 0 && bpf_prog_attach(prog, at, type, flags)) missing(name, errno);
	close(at);
}

static void cgroups(struct bpf_object *o) {
	cgroup(o, "lab_ingress", group, BPF_CGROUP_INET_INGRESS, BPF_F_ALLOW_MULTI);
	cgroup(o, "lab_ingress", child_group, BPF_CGROUP_INET_INGRESS, BPF_F_ALLOW_MULTI);
	cgroup(o, "lab_egress", child_group, BPF_CGROUP_INET_EGRESS, BPF_F_ALLOW_MULTI);
	cgroup(o, "lab_sock", group, BPF_CGROUP_INET_SOCK_CREATE, BPF_F_ALLOW_OVERRIDE);
	cgroup(o, "lab_connect", child_group, BPF_CGROUP_INET4_CONNECT, 0);
	cgroup(o, "lab_device", child_group, BPF_CGROUP_DEVICE, BPF_F_ALLOW_MULTI);
	cgroup(o, "lab_sysctl", group, BPF_CGROUP_SYSCTL, BPF_F_ALLOW_MULTI);
	cgroup(o, "lab_getsockopt", group, BPF_CGROUP_GETSOCKOPT, BPF_F_ALLOW_MULTI);
	cgroup(o, "lab_sockops", group, BPF_CGROUP_SOCK_OPS, BPF_F_ALLOW_MULTI);
}

static void told(const char *name, struct bpf_link *link) {
	if (!link) missing(name, errno);
}

/* Links, which this process alone holds. */
static void links(struct bpf_object *o) {
	static const char *const by_section[] = {"lab_tp", "lab_raw_tp", "lab_tp_btf", "lab_kprobe", "lab_kretprobe", "lab_kmulti",
		"lab_fentry", "lab_fexit", "lab_fmod_ret", "lab_lsm", "lab_iter"};
	for (unsigned i = 0; i < sizeof by_section / sizeof *by_section; i++)
		if (fd_of(o, by_section[i]) >= 0) told(by_section[i], bpf_program__attach(bpf_object__find_program_by_name(o, by_section[i])));
	struct bpf_program *p = bpf_object__find_program_by_name(o, "lab_uprobe");
	if (fd_of(o, "lab_uprobe") >= 0) told("lab_uprobe", bpf_program__attach_uprobe(p, 0, -1, "/usr/bin/dbus-daemon", 0x2000));
	struct perf_event_attr clock = {.type = PERF_TYPE_SOFTWARE, .config = PERF_COUNT_SW_CPU_CLOCK, .size = sizeof clock, .sample_period = 1ull << 40};
	int event = syscall(SYS_perf_event_open, &clock, -1, 1, -1, PERF_FLAG_FD_CLOEXEC);
	if (fd_of(o, "lab_perf") >= 0) told("lab_perf", bpf_program__attach_perf_event(bpf_object__find_program_by_name(o, "lab_perf"), event));
	int space = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	if (fd_of(o, "lab_sk_lookup") >= 0) told("lab_sk_lookup", bpf_program__attach_netns(bpf_object__find_program_by_name(o, "lab_sk_lookup"), space));
	if (fd_of(o, "lab_dissector") >= 0) told("lab_dissector", bpf_program__attach_netns(bpf_object__find_program_by_name(o, "lab_dissector"), space));
	if (fd_of(o, "lab_xdp") >= 0) told("lab_xdp", bpf_program__attach_xdp(bpf_object__find_program_by_name(o, "lab_xdp"), 1));
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = 1, .attach_point = BPF_TC_EGRESS);
	LIBBPF_OPTS(bpf_tc_opts, opts, .prog_fd = fd_of(o, "lab_tc"), .priority = 7);
	int err = bpf_tc_hook_create(&hook);
	if (!err) err = bpf_tc_attach(&hook, &opts);
	if (err) missing("tc", err);
}

static void operations(void) {
	struct bpf_object *o = load("ops.bpf.o");
	if (o) told("lab_congestion", bpf_map__attach_struct_ops(bpf_object__find_map_by_name(o, "lab_congestion")));
}

static void hold(void) {
	struct bpf_object *o = load("cases.bpf.o");
	if (o) {
		fill(o);
		sockets(o);
		cgroups(o);
		links(o);
	}
	operations();
	FILE *f = fopen("/run/bpf.list", "w");
	fprintf(f, "bpf-cases %d\n", getpid());
	fclose(f);
	for (;;) pause();
}

static void pin_fd(int fd, const char *bpffs, const char *name) {
	char path[256];
	snprintf(path, sizeof path, "%s/%s", bpffs, name);
	if (fd < 0 || bpf_obj_pin(fd, path)) missing(path, errno);
}

/* What has no process any more: by a pin, and by what it is attached to. */
static void pin(const char *bpffs) {
	char nested[256];
	snprintf(nested, sizeof nested, "%s/nested", bpffs);
	mkdir(bpffs, 0700);
	mkdir(nested, 0700);
	struct bpf_object *o = load("cases.bpf.o");
	if (!o) exit(1);
	pin_fd(fd_of(o, "lab_syscall"), bpffs, "prog_syscall");
	pin_fd(fd_of(o, "lab_tp"), bpffs, "prog_tp");
	pin_fd(map_of(o, "lab_hash"), nested, "map_hash");
	struct bpf_link *l = bpf_program__attach(bpf_object__find_program_by_name(o, "lab_raw_tp"));
	if (l) pin_fd(bpf_link__fd(l), nested, "link_raw_tp");
	cgroup(o, "lab_egress", group, BPF_CGROUP_INET_EGRESS, BPF_F_ALLOW_MULTI);
}

int main(int argc, char **argv) {
	int pins = argc == 4 && !strcmp(argv[1], "-pin");
	if (!pins && argc != 2) return 2;
	libbpf_set_print(quiet);
	dir = argv[pins ? 2 : 1];
	if (pins) pin(argv[3]);
	else hold();
}
