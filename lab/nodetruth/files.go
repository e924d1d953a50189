package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// chosen are the trees of the node's disk that are listed. Of other file systems in memory all is.
var chosen = []string{"/etc", "/opt/lab", "/root", "/tmp", "/usr/local", "/var/files", "/var/lib/containerd", "/var/lib/kubelet", "/var/log"}

// listedTypes are the file systems that are listed, by the magic of statfs(2).
var listedTypes = map[int64]string{unix.TMPFS_MAGIC: "tmpfs", unix.RAMFS_MAGIC: "ramfs", unix.EXT4_SUPER_MAGIC: "ext4",
	unix.OVERLAYFS_SUPER_MAGIC: "overlay", unix.HUGETLBFS_MAGIC: "hugetlbfs"}

// A fileTruth is what the kernel says of one file. Bytes are in base64, for names need not be text.
type fileTruth struct {
	Path   []byte `json:"path"`
	Target []byte `json:"target,omitempty"` // of a symbolic link
	FSType string `json:"fstype"`
	Mount  uint64 `json:"mount"`

	Dev, Rdev                  uint64
	Ino, Nlink                 uint64
	Mode, UID, GID             uint32
	Size, Blocks               int64
	Atime, Mtime, Ctime, Btime [2]int64 // seconds and nanoseconds; Btime is 0, 0 where the file system has none

	Xattrs map[string][]byte `json:"xattrs,omitempty"`

	// Of a regular file: runs of pages that are in the page cache as mincore(2) says, first and count;
	// the digest of the bytes in those runs, within the size; and of the whole file, unless reading would change what is cached.
	Pages  [][2]int64 `json:"pages,omitempty"`
	Cached string     `json:"cached,omitempty"`
	SHA256 string     `json:"sha256,omitempty"`
}

// files adds what each mount namespace shows of files, and those that processes hold and that have no name.
func (a *archive) files() {
	seen := map[string]bool{}
	pids, _ := numbers("/proc") // what cannot be listed is not there
	for _, pid := range pids {
		proc := filepath.Join("/proc", strconv.Itoa(pid))
		ns, err := os.Readlink(proc + "/ns/mnt")
		if root, rootErr := os.Readlink(proc + "/root"); err != nil || rootErr != nil || seen[ns] || root != "/" || pid == os.Getpid() {
			continue
		}
		seen[ns] = true
		a.add(fmt.Sprintf("truth/files/%d.json", pid), listRoot(proc+"/root", pid == 1))
	}
	var held []byte
	for _, pid := range pids {
		if pid != os.Getpid() {
			held = append(held, holds(pid)...)
		}
	}
	a.add("truth/files/nameless.json", held)
}

// A lister lists the tree of one root.
type lister struct {
	root string
	node bool // the node's own root: of its disk the chosen trees are listed
	out  bytes.Buffer
}

func listRoot(root string, node bool) []byte {
	l := &lister{root: root, node: node}
	if node {
		for _, dir := range chosen {
			l.list(dir)
		}
	}
	mounts, err := os.ReadFile(filepath.Dir(root) + "/mountinfo")
	if err != nil {
		return nil
	}
	done := map[string]bool{}
	for line := range strings.Lines(string(mounts)) {
		fields := strings.Fields(line)
		point := unescape(fields[4])
		if done[point] {
			continue
		}
		done[point] = true
		switch fields[slices.Index(fields, "-")+1] {
		case "tmpfs", "ramfs", "overlay", "hugetlbfs", "ext4":
			if point != "/" || !node {
				l.list(point)
			}
		}
	}
	return l.out.Bytes()
}

// unescape undoes what mountinfo does to spaces and the like.
func unescape(s string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(s)
}

// list lists a directory or file, and what is below it in the same mount.
func (l *lister) list(path string) {
	var top unix.Statx_t
	if err := statx(l.root+path, &top); err != nil {
		return
	}
	if l.node && !slices.Contains(chosen, path) && fsType(l.root+path) == "ext4" && top.Mode&unix.S_IFMT == unix.S_IFDIR {
		return // mounted from the node's disk, and seen there
	}
	if !l.node && fsType(l.root+path) == "ext4" && path == "/" {
		return // the node's disk, as the node itself sees it
	}
	if !l.node && strings.HasPrefix(path, "/host") {
		return // the same
	}
	l.below(path, top.Mnt_id)
}

