package main

import (
	"cmp"
	"fmt"
	"math"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/nodelens/nodelens/internal/command"
	"github.com/nodelens/nodelens/internal/jsonx"
	"github.com/nodelens/nodelens/internal/testimages"
	"github.com/nodelens/nodelens/internal/truth"
)

// What the files in testdata hold is no more than what the commands printed when they were written. Here it is held against what
// the node said itself.

// truthDir is where the truth of the bundled node is.
var truthDir = sync.OnceValues(func() (string, error) {
	back, err := os.Getwd()
	if err != nil {
		return "", err
	}
	defer func() { _ = os.Chdir(back) }() // it was there before
	if err := os.Chdir(here); err != nil {
		return "", err
	}
	img, err := testimages.Bundled()
	return img.Truth, err
})

// said returns the truth of the bundled node, and its directory.
func said(t *testing.T) (*truth.Node, string) {
	t.Helper()
	dir, err := truthDir()
	if err != nil {
		t.Fatal(err)
	}
	n, err := truth.Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	return n, dir
}

// read returns a file of the truth.
func read(t *testing.T, path ...string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// printed returns the rows that a command prints as lines of JSON, with the exact bytes of names.
func printed[T any](t *testing.T, line string) []T {
	t.Helper()
	status, stdout, stderr := call(t, append(strings.Fields(line), "-o", "jsonl")...)
	if status != command.OK {
		t.Fatalf("%s: exit status %d: %s", line, status, stderr)
	}
	var rows []T
	for text := range strings.Lines(stdout) {
		var row T
		if err := jsonx.Unmarshal([]byte(text), &row); err != nil {
			t.Fatalf("%s: %v: %s", line, err, text)
		}
		rows = append(rows, row)
	}
	if len(rows) == 0 {
		t.Fatalf("%s: no rows", line)
	}
	return rows
}

// A processSaid is what ps and /proc/PID say alike.
type processSaid struct {
	PID     int32     `json:"pid"`
	PPID    int32     `json:"ppid" jsonx:"null=-1"`
	UID     *uint32   `json:"uid"`
	Threads int       `json:"threads"`
	State   string    `json:"state"`
	Comm    string    `json:"comm"`
	Args    []string  `json:"args"`
	Exe     string    `json:"exe" jsonx:"null"`
	Cwd     string    `json:"cwd" jsonx:"null"`
	Kernel  bool      `json:"kernelThread"`
	Pod     string    `json:"pod" jsonx:"null"`
	PodUID  string    `json:"podUID" jsonx:"null"`
	Started time.Time `json:"started"`
}

// pool is the name of a process without what a worker of the kernel did last.
func pool(comm string) string {
	if strings.HasPrefix(comm, "kworker/") {
		comm, _, _ = strings.Cut(comm, "-")
	}
	return comm
}

func TestTruthOfPS(t *testing.T) {
	node, _ := said(t)
	pods := map[string]string{} // names by UID
	for _, p := range node.Pods {
		pods[p.UID] = p.Name
	}
	var want []processSaid
	starts := map[int32]time.Duration{}
	for i := range node.Processes {
		p := &node.Processes[i]
		starts[p.PID] = time.Duration(p.StartTicks) * time.Second / truth.TicksPerSecond
		s := processSaid{PID: p.PID, PPID: p.PPID, UID: &p.UID, Threads: len(p.Threads), State: p.State, Comm: pool(p.Comm), Args: p.Args, Exe: p.Exe, Cwd: p.Cwd, Kernel: p.KernelThread}
		for _, c := range p.Cgroups {
			for uid, name := range pods {
				if strings.Contains(strings.ReplaceAll(c.Path, "_", "-"), "pod"+uid) {
					s.Pod, s.PodUID = name, uid
				}
			}
		}
		want = append(want, s)
	}
	got := printed[processSaid](t, "ps node.lime --show-secrets")
	for i := range got {
		p := &got[i]
		if off := p.Started.Sub(node.Kernel.Boot.Add(starts[p.PID])).Abs(); off > node.Kernel.BootWithin+2*time.Second/truth.TicksPerSecond {
			t.Errorf("process %d: the start is off by %v", p.PID, off)
		}
		p.Started, p.State = time.Time{}, truth.StateClass(p.State[0])
		p.Comm = pool(p.Comm)
	}
	// The collector went on: it, and what it had started, may have ended.
	ours := func(p processSaid) bool { return p.PID == node.Collector || p.PPID == node.Collector }
	want, got = slices.DeleteFunc(want, ours), slices.DeleteFunc(got, ours)
	slices.SortFunc(got, func(a, b processSaid) int { return cmp.Compare(a.PID, b.PID) })
	for i := range got {
		if len(got[i].Args) == 0 {
			got[i].Args = nil
		}
	}
	if d := gocmp.Diff(want, got); d != "" {
		t.Errorf("ps (-truth +printed):\n%s", d)
	}
}

// A socketSaid is what ss and /proc/net say alike.
type socketSaid struct {
	Proto   string `json:"protocol"`
	Local   string `json:"local" jsonx:"null"`
	Peer    string `json:"peer" jsonx:"null"`
	State   string `json:"state"`
	NetNS   uint32 `json:"netns"`
	UID     uint32 `json:"uid"`
	Inode   uint64 `json:"inode"`
	Receive int64  `json:"receiveQueue"`
	Send    int64  `json:"sendQueue"`
}

// endSaid is an address as the command has it: no host and no port is any.
func endSaid(a netip.AddrPort) string {
	host, port := "*", "*"
	if !a.Addr().IsUnspecified() || a.Addr().Is4() && a.Port() != 0 {
		host = a.Addr().Unmap().String()
		if strings.Contains(host, ":") {
			host = "[" + host + "]"
		}
	}
	if a.Port() != 0 {
		port = strconv.Itoa(int(a.Port()))
	}
	return host + ":" + port
}

func TestTruthOfSS(t *testing.T) {
	_, dir := said(t)
	all, _, err := truth.ReadSockets(dir)
	if err != nil {
		t.Fatal(err)
	}
	states := map[int]string{1: "ESTAB", 6: "TIME-WAIT", 7: "UNCONN", 10: "LISTEN"}
	var want []socketSaid
	for ns, sockets := range all {
		for _, s := range sockets.Always {
			proto := strings.TrimSuffix(s.File, "6")
			if !slices.Contains([]string{"tcp", "udp", "raw", "icmp", "udplite"}, proto) {
				continue
			}
			if proto == "raw" {
				proto = "raw/" + map[uint16]string{1: "icmp", 6: "tcp", 17: "udp", 58: "ipv6-icmp", 255: "raw"}[s.Local.Port()] // it has the number of a protocol for a port
			}
			one := socketSaid{Proto: proto, Local: endSaid(s.Local), Peer: endSaid(s.Remote), State: states[s.State], NetNS: ns, UID: s.UID, Inode: s.Inode, Receive: s.Receive, Send: s.Send}
			want = append(want, one)
		}
	}
	got := printed[socketSaid](t, "ss node.lime")
	for i := range got {
		if got[i].State == "LISTEN" {
			got[i].Send = 0 // how many may wait, as ss has it: /proc/net does not tell
		}
	}
	order := func(a, b socketSaid) int { return cmp.Compare(a.Inode, b.Inode) }
	slices.SortFunc(want, order)
	slices.SortFunc(got, order)
	if d := gocmp.Diff(want, got); d != "" {
		t.Errorf("ss (-truth +printed):\n%s", d)
	}
}

// A mappingSaid is a line of /proc/PID/maps.
type mappingSaid struct {
	PID    int32  `json:"pid"`
	Start  string `json:"start"`
	End    string `json:"end"`
	Perms  string `json:"perms"`
	Offset uint64 `json:"offset"`
	Path   string `json:"path" jsonx:"null"`
}

var mapsLine = regexp.MustCompile(`^([0-9a-f]+)-([0-9a-f]+) (\S+) ([0-9a-f]+) \S+ \d+ *(.*)\n$`)

func TestTruthOfMaps(t *testing.T) {
	node, dir := said(t)
	var want []mappingSaid
	for _, p := range node.Processes {
		for line := range strings.Lines(read(t, dir, "pid", strconv.Itoa(int(p.PID)), "maps")) {
			m := mapsLine.FindStringSubmatch(line)
			if m == nil {
				t.Fatalf("%q", line)
			}
			offset, err := strconv.ParseUint(m[4], 16, 64)
			if err != nil {
				t.Fatal(err)
			}
			hex := func(s string) string { return "0x" + cmp.Or(strings.TrimLeft(s, "0"), "0") }
			want = append(want, mappingSaid{p.PID, hex(m[1]), hex(m[2]), m[3], offset, strings.ReplaceAll(m[5], `\012`, "\n")})
		}
	}
	got := printed[mappingSaid](t, "maps node.lime")
	ours := func(m mappingSaid) bool {
		p, ok := node.Process(m.PID)
		return !ok || m.PID == node.Collector || p.PPID == node.Collector || m.Path == "[vsyscall]" // which is no mapping of a process
	}
	if d := gocmp.Diff(slices.DeleteFunc(want, ours), slices.DeleteFunc(got, ours)); d != "" {
		t.Errorf("maps (-truth +printed):\n%s", d)
	}
}

// A fileSaid is a descriptor.
type fileSaid struct {
	PID  int32  `json:"pid"`
	FD   int    `json:"fd"`
	Path string `json:"path" jsonx:"null"`
}

func TestTruthOfFiles(t *testing.T) {
	node, _ := said(t)
	var want []fileSaid
	for _, p := range node.Processes {
		for _, f := range p.FDs {
			want = append(want, fileSaid{p.PID, f.FD, f.Path})
		}
	}
	got := printed[fileSaid](t, "files node.lime")
	ours := func(f fileSaid) bool {
		p, ok := node.Process(f.PID)
		return !ok || len(f.Path) > 4096 || f.Path == "" || f.PID == node.Collector || p.PPID == node.Collector // a longer path than a page is in no link of /proc
	}
	if d := gocmp.Diff(slices.DeleteFunc(want, ours), slices.DeleteFunc(got, ours)); d != "" {
		t.Errorf("files (-truth +printed):\n%s", d)
	}
}

func TestTruthOfEnv(t *testing.T) {
	_, dir := said(t)
	want := truth.Split(read(t, dir, "pid", "748", "environ"))
	var got []string
	for _, v := range printed[struct {
		Name  string  `json:"name" jsonx:"null"`
		Value *string `json:"value"`
	}](t, "env node.lime --pid 748 --show-secrets") {
		if v.Value == nil {
			t.Fatalf("%s is hidden", v.Name)
		}
		got = append(got, v.Name+"="+*v.Value)
	}
	if d := gocmp.Diff(want, got); d != "" {
		t.Errorf("env (-truth +printed):\n%s", d)
	}
}

// A mountSaid is a line of /proc/PID/mountinfo.
type mountSaid struct {
	ID         int32  `json:"id"`
	Parent     int32  `json:"parentID"`
	MountPoint string `json:"mountPoint"`
	FSType     string `json:"fsType"`
	Source     string `json:"source" jsonx:"null"`
	Root       string `json:"root"`
}

func TestTruthOfMounts(t *testing.T) {
	node, _ := said(t)
	for line, pid := range map[string]int32{"mounts node.lime": 1, "mounts node.lime --pod checkout --container metrics": 469, "mounts node.lime --pid 748": 748} {
		p, ok := node.Process(pid)
		if !ok {
			t.Fatalf("no process %d in the truth", pid)
		}
		var want []mountSaid
		for _, m := range p.Mounts {
			want = append(want, mountSaid{m.ID, m.Parent, m.MountPoint, m.FSType, m.Source, m.Root})
		}
		slices.SortFunc(want, func(a, b mountSaid) int { return cmp.Compare(a.ID, b.ID) })
		got := printed[mountSaid](t, line)
		if got[0].FSType != "rootfs" || got[0].MountPoint != "/" {
			t.Errorf("%s: the first is %+v", line, got[0])
		}
		got = got[1:] // is below the root
		if d := gocmp.Diff(want, got); d != "" {
			t.Errorf("%s (-truth +printed):\n%s", line, d)
		}
	}
}

// TestTruthOfModules compares what is in the table itself, but for sizes, which it rounds.
func TestTruthOfModules(t *testing.T) {
	_, dir := said(t)
	var want, got []string
	for line := range strings.Lines(read(t, dir, "proc", "modules")) {
		w := strings.Fields(line) // name, size, references, by what, state
		by := strings.TrimSuffix(w[3], ",")
		want = append(want, strings.Join([]string{w[0], w[2], by, w[4], "-", "-", "-"}, " "))
	}
	_, stdout, _ := call(t, "modules", "node.lime")
	for line := range strings.Lines(stdout) {
		w := strings.Fields(line)
		got = append(got, strings.Join(slices.Concat(w[:1], w[3:]), " "))
	}
	if d := gocmp.Diff(want, got[1:]); d != "" {
		t.Errorf("modules (-truth +printed):\n%s", d)
	}
}

// A recordSaid is a record of the log.
type recordSaid struct {
	Time    time.Time `json:"time"`
	Seconds float64   `json:"seconds"`
	Level   string    `json:"level"`
	Text    string    `json:"text"`
}

var dmesgLine = regexp.MustCompile(`^<(\d+)>\[ *(\d+)\.(\d{6})\] (.*)\n$`)

func TestTruthOfDmesg(t *testing.T) {
	node, dir := said(t)
	levels := []string{"emerg", "alert", "crit", "err", "warn", "notice", "info", "debug"}
	var want, got []string
	for line := range strings.Lines(read(t, dir, "dmesg")) {
		m := dmesgLine.FindStringSubmatch(line)
		if m == nil {
			t.Fatalf("%q", line)
		}
		n, err := strconv.Atoi(m[1])
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, fmt.Sprintf("%s.%s %s %s", m[2], m[3], levels[n&7], m[4]))
	}
	for _, r := range printed[recordSaid](t, "dmesg node.lime") {
		since := time.Duration(math.Round(r.Seconds * 1e9))
		if since > time.Duration(node.Until)*time.Second/truth.TicksPerSecond {
			continue // it came after the truth
		}
		if off := r.Time.Sub(node.Kernel.Boot.Add(since)).Abs(); off > node.Kernel.BootWithin {
			t.Errorf("%v: the time is off by %v", r.Seconds, off)
		}
		for text := range strings.SplitSeq(r.Text, "\n") {
			got = append(got, fmt.Sprintf("%d.%06d %s %s", since/time.Second, since%time.Second/time.Microsecond, r.Level, text))
		}
	}
	if d := gocmp.Diff(want, got); d != "" {
		t.Errorf("dmesg (-truth +printed):\n%s", d)
	}
}
