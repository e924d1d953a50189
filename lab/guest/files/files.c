/* files: makes files that are hard to read out of memory, in DIR on a disk and in
 * file systems that it mounts below TMP; holds those that have no name any more;
 * writes LIST when all is in place, and stays.
 *
 *	files DIR TMP LIST
 *	files -swap TMP    has a file's pages written to the swap area
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/memfd.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/xattr.h>
#include <unistd.h>

enum { KIB = 1024, MIB = 1024 * 1024, LARGE = 3 * MIB + 1234, SPARSE = 64 * MIB };

/* note says what the kernel does not have. */
static int note(int ok, const char *what) {
	if (!ok)
		fprintf(stderr, "%s: %s\n", what, strerror(errno));
	return ok;
}

static void need(int ok, const char *what) {
	if (!note(ok, what))
		exit(1);
}

/* fill writes n bytes at off, which tell their offset and the file. */
static void fill(int fd, off_t off, size_t n, const char *name) {
	char line[64], *all = malloc(n + sizeof line);
	size_t at = 0;
	while (at < n)
		at += (size_t)sprintf(all + at, "%.16s %llx\n", name, (unsigned long long)(off + (off_t)at));
	need(pwrite(fd, all, n, off) == (ssize_t)n, name);
	free(all);
}

static int make(const char *name, size_t n) {
	int fd = open(name, O_RDWR | O_CREAT | O_TRUNC, 0644);
	need(fd >= 0, name);
	fill(fd, 0, n, name);
	return fd;
}

static void into(const char *dir) {
	need((mkdir(dir, 0755) == 0 || errno == EEXIST) && chdir(dir) == 0, dir);
}

static void contents(void) {
	close(make("plain", 5000));
	close(make("empty", 0));
	close(make("page", 4096));
	close(make("large", LARGE));
	int fd = make("sparse", 100);
	need(ftruncate(fd, SPARSE) == 0, "sparse");
	fill(fd, SPARSE / 2 + 77, 9000, "sparse");
	fill(fd, SPARSE - 10, 10, "sparse");
	close(fd);
	fd = make("truncated", 100000);
	need(ftruncate(fd, 5001) == 0, "truncated");
	close(fd);
	fd = make("grown", 100000);
	need(ftruncate(fd, 5001) == 0 && ftruncate(fd, 70000) == 0, "grown");
	close(fd);
	fd = make("punched", 256 * KIB);
	note(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 32 * KIB, 64 * KIB) == 0, "punch");
	note(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 200001, 9999) == 0, "punch");
	close(fd);
	fd = make("allocated", 10);
	note(fallocate(fd, 0, 0, 40 * KIB) == 0, "fallocate");
	close(fd);
}

static void names(void) {
	close(make("hard-1", 300));
	mkdir("sub", 0750);
	need(link("hard-1", "hard-2") == 0 && link("hard-1", "sub/hard-3") == 0, "link");
	close(make("before", 200));
	need(rename("before", "sub/after") == 0, "rename");
	close(make("loser", 200));
	close(make("winner", 201));
	need(rename("winner", "loser") == 0, "rename over");
	char target[4000];
	memset(target, 'x', sizeof target);
	for (int i = 100; i < (int)sizeof target; i += 100)
		target[i] = '/';
	target[3990] = 0;
	need(symlink("plain", "link-short") == 0, "symlink");
	target[59] = 0; /* the longest that ext4 keeps in the inode */
	need(symlink(target, "link-59") == 0, "symlink");
	target[59] = 'x', target[200] = 0;
	need(symlink(target, "link-200") == 0, "symlink");
	target[200] = '/', target[3990] = 0;
	need(symlink(target, "link-3990") == 0, "symlink");
	need(symlink("/nowhere/../\xff\n", "link-dangling") == 0 && symlink(".", "link-self") == 0 && symlink("/", "link-root") == 0, "symlink");
	close(make("new\nline", 10));
	close(make("no\xff\xfetext\x80", 11));
	close(make("\x1b[31mred", 12));
	close(make("back\\slash", 13));
	close(make("sp ace (deleted)", 14));
	close(make("...", 15));
	close(make("-dash", 16));
	char longest[256];
	memset(longest, 'n', 255);
	longest[255] = 0;
	close(make(longest, 17));
	mkdir("many", 0755);
	for (int i = 0; i < 600; i++) {
		char name[32];
		sprintf(name, "many/%d", i);
		int fd = open(name, O_CREAT | O_WRONLY, 0600);
		need(fd >= 0, name);
		close(fd);
	}
}

