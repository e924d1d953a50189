package truth

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// write makes a directory of files out of names and contents.
func write(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, data := range files {
		name = filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// shell is a process as the collector wrote it down on a 6.1 kernel, but for what is
// not read and for a name, arguments and files made to be hard to read.
var shell = map[string]string{
	"pid/857/stat":   "857 (a) sh) (b) S 853 857 857 34816 857 4194560 133 0 0 0 0 0 0 0 20 0 1 0 1907 2437120 250 18446744073709551615 1 1 0 0 0 0 0 4096 65538 1 0 0 17 0 0 0 0 0 0 0 0 0 0 0 0 0 0",
	"pid/857/status": "Name:\ta) sh) (b\nUmask:\t0022\nState:\tS (sleeping)\nTgid:\t857\nNgid:\t0\nPid:\t857\nPPid:\t853\nUid:\t1000\t0\t0\t0\nGid:\t100\t0\t0\t0\nNSpid:\t857\t12\t1\n",
	"pid/857/comm":   "a) sh) (b\n", "pid/857/cmdline": "sh\x00-c\x00\x00\xff\n\x00", "pid/857/environ": "A=1\x00B=\x00",
	"pid/857/exe": "/usr/bin/dash\n", "pid/857/cwd": "/root (deleted)\n", "pid/857/tasks": "857\n1003\n900\n",
	"pid/857/cgroup":    "5:cpu,cpuacct:/a:b\n0::/system.slice/labnode.service\n",
	"pid/857/ns":        "cgroup cgroup:[4026531835]\nnet net:[4026531840]\npid pid:[4026531836]\npid_for_children pid:[4026532222]\nmnt \n",
	"pid/857/fd":        "0 /dev/pts/0\n10 /tmp/two\nlines\n2 socket:[11727]\n",
	"pid/857/mountinfo": "25 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n368 25 254:0 /a\\040b /etc/host\\134name ro - tmpfs a\\040b rw,size=1\n",
	"pid/900/comm":      "ended while it was looked at\n",
	"proc/uptime":       "42.57 12.00\n",
	"pods.json": `[{"Pod":{"Name":"p","Namespace":"n","UID":"u","QoS":"burstable","Labels":null,"Containers":[{"Name":"c"}]},
		"SandboxID":"s","Containers":{"c":"i"},"CgroupParent":"/x"}]`,
	"collector":     "857\n",
	"version":       "console=ttyS0 root=/dev/vda\nLinux version 6.1.0 (gcc) #1 SMP\n",
	"sysctl":        "kernel.hostname = node-x7k9\n",
	"proc/iomem":    "00100000-13ffffff : System RAM\n  07c00000-08a01ef1 : Kernel code\n",
	"proc/kallsyms": "ffffffff90800000 T _stext\nffffffff90800000 T _text\n",
}

var shellKernel = Kernel{Banner: "Linux version 6.1.0 (gcc) #1 SMP", Hostname: "node-x7k9", TextVirt: 0xffffffff90800000, TextPhys: 0x7c00000}

func TestRead(t *testing.T) {
	got, err := Read(write(t, shell))
	if err != nil {
		t.Fatal(err)
	}
	want := &Node{
		Processes: []Process{{
			PID: 857, PPID: 853, Comm: "a) sh) (b",
			Args: []string{"sh", "-c", "", "\xff\n"}, Env: []string{"A=1", "B="},
			Exe: "/usr/bin/dash", Cwd: "/root (deleted)", State: "running or sleeping",
			UID: 1000, GID: 100, StartTicks: 1907,
			Threads:    []Thread{{857, "a) sh) (b", 1907}, {TID: 900}, {TID: 1003}},
			Cgroups:    []Cgroup{{5, "cpu,cpuacct", "/a:b"}, {0, "", "/system.slice/labnode.service"}},
			Namespaces: map[string]uint32{"cgroup": 4026531835, "net": 4026531840, "pid": 4026531836},
			NSPIDs:     []int32{857, 12, 1},
			FDs:        []FD{{0, "/dev/pts/0"}, {2, "socket:[11727]"}, {10, "/tmp/two\nlines"}},
			Mounts: []Mount{
				{25, 1, "/", "/", "ext4", "/dev/vda", "rw"},
				{368, 25, "/a b", `/etc/host\name`, "tmpfs", "a b", "rw,size=1"},
			},
		}},
		Pods:      []Pod{{"n", "p", "u", "burstable", "s", map[string]string{"c": "i"}, nil}},
		Collector: 857, Until: 4257,
		Kernel: shellKernel,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Read (-want +got):\n%s", diff)
	}
}

func TestReadExact(t *testing.T) {
	files := maps.Clone(shell)
	files["pid/857/fd"] = "10 /tmp/two\\012lines\n"
	files["pid/857/fd.nul"] = "3 \x0010 /tmp/two\n4 lines\x00"
	files["pid/857/task/900/comm"] = "other\n"
	files["pid/857/task/900/stat"] = strings.Replace(shell["pid/857/stat"], "1907", "1999", 1)
	files["proc/version"] = "Linux version 7.2\n"
	files["clock"] = "realtime 1700000000000000000\nmonotonic 7\nboottime 129999999\n"
	got, err := Read(write(t, files))
	if err != nil {
		t.Fatal(err)
	}
	p := got.Processes[0]
	if diff := cmp.Diff([]FD{{3, ""}, {10, "/tmp/two\n4 lines"}}, p.FDs); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]Thread{{857, "a) sh) (b", 1907}, {900, "other", 1999}, {TID: 1003}}, p.Threads); diff != "" {
		t.Errorf("threads (-want +got):\n%s", diff)
	}
	want := shellKernel
	want.Banner, want.Boot, want.BootWithin = "Linux version 7.2", time.Unix(1699999999, 870000001).UTC(), 10*time.Millisecond
	if diff := cmp.Diff(want, got.Kernel); diff != "" || got.Until != 12 {
		t.Errorf("until %d, kernel (-want +got):\n%s", got.Until, diff)
	}
}

