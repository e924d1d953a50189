package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// siocgskns asks a socket for a descriptor of its network namespace (linux/sockios.h).
const siocgskns = 0x894c

// A netNamespace is one network namespace, held open.
type netNamespace struct {
	inum  uint64
	fd    int
	found []string // all the ways by which it was found: "process PID", "file PID FD", "socket PID FD", "mount PATH"
}

type netSpaces struct {
	list []*netNamespace
	byID map[uint64]*netNamespace
}

// netNamespaces finds the network namespaces of threads, of mounts, of open files and of open sockets.
func netNamespaces() *netSpaces {
	s := &netSpaces{byID: map[uint64]*netNamespace{}}
	pids, _ := numbers("/proc")
	for _, pid := range pids {
		if pid == os.Getpid() {
			continue
		}
		dir := filepath.Join("/proc", strconv.Itoa(pid))
		s.threads(pid, dir)
		s.mounts(dir)
		s.files(pid, dir)
	}
	return s
}

func (s *netSpaces) close() {
	for _, n := range s.list {
		_ = unix.Close(n.fd)
	}
}

// add takes the descriptor, of a namespace that was found that way.
func (s *netSpaces) add(fd int, how string) {
	var st unix.Stat_t
	if unix.Fstat(fd, &st) != nil {
		return
	}
	n := s.byID[st.Ino]
	if n == nil {
		n = &netNamespace{inum: st.Ino, fd: fd}
		s.byID[st.Ino] = n
		s.list = append(s.list, n)
	} else {
		_ = unix.Close(fd)
	}
	n.found = append(n.found, how)
}

// path adds the namespace that path leads to, if it is one of the network.
func (s *netSpaces) path(path, how string) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return
	}
	const nsGetType = 0xb703 // NS_GET_NSTYPE of linux/nsfs.h
	if kind, err := unix.IoctlRetInt(fd, nsGetType); err != nil || kind != unix.CLONE_NEWNET {
		_ = unix.Close(fd)
		return
	}
	s.add(fd, how)
}

func (s *netSpaces) threads(pid int, dir string) {
	leader, _ := os.Readlink(dir + "/ns/net")
	s.path(dir+"/ns/net", fmt.Sprint("process ", pid))
	tids, _ := numbers(dir + "/task")
	for _, tid := range tids {
		task := fmt.Sprintf("%s/task/%d/ns/net", dir, tid)
		if link, err := os.Readlink(task); err == nil && link != leader {
			s.path(task, fmt.Sprint("thread ", pid, " ", tid))
		}
	}
}

// mounts adds those that are mounted where the process sees them. The line is described in proc_pid_mountinfo(5).
func (s *netSpaces) mounts(dir string) {
	data, _ := os.ReadFile(dir + "/mountinfo")
	for line := range strings.Lines(string(data)) {
		f := strings.Fields(line)
		if len(f) < 5 || !strings.HasPrefix(f[3], "net:[") {
			continue
		}
		inum, _ := strconv.ParseUint(strings.Trim(f[3], "net:[]"), 10, 64)
		if n := s.byID[inum]; n != nil && slices.Contains(n.found, "mount "+f[4]) {
			continue // the same mount is in many processes' tables
		}
		s.path(dir+"/root"+f[4], "mount "+f[4])
	}
}

// files adds those that the process has open, and those of sockets that it has open.
func (s *netSpaces) files(pid int, dir string) {
	process, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return
	}
	defer unix.Close(process)
	var own unix.Stat_t
	_ = unix.Stat(dir+"/ns/net", &own)
	fds, _ := numbers(dir + "/fd")
	for _, number := range fds {
		link, _ := os.Readlink(fmt.Sprintf("%s/fd/%d", dir, number))
		switch {
		case strings.HasPrefix(link, "net:["):
			s.path(fmt.Sprintf("%s/fd/%d", dir, number), fmt.Sprint("file ", pid, " ", number))
		case strings.HasPrefix(link, "socket:["):
			s.socket(process, own.Ino, pid, number)
		}
	}
}

// socket adds the namespace of the process's socket, unless it is the process's own.
func (s *netSpaces) socket(process int, own uint64, pid, number int) {
	fd, err := unix.PidfdGetfd(process, number, 0)
	if err != nil {
		return
	}
	defer unix.Close(fd)
	ns, err := unix.IoctlRetInt(fd, siocgskns)
	if err != nil {
		return
	}
	var st unix.Stat_t
	if unix.Fstat(ns, &st) == nil && st.Ino == own {
		_ = unix.Close(ns)
		return
	}
	s.add(ns, fmt.Sprint("socket ", pid, " ", number))
}