static void kinds(const char *dir) {
	need(mkfifo("fifo", 0640) == 0, "fifo");
	need(mknod("null", S_IFCHR | 0666, makedev(1, 3)) == 0 && mknod("block", S_IFBLK | 0660, makedev(259, 70000)) == 0, "mknod");
	struct sockaddr_un a = {.sun_family = AF_UNIX, .sun_path = "socket"};
	need(bind(socket(AF_UNIX, SOCK_STREAM, 0), (void *)&a, sizeof a) == 0, "bind");
	close(make("setuid", 100));
	close(make("locked", 100));
	close(make("owned", 100));
	need(chmod("setuid", 06755) == 0 && chmod("locked", 0) == 0 && chown("owned", 12345, 4000000000u) == 0, "chmod");
	need(mkdir("sticky", 0755) == 0 && chmod("sticky", 01777) == 0, "sticky");
	close(make("old", 100));
	close(make("future", 100));
	struct timespec old[2] = {{-1000000000, 123456789}, {-1, 999999999}}, future[2] = {{7258118400, 1}, {4294967296, 500000000}};
	need(utimensat(AT_FDCWD, "old", old, 0) == 0 && utimensat(AT_FDCWD, "future", future, 0) == 0, "utimensat");
	close(make("attributes", 100));
	note(setxattr("attributes", "trusted.lab", "a\0b\xff", 4, 0) == 0, "trusted xattr");
	note(setxattr("attributes", "trusted.empty", "", 0, 0) == 0, "empty xattr");
	note(setxattr("attributes", "user.lab", dir, strlen(dir), 0) == 0, "user xattr");
	static const uint8_t capability[] = {1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}; /* VFS_CAP_REVISION_2, cap_net_bind_service */
	note(setxattr("attributes", "security.capability", capability, sizeof capability, 0) == 0, "capability");
	char large[1500];
	memset(large, 'v', sizeof large);
	note(setxattr("attributes", "trusted.large", large, sizeof large, 0) == 0, "large xattr");
	mkdir("deep", 0755);
	int top = open(".", O_RDONLY);
	for (int i = 0; i < 120; i++)
		into("deep");
	close(make("bottom", 50));
	need(fchdir(top) == 0, "top");
	close(top);
}