func (l *lister) below(path string, mount uint64) {
	f, dir := l.file(path, mount)
	if f == nil {
		return
	}
	line, err := json.Marshal(f)
	if err != nil {
		return
	}
	l.out.Write(append(line, '\n'))
	if dir == nil {
		return
	}
	names, _ := dir.Readdirnames(-1)
	dir.Close()
	slices.Sort(names)
	for _, name := range names {
		l.below(filepath.Join(path, name), mount)
	}
}

func statx(path string, s *unix.Statx_t) error {
	return unix.Statx(unix.AT_FDCWD, path, unix.AT_SYMLINK_NOFOLLOW|unix.AT_NO_AUTOMOUNT, unix.STATX_BASIC_STATS|unix.STATX_BTIME|unix.STATX_MNT_ID, s)
}

// fsType returns the type of the file system of a path, empty if it is not listed. A link's is its directory's.
func fsType(path string) string {
	var s unix.Statfs_t
	f, err := unix.Open(path, unix.O_PATH|unix.O_NOFOLLOW, 0)
	if err != nil {
		return ""
	}
	defer unix.Close(f)
	if unix.Fstatfs(f, &s) != nil {
		return ""
	}
	return listedTypes[s.Type]
}

// file describes a file of the mount; nil if it is of another, or of a file system that is not listed. Of a directory it returns
// that opened, too. Nothing is read that changes a time: but for links, which therefore are asked for their times last.
func (l *lister) file(path string, mount uint64) (*fileTruth, *os.File) {
	full := l.root + path
	var s unix.Statx_t
	kind := fsType(full)
	if kind == "" || statx(full, &s) != nil || s.Mnt_id != mount {
		return nil, nil
	}
	f := &fileTruth{Path: []byte(path), FSType: kind, Mount: mount, Xattrs: xattrs(full)}
	var dir *os.File
	switch s.Mode & unix.S_IFMT {
	case unix.S_IFLNK:
		if target, err := os.Readlink(full); err == nil {
			f.Target = []byte(target)
		}
	case unix.S_IFDIR:
		dir, _ = os.OpenFile(full, unix.O_NOATIME|unix.O_DIRECTORY, 0)
	case unix.S_IFREG:
		if file, err := os.OpenFile(full, unix.O_NOATIME, 0); err == nil {
			f.content(file, s.Size)
			file.Close()
		}
	}
	if statx(full, &s) == nil {
		f.stat(&s)
	}
	return f, dir
}

func (f *fileTruth) stat(s *unix.Statx_t) {
	at := func(t unix.StatxTimestamp) [2]int64 { return [2]int64{t.Sec, int64(t.Nsec)} }
	f.Dev, f.Rdev = unix.Mkdev(s.Dev_major, s.Dev_minor), unix.Mkdev(s.Rdev_major, s.Rdev_minor)
	f.Ino, f.Nlink, f.Mode, f.UID, f.GID = s.Ino, uint64(s.Nlink), uint32(s.Mode), s.Uid, s.Gid
	f.Size, f.Blocks = int64(s.Size), int64(s.Blocks)
	f.Atime, f.Mtime, f.Ctime = at(s.Atime), at(s.Mtime), at(s.Ctime)
	if s.Mask&unix.STATX_BTIME != 0 {
		f.Btime = at(s.Btime)
	}
}

func xattrs(path string) map[string][]byte {
	names := make([]byte, 64<<10)
	n, err := unix.Llistxattr(path, names)
	if err != nil || n == 0 {
		return nil
	}
	all := map[string][]byte{}
	for name := range strings.SplitSeq(strings.TrimSuffix(string(names[:n]), "\x00"), "\x00") {
		value := make([]byte, 64<<10)
		if n, err := unix.Lgetxattr(path, name, value); err == nil {
			all[name] = value[:n]
		}
	}
	return all
}

