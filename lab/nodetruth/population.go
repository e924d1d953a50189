package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// pfKthread marks a kernel thread in the flags of /proc/PID/stat (PF_KTHREAD in the kernel's linux/sched.h).
const pfKthread = 0x00200000

// processes maps a PID to what identifies its process: start time, threads and number of descriptors. Kernel threads are left out,
// for workers come and go, and so is this program.
type processes map[int]string

// population reads the processes under proc.
func population(proc string) (processes, error) {
	pids, err := numbers(proc)
	if err != nil {
		return nil, err
	}
	all := processes{}
	for _, pid := range pids {
		if pid == os.Getpid() {
			continue
		}
		dir := filepath.Join(proc, strconv.Itoa(pid))
		stat, err := os.ReadFile(filepath.Join(dir, "stat"))
		if err != nil {
			continue // gone between the listing and here; the next pass sees that
		}
		flags, start := parseStat(stat)
		if flags&pfKthread != 0 {
			continue
		}
		tids, _ := numbers(filepath.Join(dir, "task"))
		fds, _ := numbers(filepath.Join(dir, "fd"))
		all[pid] = fmt.Sprint(start, tids, len(fds))
	}
	return all, nil
}

// changes names the PIDs that are not the same in both.
func (p processes) changes(q processes) []int {
	var diff []int
	for pid, was := range p {
		if q[pid] != was {
			diff = append(diff, pid)
		}
	}
	for pid := range q {
		if _, ok := p[pid]; !ok {
			diff = append(diff, pid)
		}
	}
	slices.Sort(diff)
	return diff
}

// parseStat returns flags and start time (clock ticks after boot), fields 9 and 22 of /proc/PID/stat (proc_pid_stat(5)). The name in parentheses may
// itself hold parentheses and spaces.
func parseStat(stat []byte) (flags, start uint64) {
	rest := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:])) // field 3 and up
	if len(rest) < 20 {
		return 0, 0
	}
	flags, _ = strconv.ParseUint(rest[9-3], 10, 64)
	start, _ = strconv.ParseUint(rest[22-3], 10, 64)
	return flags, start
}

// numbers returns the entries of dir whose names are numbers, ascending.
func numbers(dir string) ([]int, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	names, err := f.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	var all []int
	for _, name := range names {
		if n, err := strconv.Atoi(name); err == nil {
			all = append(all, n)
		}
	}
	slices.Sort(all)
	return all, nil
}