/* nameless leaves files open or mapped, and without a name. Descriptors 100 and up hold what is open. */
static void nameless(int from) {
	dup2(make("deleted-open", 20000), from);
	unlink("deleted-open");
	int fd = make("deleted-mapped", 12288);
	char *map = mmap(NULL, 12288, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	need(map != MAP_FAILED, "mmap");
	map[5000] = '!';
	close(fd);
	unlink("deleted-mapped");
	fd = make("deleted-large", 2 * MIB + 5);
	dup2(fd, from + 1);
	unlink("deleted-large");
	fd = open(".", O_TMPFILE | O_RDWR, 0600);
	if (note(fd >= 0, "O_TMPFILE")) {
		fill(fd, 0, 6000, "tmpfile");
		dup2(fd, from + 2);
	}
	dup2(make("replaced", 3000), from + 3);
	close(make("replacer", 3001));
	need(rename("replacer", "replaced") == 0, "replace");
	mkdir("gone", 0700);
	close(make("gone/file", 100));
	dup2(open("gone/file", O_RDONLY), from + 4);
	dup2(open("gone", O_RDONLY | O_DIRECTORY), from + 5);
	unlink("gone/file");
	rmdir("gone");
}

static void without_file_system(void) {
	int fd = memfd_create("lab memfd", MFD_ALLOW_SEALING);
	fill(fd, 0, MIB + 10, "memfd");
	fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK);
	dup2(fd, 120);
	fd = memfd_create("huge memfd", MFD_HUGETLB);
	if (note(fd >= 0 && ftruncate(fd, 2 * MIB) == 0, "huge memfd")) {
		char *map = mmap(NULL, 2 * MIB, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		if (note(map != MAP_FAILED, "huge pages")) {
			strcpy(map + MIB, "in a huge page");
			dup2(fd, 121);
		}
	}
	int id = shmget(IPC_PRIVATE, 9000, IPC_CREAT | 0600);
	char *shm = shmat(id, NULL, 0);
	if (note(shm != (void *)-1, "shm"))
		strcpy(shm, "System V");
	char *anon = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	need(anon != MAP_FAILED, "shared memory");
	strcpy(anon + 4096, "shared and anonymous");
}

static void fs(const char *type, const char *dir, const char *options) {
	mkdir(dir, 0755);
	note(mount("lab", dir, type, 0, options) == 0, dir);
}

/* mounts makes mounts of all kinds in the current directory, a tmpfs. */
static void mounts(void) {
	fs("tmpfs", "nested", "size=8m,mode=0751");
	mkdir("nested/one", 0755);
	close(make("nested/one/hidden", 40)); /* under a mount */
	fs("tmpfs", "nested/one", "size=1m");
	close(make("nested/one/shown", 41));
	fs("tmpfs", "nested/one", "size=1m"); /* twice in one place */
	close(make("nested/one/uppermost", 42));
	close(make("bound", 500));
	close(make("bind-target", 10));
	need(mount("bound", "bind-target", NULL, MS_BIND, NULL) == 0, "bind of a file");
	close(make("bound-deleted", 501));
	close(make("bind-target-2", 0));
	need(mount("bound-deleted", "bind-target-2", NULL, MS_BIND, NULL) == 0 && unlink("bound-deleted") == 0, "bind of a deleted file");
	mkdir("bind-ro", 0755);
	need(mount("sub", "bind-ro", NULL, MS_BIND, NULL) == 0 && mount(NULL, "bind-ro", NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL) == 0, "bind, read-only");
	mkdir("bind-all", 0755);
	need(mount("nested", "bind-all", NULL, MS_BIND | MS_REC, NULL) == 0, "recursive bind");
	fs("tmpfs", "lazy", "size=1m");
	dup2(make("lazy/open", 700), 130);
	close(make("lazy/closed", 701));
	need(umount2("lazy", MNT_DETACH) == 0, "lazy umount");
	fs("ramfs", "ramfs", NULL);
	into("ramfs");
	close(make("plain", 7000));
	close(make("large", MIB + 3));
	need(symlink("plain", "link") == 0 && chdir("..") == 0, "ramfs");
	fs("tmpfs", "huge", "size=16m,huge=always");
	close(make("huge/large", 5 * MIB + 17));
	fs("hugetlbfs", "hugetlbfs", "pagesize=2M");
	int fd = open("hugetlbfs/file", O_RDWR | O_CREAT, 0600);
	if (note(fd >= 0 && ftruncate(fd, 2 * MIB) == 0, "hugetlbfs")) {
		char *map = mmap(NULL, 2 * MIB, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		if (note(map != MAP_FAILED, "huge page"))
			strcpy(map + 5000, "in the file");
		if (map != MAP_FAILED)
			munmap(map, 2 * MIB);
		close(fd);
	}
}

/* overlay mounts one with every kind of entry: layers one below two below upper. */
static void overlay(const char *dir, const char *more) {
	static const char *const dirs[] = {"one", "two", "upper", "work", "merged"};
	into(dir);
	for (int i = 0; i < 5; i++)
		mkdir(dirs[i], 0755);
	for (int i = 0; i < 2; i++) {
		into(dirs[i]);
		close(make(i ? "only-two" : "only-one", 600));
		close(make("both", (size_t)(700 + i)));
		close(make("to-write", 9000));
		close(make("to-chmod", 20000));
		close(make("to-delete", 10));
		close(make("to-link", 800));
		mkdir("dir", 0755);
		close(make(i ? "dir/two" : "dir/one", 30));
		mkdir("opaque", 0755);
		close(make(i ? "opaque/two" : "opaque/one", 31));
		mkdir("to-move", 0755);
		close(make("to-move/file", 32));
		need(chdir("..") == 0, "..");
	}
	need(symlink("only-one", "one/link") == 0, "symlink");
	char options[300];
	sprintf(options, "lowerdir=two:one,upperdir=upper,workdir=work%s", more);
	if (!note(mount("overlay", "merged", "overlay", 0, options) == 0, options)) {
		need(chdir("..") == 0, "..");
		return;
	}
	into("merged");
	close(make("new", 5000));
	int fd = open("to-write", O_RDWR);
	fill(fd, 4000, 300, "written");
	close(fd);
	need(chmod("to-chmod", 0604) == 0 && unlink("to-delete") == 0, "overlay");
	close(make("dir/three", 33));
	need(link("to-link", "dir/linked") == 0, "overlay link");
	unlink("opaque/one"), unlink("opaque/two");
	need(rmdir("opaque") == 0 && mkdir("opaque", 0711) == 0, "opaque");
	close(make("opaque/three", 34));
	note(rename("to-move", "moved") == 0, "redirect");
	fd = open("both", O_RDONLY);
	dup2(fd, 140); /* deleted in the overlay, open in the layer */
	close(fd);
	unlink("both");
	fd = make("deleted", 2000);
	dup2(fd, 141);
	unlink("deleted");
	need(chdir("../..") == 0, "..");
}

/* pages_out has the pages of TMP/swapped written to the swap area, but for the first. */
static int pages_out(const char *tmp) {
	need(chdir(tmp) == 0, tmp);
	int fd = make("swapped", 64 * KIB);
	char *map = mmap(NULL, 64 * KIB, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	need(map != MAP_FAILED, "mmap");
	for (int i = 0; i < 64 * KIB; i += 4096)
		map[i] = '*';
	return !note(madvise(map + 4096, 60 * KIB, 21 /* MADV_PAGEOUT */) == 0, "pageout");
}

int main(int argc, char **argv) {
	if (argc == 3 && strcmp(argv[1], "-swap") == 0)
		return pages_out(argv[2]);
	if (argc != 4)
		return 2;
	umask(0);
	for (int i = 1; i <= 2; i++) {
		if (i == 2)
			fs("tmpfs", argv[i], "size=64m,mode=0755");
		into(argv[i]);
		contents();
		names();
		kinds(argv[i]);
		nameless(90 + i * 10);
	}
	without_file_system();
	mounts();
	overlay("overlay", "");
	overlay("metacopy", ",metacopy=on,redirect_dir=on,index=on");
	need(chdir(argv[1]) == 0, argv[1]);
	overlay("overlay", "");
	sync();
	int fd = open(argv[3], O_WRONLY | O_CREAT, 0644);
	dprintf(fd, "files %d\n", getpid());
	close(fd);
	for (;;)
		pause();
}