// content says which pages are cached, and the digests. What is not cached is not read, for that would cache it; but holes
// in memory's own file systems are, where nothing of them is swapped out.
func (f *fileTruth) content(file *os.File, size uint64) {
	if size == 0 {
		return
	}
	m, err := unix.Mmap(int(file.Fd()), 0, int(size), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return
	}
	vector := make([]byte, (size+4095)/4096)
	err = mincore(m, vector)
	_ = unix.Munmap(m) // it was mapped
	if err != nil {
		return
	}
	cached := sha256.New()
	for i := 0; i < len(vector); {
		n := i
		for n < len(vector) && vector[n]&1 == vector[i]&1 {
			n++
		}
		if vector[i]&1 != 0 {
			f.Pages = append(f.Pages, [2]int64{int64(i), int64(n - i)})
			data := make([]byte, min(uint64(n)*4096, size)-uint64(i)*4096)
			got, _ := file.ReadAt(data, int64(i)*4096)
			cached.Write(data[:got])
		}
		i = n
	}
	f.Cached = hex.EncodeToString(cached.Sum(nil))
	if whole := len(f.Pages) == 1 && f.Pages[0] == [2]int64{0, int64(len(vector))}; whole {
		f.SHA256 = f.Cached
	} else if f.FSType != "ext4" && f.FSType != "overlay" && !strings.HasSuffix(string(f.Path), "swapped") {
		all := sha256.New()
		if _, err := file.WriteTo(all); err == nil {
			f.SHA256 = hex.EncodeToString(all.Sum(nil))
		}
	}
}

// A holding is a file without a name that a process holds: by a descriptor, or by a mapping, of which it has the range.
type holding struct {
	PID, FD int
	Range   string `json:",omitempty"`
	fileTruth
}

func holds(pid int) []byte {
	var out []byte
	proc := filepath.Join("/proc", strconv.Itoa(pid))
	fds, _ := numbers(proc + "/fd")
	links := map[string]holding{}
	for _, fd := range fds {
		links[fmt.Sprint(proc, "/fd/", fd)] = holding{PID: pid, FD: fd}
	}
	maps_, _ := os.ReadDir(proc + "/map_files")
	for _, m := range maps_ {
		links[proc+"/map_files/"+m.Name()] = holding{PID: pid, FD: -1, Range: m.Name()}
	}
	links[proc+"/exe"] = holding{PID: pid, FD: -1, Range: "exe"}
	links[proc+"/cwd"] = holding{PID: pid, FD: -1, Range: "cwd"}
	links[proc+"/root"] = holding{PID: pid, FD: -1, Range: "root"}
	for _, link := range slices.Sorted(maps.Keys(links)) {
		h := links[link]
		if h.describe(link) {
			if line, err := json.Marshal(h); err == nil {
				out = append(append(out, line...), '\n')
			}
		}
	}
	return out
}

// describe reports whether the file is one without a name.
func (h *holding) describe(link string) bool {
	target, err := os.Readlink(link)
	var s unix.Statx_t
	if err != nil || unix.Statx(unix.AT_FDCWD, link, 0, unix.STATX_BASIC_STATS|unix.STATX_BTIME|unix.STATX_MNT_ID, &s) != nil {
		return false
	}
	kind := s.Mode & unix.S_IFMT
	if kind != unix.S_IFREG && kind != unix.S_IFDIR || s.Nlink != 0 && !strings.HasSuffix(target, " (deleted)") {
		return false
	}
	var fs unix.Statfs_t
	if unix.Statfs(link, &fs) == nil {
		h.FSType = listedTypes[fs.Type]
	}
	h.Path, h.Mount = []byte(target), s.Mnt_id
	if kind == unix.S_IFREG && h.FSType != "" {
		if file, err := os.OpenFile(link, unix.O_NOATIME, 0); err == nil {
			h.content(file, s.Size)
			file.Close()
		}
	}
	h.stat(&s)
	return true
}