func TestReadBootFromLogs(t *testing.T) {
	files := maps.Clone(shell)
	files["pid/857/comm"] = "containerd\n"
	files["containerd.log"] = "time=\"2026-11-21T01:46:40.5Z\" level=info msg=\"starting containerd\"\ntime=\"2027"
	got, err := Read(write(t, files))
	if err != nil {
		t.Fatal(err)
	}
	want := shellKernel
	want.Boot, want.BootWithin = time.Date(2026, 11, 21, 1, 46, 21, 430e6, time.UTC), 10*time.Second
	if diff := cmp.Diff(want, got.Kernel); diff != "" {
		t.Errorf("kernel (-want +got):\n%s", diff)
	}

	files["dmesg"] = "[    0.000000] Linux version\n<6>[    1.453949] rtc_cmos 00:05: setting system clock to 2026-11-21T01:46:29 UTC (1795225589)\n"
	if got, err = Read(write(t, files)); err != nil {
		t.Fatal(err)
	}
	want.Boot, want.BootWithin = time.Date(2026, 11, 21, 1, 46, 27, 546051e3, time.UTC), 1500*time.Millisecond
	if diff := cmp.Diff(want, got.Kernel); diff != "" {
		t.Errorf("kernel with its own log (-want +got):\n%s", diff)
	}
}

// node is a collector (10) with a process that it started (11), two that started after
// it began (12, 13), kernel threads and workers, a shell (20) and one that loops (30).
func node() *Node {
	return &Node{Collector: 10, Until: 100, Processes: []Process{
		{PID: 2, Comm: "kthreadd", KernelThread: true},
		{PID: 5, PPID: 2, Comm: "kworker/0:1-events", KernelThread: true, Threads: []Thread{{5, "kworker/0:1-events", 0}}},
		{PID: 6, PPID: 2, Comm: "kworker/R-slub_", KernelThread: true},
		{PID: 10, PPID: 1, Comm: "labnode", StartTicks: 50},
		{PID: 11, PPID: 10, Comm: "containerd", StartTicks: 60, FDs: []FD{{3, "/a"}, {4, ""}}},
		{PID: 12, PPID: 10, Comm: "bash", StartTicks: 100},
		{PID: 13, PPID: 12, Comm: "cat", StartTicks: 101},
		{PID: 20, PPID: 1, Comm: "sh", Args: []string{"sh"}, Threads: []Thread{{20, "sh", 7}, {TID: 21}}},
		{PID: 21, PPID: 20, Comm: "sleep"},
		{PID: 30, PPID: 1, Comm: "sh", Args: []string{"sh", "-c", "while true; do sleep 5; done"}},
		{PID: 31, PPID: 30, Comm: "sleep", Args: []string{"sleep", "5"}},
	}}
}

// A change is what the image has otherwise than the truth.
type change func([]Process) []Process

func equal(all []Process) []Process { return all }

func edit(pid int32, change func(*Process)) change {
	return func(all []Process) []Process {
		change(&all[slices.IndexFunc(all, func(p Process) bool { return p.PID == pid })])
		return all
	}
}

func remove(pid int32) change {
	return func(all []Process) []Process {
		return slices.DeleteFunc(all, func(p Process) bool { return p.PID == pid })
	}
}

func add(p Process) change { return func(all []Process) []Process { return append(all, p) } }

func both(a, b change) change { return func(all []Process) []Process { return b(a(all)) } }

func threads(pid int32, all ...Thread) change {
	return edit(pid, func(p *Process) { p.Threads = all })
}

