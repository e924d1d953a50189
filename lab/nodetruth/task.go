package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// taskTrees is what is said elsewhere of what processes do and have: directory of the truth, and where it is read.
var taskTrees = [][2]string{
	{"told", "/run/task"}, // what the cases said themselves
	{"mqueue", "/dev/mqueue"},
	{"mm", "/sys/kernel/mm"},
	{"block", "/sys/devices/virtual/block"},
	{"zram", "/sys/kernel/debug/zram"},
	{"zsmalloc", "/sys/kernel/debug/zsmalloc"},
	{"sched", "/sys/kernel/debug/sched"},
	{"apparmor", "/sys/kernel/security/apparmor"},
	{"cgroup", "/sys/fs/cgroup"},
}

// taskCommands is what programs say of it: the files, as run takes them.
var taskCommands = [][]string{
	{"lslocks.json", "lslocks", "--json", "--bytes", "--noinaccessible", "--output", "COMMAND,PID,TYPE,SIZE,INODE,MAJ:MIN,MODE,M,START,END,PATH,BLOCKER"},
	{"ipcs", "ipcs", "--all"},
}

// tasks adds what is said of all processes together.
func (a *archive) tasks() {
	const dir = "truth/task/"
	for _, t := range taskTrees {
		a.tree(dir+t[0], t[1])
	}
	for _, c := range taskCommands {
		a.run(dir, c)
	}
	for _, name := range []string{"keys", "key-users", "sched_debug", "schedstat", "timer_list"} {
		a.copy(dir+name, "/proc/"+name)
	}
	a.swapFiles(dir + "swap/")
	a.programs(dir+"mapped", "/run/task/trace.list")
}

// programs adds the files that are mapped to be executed by the processes of a list, for who reads a core needs them.
func (a *archive) programs(dir, list string) {
	lines, _ := os.ReadFile(list) // where there is none, there are no such processes
	added := map[string]bool{}
	for line := range strings.Lines(string(lines)) {
		_, pid, _ := strings.Cut(strings.TrimSpace(line), " ")
		maps, _ := os.ReadFile(filepath.Join("/proc", pid, "maps"))
		for area := range strings.Lines(string(maps)) {
			fields := strings.Fields(area)
			if len(fields) == 6 && fields[1][2] == 'x' && fields[5][0] == '/' && !added[fields[5]] {
				added[fields[5]] = true
				a.copy(dir+fields[5], fields[5])
			}
		}
	}
}

// swapFiles adds what is in swap areas that are files, from the disk: what is written there is not in the page cache.
// They are numbered as the lines of /proc/swaps, from 0.
func (a *archive) swapFiles(dir string) {
	list, err := os.ReadFile("/proc/swaps")
	if err != nil {
		return
	}
	for i, line := range strings.Split(strings.TrimSpace(string(list)), "\n")[1:] {
		if fields := strings.Fields(line); len(fields) > 1 && fields[1] == "file" {
			if data, err := readDirect(fields[0]); err != nil {
				a.add(fmt.Sprintf("%s%d.err", dir, i), fmt.Appendln(nil, err))
			} else {
				a.add(fmt.Sprintf("%s%d", dir, i), data)
			}
		}
	}
}

// readDirect reads a file, whose size is a multiple of the page's, past the page cache.
func readDirect(name string) ([]byte, error) {
	f, err := os.OpenFile(name, os.O_RDONLY|unix.O_DIRECT, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	// The kernel wants memory that is aligned, which what is mapped is.
	data, err := unix.Mmap(-1, 0, int(info.Size()), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return nil, err
	}
	defer func() { _ = unix.Munmap(data) }()
	if _, err := io.ReadFull(f, data); err != nil {
		return nil, err
	}
	return bytes.Clone(data), nil
}

// pageFrames adds what the kernel says of each page frame: 64-bit numbers by frame.
func (a *archive) pageFrames() {
	for _, name := range []string{"kpageflags", "kpagecount", "kpagecgroup"} {
		f, err := os.Open("/proc/" + name)
		if err != nil {
			continue
		}
		data, _ := io.ReadAll(bufio.NewReaderSize(f, 1<<20)) // it ends with the last frame
		f.Close()
		a.add("truth/proc/"+name, data)
	}
}

// hugeArea is the size from which areas are left out of pages: the kernel would be asked for as many zeros.
const hugeArea = 16 << 30

// pages adds what the kernel says of each page of a process that is there or elsewhere: pairs of 64-bit numbers, address and
// entry of its pagemap, by address. Pages with an entry of 0 are left out.
func (a *archive) pages(to, from string) {
	maps, err := os.ReadFile(from + "/maps")
	if err != nil || len(maps) == 0 {
		return
	}
	f, err := os.Open(from + "/pagemap")
	if err != nil {
		return
	}
	defer f.Close()
	var out []byte
	for line := range strings.Lines(string(maps)) {
		var start, end uint64
		if _, err := fmt.Sscanf(line, "%x-%x", &start, &end); err == nil && end-start < hugeArea {
			out = pagemap(out, f, start, end)
		}
	}
	a.add(to+"/pages", out)
}

// pagemap appends the pairs of one area.
func pagemap(out []byte, f io.ReaderAt, start, end uint64) []byte {
	const size = 4096
	buf := make([]uint64, 8192)
	for at := start; at < end; {
		n := min(uint64(len(buf)), (end-at)/size)
		raw := unsafe.Slice((*byte)(unsafe.Pointer(&buf[0])), n*8)
		got, err := f.ReadAt(raw, int64(at/size*8))
		for i, entry := range buf[:got/8] {
			if entry != 0 {
				out = binary.NativeEndian.AppendUint64(out, at+uint64(i)*size)
				out = binary.NativeEndian.AppendUint64(out, entry)
			}
		}
		if err != nil || n == 0 {
			return out
		}
		at += n * size
	}
	return out
}

// taskProcess adds what of a process is asked for with the cases of processes alone.
func (a *archive) taskProcess(to, from string) {
	a.pages(to, from)
	for _, name := range []string{"numa_maps", "smaps_rollup", "attr/current", "attr/apparmor/current", "attr/exec", "cpuset", "arch_status", "ksm_stat",
		"ksm_merging_pages", "seccomp_cache", "patch_state", "setgroups", "projid_map", "latency"} {
		a.copy(filepath.Join(to, name), filepath.Join(from, name))
	}
}
