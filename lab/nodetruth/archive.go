package main

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"
)

// What is copied as it is. Which of them exist depends on the kernel.
var (
	nodeFiles = []string{"cmdline", "version", "stat", "uptime", "iomem", "modules", "mounts", "kallsyms", "vmstat", "meminfo", "swaps", "filesystems", "cgroups",
		"buddyinfo", "pagetypeinfo", "slabinfo", "vmallocinfo", "locks", "devices", "misc", "interrupts", "net/tcp", "net/tcp6", "net/udp", "net/udp6", "net/unix", "net/raw",
		"net/packet", "net/netlink", "net/route", "net/dev", "net/arp", "sysvipc/shm", "sysvipc/sem", "sysvipc/msg", "sys/kernel/hostname", "sys/kernel/osrelease", "sys/kernel/pid_max",
		"sys/kernel/random/boot_id", "sys/kernel/tainted"}
	processFiles = []string{"stat", "status", "cmdline", "environ", "maps", "smaps", "cgroup", "mountinfo", "comm", "limits", "auxv", "uid_map", "gid_map",
		"timens_offsets", "loginuid", "sessionid", "wchan", "oom_score_adj", "oom_score", "statm", "io", "sched", "schedstat", "timers", "stack", "syscall",
		"personality", "coredump_filter", "timerslack_ns", "autogroup"}
	processNet  = []string{"tcp", "tcp6", "udp", "udp6", "unix"}
	threadFiles = []string{"comm", "stat", "status", "cgroup", "io", "sched", "schedstat", "wchan", "stack", "syscall", "children", "personality"}
)

// archive writes files to a tar stream; the first error sticks. One without a stream reads all and writes nothing.
// add may be called by several at once.
type archive struct {
	mu    sync.Mutex
	tar   *tar.Writer
	err   error
	parts parts
}

// writeArchive writes the whole archive to out and waits until it is on the disk.
func writeArchive(out string, parts parts, files []string) (err error) {
	f, err := os.OpenFile(out, os.O_WRONLY|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	a := &archive{tar: tar.NewWriter(f), parts: parts}
	for _, name := range files {
		a.copy("truth/"+filepath.Base(name), name)
	}
	if parts.tasks {
		a.tasks()
	}
	a.node()
	a.processes()
	a.more()
	a.add("truth/clock", clocks())
	if a.err == nil {
		a.err = a.tar.Close()
	}
	return errors.Join(a.err, f.Sync())
}

// more adds the parts. The network is the last, for its states pass soonest.
func (a *archive) more() {
	if a.parts.tasks {
		a.pageFrames()
	}
	if a.parts.kernel {
		a.kernel()
	}
	if a.parts.network {
		a.network()
	}
	if a.parts.files {
		a.files()
	}
}

func (a *archive) node() {
	for _, name := range nodeFiles {
		a.copy("truth/proc/"+name, "/proc/"+name)
	}
	a.add("truth/dmesg", kernelLog())
	a.copyHead("truth/kcore.head", "/proc/kcore", 64<<10)
}

func (a *archive) processes() {
	pids, err := numbers("/proc")
	if err != nil && a.err == nil {
		a.err = err
	}
	for _, pid := range pids {
		if pid == os.Getpid() {
			continue // it will be gone when the memory is dumped
		}
		a.process(filepath.Join("truth/pid", strconv.Itoa(pid)), filepath.Join("/proc", strconv.Itoa(pid)))
	}
}

func (a *archive) process(to, from string) {
	if _, err := os.Stat(from); err != nil {
		return // ended since it was listed
	}
	for _, name := range processFiles {
		a.copy(to+"/"+name, from+"/"+name)
	}
	for _, name := range processNet {
		a.copy(to+"/net_"+name, from+"/net/"+name)
	}
	if a.parts.tasks {
		a.taskProcess(to, from)
	}
	a.links(to, from)
	tids, _ := numbers(from + "/task")
	var list []byte
	for _, tid := range tids {
		list = fmt.Appendln(list, tid)
		task := "/task/" + strconv.Itoa(tid)
		a.thread(to+task, from+task)
	}
	a.add(to+"/tasks", list)
	fds, _ := numbers(from + "/fdinfo")
	for _, fd := range fds {
		name := "/fdinfo/" + strconv.Itoa(fd)
		a.copy(to+name, from+name)
	}
}

func (a *archive) thread(to, from string) {
	for _, name := range threadFiles {
		a.copy(to+"/"+name, from+"/"+name)
	}
	a.links(to, from)
}

// links writes what the symbolic links of a process or thread say.
func (a *archive) links(to, from string) {
	for _, name := range []string{"exe", "cwd", "root"} {
		a.add(to+"/"+name, linkLine(from+"/"+name))
	}
	a.add(to+"/ns", namespaces(from+"/ns"))
	lines, exact := descriptors(from + "/fd")
	a.add(to+"/fd", lines)
	a.add(to+"/fd.nul", exact)
}

// copy adds the file from as to. What does not exist or cannot be read is left out: that is how it is for a kernel thread's memory, for example.
func (a *archive) copy(to, from string) {
	if data, err := os.ReadFile(from); err == nil || len(data) > 0 {
		a.add(to, data)
	}
}

// copyHead is copy for the first n bytes.
func (a *archive) copyHead(to, from string, n int) {
	f, err := os.Open(from)
	if err != nil {
		return
	}
	defer f.Close()
	data := make([]byte, n)
	if n, err := io.ReadFull(f, data); err == nil || n > 0 {
		a.add(to, data[:n])
	}
}

func (a *archive) add(name string, data []byte) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.err != nil || a.tar == nil {
		return
	}
	a.err = a.tar.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(data)), Typeflag: tar.TypeReg})
	if a.err == nil {
		_, a.err = a.tar.Write(data)
	}
}

// clocks gives one instant on the kernel's clocks, in nanoseconds.
func clocks() []byte {
	var out []byte
	for _, c := range []struct {
		name string
		id   int32
	}{{"realtime", unix.CLOCK_REALTIME}, {"monotonic", unix.CLOCK_MONOTONIC}, {"boottime", unix.CLOCK_BOOTTIME}} {
		var t unix.Timespec
		if err := unix.ClockGettime(c.id, &t); err == nil {
			out = fmt.Appendln(out, c.name, t.Nano())
		}
	}
	return out
}

// kernelLog returns the kernel's messages as /proc/kmsg would give them.
func kernelLog() []byte {
	buf := make([]byte, 1<<20)
	n, err := unix.Klogctl(unix.SYSLOG_ACTION_READ_ALL, buf)
	if err != nil {
		return nil
	}
	return buf[:n]
}