func open(pid int32, all ...FD) change {
	return edit(pid, func(p *Process) { p.FDs = append(p.FDs, all...) })
}

func rename(pid int32, comm string) change { return edit(pid, func(p *Process) { p.Comm = comm }) }

var pidfd = FD{5, "anon_inode:[pidfd]"}

var compareTests = map[string]struct {
	change     change
	differs    string // begin of the only difference, if there is to be one
	came, gone int
}{
	"equal":                     {change: equal},
	"collector busy":            {change: rename(10, "other")},
	"collector ended":           {change: remove(10)},
	"process missing":           {change: remove(20), differs: "missing: process 20"},
	"child missing":             {change: remove(11), differs: "missing: process 11"},
	"new child gone":            {change: remove(12), gone: 1},
	"new grandchild gone":       {change: remove(13), gone: 1},
	"sleep of a loop gone":      {change: remove(31), gone: 1},
	"other sleep gone":          {change: remove(21), differs: "missing: process 21"},
	"new process came":          {change: add(Process{PID: 40, PPID: 1, StartTicks: 100}), came: 1},
	"old process came":          {change: add(Process{PID: 40, PPID: 1, StartTicks: 99}), differs: "invented: process 40"},
	"worker came":               {change: add(Process{PID: 40, PPID: 2, Comm: "kworker/u8:3", KernelThread: true}), came: 1},
	"process named worker":      {change: add(Process{PID: 40, PPID: 2, Comm: "kworker/u8:3"}), differs: "invented: process 40"},
	"kernel thread came":        {change: add(Process{PID: 40, PPID: 2, Comm: "ksoftirqd/9", KernelThread: true}), differs: "invented: process 40"},
	"worker gone":               {change: remove(5), gone: 1},
	"worker works":              {change: both(rename(5, "kworker/0:1+flush"), threads(5, Thread{5, "kworker/0:1", 9}))},
	"worker of another pool":    {change: rename(5, "kworker/1:1-events"), differs: "process 5"},
	"rescuer of another queue":  {change: rename(6, "kworker/R-x"), differs: "process 6"},
	"kernel thread gone":        {change: remove(2), differs: "missing: process 2"},
	"argument":                  {change: edit(20, func(p *Process) { p.Args = []string{"sh", ""} }), differs: "process 20"},
	"no arguments":              {change: edit(20, func(p *Process) { p.Args = nil }), differs: "process 20"},
	"thread described":          {change: threads(20, Thread{20, "sh", 7}, Thread{21, "x", 8})},
	"leader named":              {change: threads(20, Thread{20, "x", 7}, Thread{TID: 21}), differs: "process 20"},
	"leader started":            {change: threads(20, Thread{20, "sh", 8}, Thread{TID: 21}), differs: "process 20"},
	"thread missing":            {change: threads(20, Thread{20, "sh", 7}), differs: "process 20"},
	"new thread":                {change: threads(20, Thread{20, "sh", 7}, Thread{TID: 21}, Thread{22, "y", 100})},
	"old thread":                {change: threads(20, Thread{20, "sh", 7}, Thread{TID: 21}, Thread{22, "y", 99}), differs: "process 20"},
	"file with a long path":     {change: edit(11, func(p *Process) { p.FDs = []FD{{3, "/a"}, {4, strings.Repeat("/", 4095)}} })},
	"file with a path":          {change: edit(11, func(p *Process) { p.FDs = []FD{{3, "/a"}, {4, strings.Repeat("/", 4094)}} }), differs: "process 11"},
	"pidfd":                     {change: open(11, pidfd), differs: "process 11"},
	"pidfd of a new child":      {change: both(open(11, pidfd), add(Process{PID: 40, PPID: 11, StartTicks: 300})), came: 1},
	"two pidfds of a new child": {change: both(open(11, pidfd, FD{6, pidfd.Path}), add(Process{PID: 40, PPID: 11, StartTicks: 300})), differs: "process 11", came: 1},
	"found twice":               {change: add(node().Processes[10]), differs: "found twice, or out of order: process 31"},
}

func TestCompare(t *testing.T) {
	for name, test := range compareTests {
		r := Compare(node(), test.change(node().Processes))
		if len(r.Came) != test.came || len(r.Gone) != test.gone {
			t.Errorf("%s: came %v, gone %v, want %d and %d", name, r.Came, r.Gone, test.came, test.gone)
		}
		switch {
		case test.differs == "" && len(r.Differences) == 0:
		case len(r.Differences) == 1 && test.differs != "" && strings.HasPrefix(r.Differences[0], test.differs):
		default:
			t.Errorf("%s: differences %q, want one that begins with %q", name, r.Differences, test.differs)
		}
	}
	if r := Compare(node(), node().Processes); r.Compared != 10 {
		t.Errorf("compared %d processes, want all 11 but the collector", r.Compared)
	}
}
