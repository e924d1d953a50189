package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nodelens/nodelens/cos"
	"github.com/nodelens/nodelens/examples/internal/nodeimage"
	"github.com/nodelens/nodelens/image"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/vmem"
)

const (
	podUID  = "c0ffee00-1234-4bcd-8abc-0123456789ab"
	both    = linux.InTaskList | linux.InPIDIDR
	sandbox = "45ab2984bfc7630da64fd0ec9e2571d63f914500829abfe39bf4aab61be71194"
	api     = "7e43c68864d7bcc04afeaac5f7c1fe52289bef6d3087ea5b769275dde523c3e1"
	miner   = "77650b3ccf28ac3b83c44df94a58ca0c7ffb79bcdda85e64528d7e1ac987c69b"
)

func process(pid, ppid int32, exe string, args ...string) cos.Process {
	return cos.Process{
		PID: pid, PPID: ppid, Comm: filepath.Base(exe), Exe: exe, Args: args,
		State: linux.Sleeping, Cred: new(linux.Cred), Sources: both, Threads: []cos.Thread{{TID: pid}},
	}
}

func in(p cos.Process, container string) cos.Process {
	p.PodUID, p.ContainerID = podUID, container
	return p
}

// node is a report with everything that is printed.
func node() *cos.NodeReport {
	shim := process(631, 1, "/usr/bin/containerd-shim-runc-v2", "/usr/bin/containerd-shim-runc-v2", "-id", sandbox)
	shim.Threads = append(shim.Threads, cos.Thread{TID: 632})
	hidden := in(process(813, 631, "/memfd:kworker-update (deleted)", "[kworker/u8:3]", "stage2\x1b[2J"), miner)
	hidden.Comm, hidden.Sources, hidden.Cred = "kworker/u8:3", linux.InPIDIDR, &linux.Cred{UID: 1000, EUID: 1000}
	zombie := in(process(815, 813, ""), miner)
	zombie.Comm, zombie.State = "d\xe9funt", linux.Zombie
	kthread := process(2, 0, "")
	kthread.Comm, kthread.KernelThread = "kthreadd", true
	worker := process(5, 2, "")
	worker.Comm, worker.KernelThread, worker.State = "kworker/0:0", true, linux.Idle
	conmon := in(process(900, 1, "/bin/conmon"), "")
	conmon.Cred = &linux.Cred{UID: 5}
	cycle := process(70, 71, "/bin/a", "/bin/a")
	return &cos.NodeReport{
		Provenance: cos.Provenance{
			Image: "case 7/node.lime.gz", Format: "LiME", Compression: "gzip", Size: 9876 << 10, SHA256: "00ff", SHA256From: cos.DigestComputed,
			Captured: time.Date(2026, 11, 21, 1, 52, 0, 0, time.UTC), CapturedFrom: cos.CapturedByClock,
		},
		Kernel:   cos.Kernel{Release: "6.12.0", Banner: "Linux version 6.12.0 #1", PageTableLevels: 5, KASLRShift: 0x10800000, Symbols: "the image"},
		Hostname: "node-x7k9", BootTime: time.Date(2026, 11, 21, 1, 49, 10, 5, time.UTC),
		Pods: []cos.Pod{
			{UID: "0", Evidence: []cos.Evidence{{Field: "name", Value: "web", Source: cos.HintUTSName, PID: 9}}, Containers: []cos.Container{{Name: "gone"}}},
			{UID: podUID, QoS: cos.Guaranteed, Namespace: "payments", Name: "payments-api", SandboxID: sandbox, Containers: []cos.Container{
				{ID: api, Name: "api", Image: "lab.local/busybox:1", PIDs: []int32{685, 690}}, {ID: miner, PIDs: []int32{813, 815}},
			}},
		},
		Notes: []string{"not all\x07"},
		Processes: []cos.Process{
			process(1, 0, "/lib/systemd/systemd", "/sbin/systemd"), kthread, worker, cycle, process(71, 70, "/bin/b", "/bin/b"), shim,
			in(process(651, 631, "/pause", "/pause"), sandbox), in(process(685, 631, "/bin/busybox", "/bin/httpd", "-f"), api),
			in(process(690, 685, "/bin/sh", "-sh", strings.Repeat("x", 200)), api), hidden, zombie, conmon,
		},
	}
}

// xs are as many as fit on a line.
var xs = strings.Repeat("x", maxLine-len("-sh ")-1)

const headText = `node node-x7k9, booted 2026-11-21 01:49:10 UTC: 2 pods, 12 processes
image "case 7/node.lime.gz": LiME in gzip, 9876 KiB, captured 2026-11-21 01:52:00 UTC by the node's clock
  SHA-256 00ff, computed
kernel 6.12.0, 5-level page tables, KASLR shift 0x10800000
  Linux version 6.12.0 #1
  symbols from the image
`

var nodeText = headText + `
pod (unknown)/(unknown)  (unknown) 0
  perhaps web, by the uts-name of process 9
  container gone  (no processes)

pod payments/payments-api  guaranteed c0ffee00-1234-4bcd-8abc-0123456789ab
  sandbox 45ab2984bfc76
    651 pause: /pause
  container api  7e43c68864d7b  lab.local/busybox:1
    685 busybox: /bin/httpd -f  (runs /bin/busybox)
      690 sh: -sh ` + xs + `…
  container (unknown)  77650b3ccf28a
    813 kworker/u8:3: "[kworker/u8:3]" "stage2\x1b[2J"  (runs "/memfd:kworker-update (deleted)", uid 1000, only in the PID IDR)
      815 d\xe9funt  (zombie)
  of no container
    900 conmon  (runs /bin/conmon, uid 5, euid 0)

node
  1 systemd: /sbin/systemd
    631 containerd-shim-runc-v2: /usr/bin/containerd-shim-runc-v2 -id 45ab2984bfc7630da64fd0ec9e2571d63f914500829abfe39bf4aab61be71194  (2 threads)
  2 [kthreadd]
    5 [kworker/0:0]
  70 a: /bin/a
    71 b: /bin/b

note: not all\a
`

// TestImitation checks that what processes and pods call themselves does not pass for what
// the command says of them.
func TestImitation(t *testing.T) {
	args := process(5, 1, "/bin/httpd", "/bin/httpd  (runs /bin/bash)", "-f\n  6 sh")
	thread := process(6, 1, "")
	thread.Comm, thread.Args = "[kthreadd]", nil
	name := process(7, 1, "/tmp/x, uid 0)\u202e", "x")
	name.Comm = "x  (zombie)"
	long := process(8, 1, "/bin/y", "/bin/y", strings.Repeat("y", maxLine-20)+"…  (uid 0)"+strings.Repeat("y", 99))
	for want, p := range map[string]cos.Process{
		`httpd: "/bin/httpd  (runs /bin/bash)" "-f\n  6 sh"  (runs /bin/httpd)`: args,
		`"[kthreadd]"`: thread,
		`"x  (zombie)": x  (runs "/tmp/x, uid 0)\u202e")`:                name,
		`y: /bin/y "` + strings.Repeat("y", maxLine-20) + `\u2026  (ui…`: long,
	} {
		if got := describe(new(cos.Views), &p); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	r := &cos.NodeReport{Pods: []cos.Pod{{UID: "u", Namespace: "(unknown)", Name: "a/b  guaranteed", Containers: []cos.Container{{Name: "c  (no processes)"}}}}}
	var out bytes.Buffer
	(&settings{open: new(nodeimage.Flags)}).deliver(r, &out, io.Discard)
	for _, want := range []string{`pod "(unknown)"/"a/b  guaranteed"  (unknown) u`, `container "c  (no processes)"  (no processes)`} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %s in:\n%s", want, &out)
		}
	}
}

func TestDeliverText(t *testing.T) {
	var stdout, stderr bytes.Buffer
	status := (&settings{open: new(nodeimage.Flags)}).deliver(node(), &stdout, &stderr)
	if diff := cmp.Diff(nodeText, stdout.String()); diff != "" {
		t.Errorf("report (-want +got):\n%s", diff)
	}
	if status != exitWhole || stderr.Len() > 0 {
		t.Errorf("exit status %d, stderr %q", status, &stderr)
	}
}

func TestDeliverJSON(t *testing.T) {
	var stdout, stderr bytes.Buffer
	status := (&settings{json: true, open: nodeimage.New("-")}).deliver(node(), &stdout, &stderr)
	want, err := node().MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want)+"\n", stdout.String()); diff != "" || status != exitWhole || stderr.Len() > 0 {
		t.Errorf("exit status %d, stderr %q, report (-want +got):\n%s", status, &stderr, diff)
	}
}

// lossy is a report that lacks things of several kinds.
func lossy() *cos.NodeReport {
	r := node()
	captured := func(object string, place vmem.Place) vmem.Gap {
		return vmem.Gap{Object: object, Place: place, Err: vmem.ErrNotCaptured}
	}
	alone := func(p cos.Process) vmem.Gap {
		return vmem.Gap{Object: fmt.Sprintf("task %d (%s)", p.PID, p.Comm), Err: fmt.Errorf("%w: only in the %v", linux.ErrDisagree, p.Sources)}
	}
	other := process(77, 1, "/bin/other", "/bin/other")
	other.Sources, other.StartTime = linux.InTaskList, r.Provenance.Captured
	late := process(78, 1, "/bin/late", "/bin/late")
	late.Sources, late.StartTime = linux.InTaskList, r.Provenance.Captured.Add(1)
	r.Processes = append(r.Processes, other, late)
	r.Gaps = []vmem.Gap{
		{Object: "image", Place: vmem.PhysicalPlace(vmem.Range[vmem.PhysAddr]{Start: 0x1000, Size: 64 << 20}, 9), Err: image.ErrTruncated},
		captured("task list", vmem.KernelPlace(0x10)), captured("open file 7 of task 5 (a of task 6)", vmem.KernelPlace(0x20)),
		captured("open file 8 of task 5 (a)", vmem.KernelPlace(0x20)), {Object: "args of task 5 (a)", Err: vmem.ErrSwapped},
		alone(r.Processes[9]), alone(other), alone(late), {Object: "PID IDR entry 79", Err: kstruct.ErrCorrupt},
		{Object: "pod \x1b", Err: cos.ErrConflict}, {Object: "new\x1b thing 9", Err: errors.New("odd")},
	}
	return r
}

const lossText = `NOT WHOLE: 11 losses; -v and -json tell each
  64 MiB of memory is missing in the image
  parts of the image: 1, the file ends early
  open files: 2, not in the image
  command lines: 1, swapped out
  entries of the list of processes: 1, not in the image
  entries of the table of PIDs: 1, damaged, or changed during the capture
  facts about a pod: 1, sources disagree
  new\x1b thing: 1, other
  processes that not both lists have: 1, changed during the capture, or hidden
  processes that not both lists have: 1, started during the capture
  processes that not both lists have: 1, the other could not be read whole
`

func TestDeliverWithGaps(t *testing.T) {
	for name, test := range map[string]struct {
		s              settings
		stdout, stderr string
	}{
		"text":    {settings{open: new(nodeimage.Flags)}, headText + lossText, "analyzenode: the report is not whole: it begins with what is missing\n"},
		"JSON":    {settings{json: true, open: nodeimage.New("-")}, `{"schema":"` + cos.Schema + `","whole":false,`, "analyzenode: the report is " + lossText},
		"verbose": {settings{open: &nodeimage.Flags{Verbose: true}}, headText + lossText, "analyzenode: the report is not whole: 11 losses\n  image at physical address 0x1000+0x4000000, file offset 0x9: "},
	} {
		var stdout, stderr bytes.Buffer
		if status := test.s.deliver(lossy(), &stdout, &stderr); status != exitNotWhole {
			t.Errorf("%s: exit status %d", name, status)
		}
		for got, want := range map[string]string{stdout.String(): test.stdout, stderr.String(): test.stderr} {
			got = strings.Replace(got, "14 processes", "12 processes", 1)
			if diff := cmp.Diff(want, got[:min(len(want), len(got))]); diff != "" {
				t.Errorf("%s (-want +got):\n%s", name, diff)
			}
		}
		if strings.ContainsRune(stdout.String()+stderr.String(), '\x1b') {
			t.Errorf("%s: an escape is printed", name)
		}
	}
}

// TestHidden checks that a process which neither list has is shown plainly, whatever it says to
// be, and that one is not where the lists are damaged.
func TestHidden(t *testing.T) {
	r := node()
	worker := process(90, 2, "")
	worker.Comm, worker.KernelThread, worker.Sources = "kworker/9:9", true, linux.InFamily|linux.InScan
	near := worker
	near.PID = 91
	r.Processes = append(r.Processes, worker, near)
	r.Gaps = []vmem.Gap{
		{Object: "task 90 (kworker/9:9)", Err: fmt.Errorf("%w: only in the family+scan", linux.ErrHidden)},
		{Object: "task 91 (kworker/9:9)", Err: fmt.Errorf("%w: only in the family+scan; damaged near it: task list+PID IDR", linux.ErrDisagree)},
		{Object: "task 92, thread of task 90", Err: linux.ErrHidden},
	}
	var out, stderr bytes.Buffer
	(&settings{open: new(nodeimage.Flags)}).deliver(r, &out, &stderr)
	for _, want := range []string{
		"90 [kworker/9:9]  (HIDDEN: neither in the task list nor in the PID IDR, found by family+scan)\n", "91 [kworker/9:9]\n",
		"  hidden processes: 1, the lists are whole around them, and without them\n", "  hidden threads: 1, the lists",
		"  processes that not both lists have: 1, the other could not be read whole\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, &out)
		}
	}
}

// TestOneListAlone checks that a process is said to be in one list alone only where the
// other was read whole.
func TestOneListAlone(t *testing.T) {
	whole, lossless := lossy(), lossy()
	lossless.Gaps = nil
	for want, test := range map[string]struct {
		r   *cos.NodeReport
		pid int32
	}{
		"": {whole, 813}, "only in the task list": {whole, 77}, "only in the task list, started during the capture": {whole, 78}, "only in the PID IDR": {lossless, 813},
	} {
		i := slices.IndexFunc(test.r.Processes, func(p cos.Process) bool { return p.PID == test.pid })
		got := strings.Join(remarks(test.r.Views(), &test.r.Processes[i]), ", ")
		if want != "" && !strings.HasSuffix(got, want) || want == "" && strings.Contains(got, "only") {
			t.Errorf("process %d: %s, want %q", test.pid, got, want)
		}
	}
}

type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestDeliverToNobody(t *testing.T) {
	var stderr bytes.Buffer
	if status := (&settings{json: true, open: nodeimage.New("-")}).deliver(node(), brokenPipe{}, &stderr); status != exitNoReport || !strings.Contains(stderr.String(), io.ErrClosedPipe.Error()) {
		t.Errorf("exit status %d, stderr %q", status, &stderr)
	}
}

// What was interrupted says that and nothing more.
func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	name := filepath.Join(t.TempDir(), "image")
	if err := os.WriteFile(name, make([]byte, 4096), 0o600); err != nil {
		t.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	if status := run(ctx, []string{name}, &stdout, &stderr); status != exitNoReport || stderr.String() != "analyzenode: interrupted\n" || stdout.Len() > 0 {
		t.Errorf("exit status %d, stdout %q, stderr %q", status, &stdout, &stderr)
	}
}

func TestRunFails(t *testing.T) {
	t.Chdir(t.TempDir())
	t.Setenv("NODELENS_CACHE", t.TempDir())
	text := filepath.Join(t.TempDir(), "text")
	if err := os.WriteFile(text, []byte("no image\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		args   []string
		status int
		stderr []string
	}{
		"contradiction": {[]string{"a", "-isf", "b", "-vmlinux", "c"}, exitUsage, []string{"-isf and -vmlinux"}},
		"quiet and not": {[]string{"-q", "a", "-v"}, exitUsage, []string{"-q and -v"}},
		"a command":     {[]string{"pslist"}, exitUsage, []string{"pslist is no command"}},
		"flags behind":  {[]string{text, "-json", "-q", "-v"}, exitUsage, []string{"-q and -v"}},
		"no section":    {[]string{"-with", "network,x", "a"}, exitUsage, []string{`not a section: "x"; there are: `, cos.AllSections.String()}},
		"empty section": {[]string{"-with=", "a"}, exitUsage, []string{`not a section: ""; there are: `}},
		"twice":         {[]string{"-with", "network", "a", "-with", "network"}, exitUsage, []string{"network is asked for twice"}},
		"all and some":  {[]string{"-all", "-with", "network", "a"}, exitUsage, []string{"-all and -with contradict each other"}},
		"verbose":       {[]string{text, "-v"}, exitNoReport, []string{text + " is a text, not memory", "\n  "}},
		"unknown flag":  {[]string{"-x"}, exitUsage, []string{"-x", "usage: analyzenode"}},
		"two images":    {[]string{"a", "b"}, exitUsage, []string{"more than one image"}},
		"no bundled":    {nil, exitNoReport, []string{"no image given", "node.lime.lz4", "Name an image"}},
		"no file":       {[]string{"-isf", text, "missing.lime"}, exitNoReport, []string{"missing.lime", "no such file"}},
		"no image":      {[]string{"-isf", text, text}, exitNoReport, []string{text + " is a text, not memory"}},
		"no memory":     {[]string{"-raw", text}, exitNoReport, []string{"-vmlinux", "-isf"}},
	} {
		t.Run(name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			if status := run(t.Context(), test.args, &stdout, &stderr); status != test.status || stdout.Len() > 0 {
				t.Errorf("exit status %d, want %d; stdout %q", status, test.status, &stdout)
			}
			for _, part := range test.stderr {
				if !strings.Contains(stderr.String(), part) {
					t.Errorf("stderr %q lacks %q", &stderr, part)
				}
			}
		})
	}
}

func TestHelp(t *testing.T) {
	var stdout, stderr bytes.Buffer
	if status := run(t.Context(), []string{"node.lime", "-h"}, &stdout, &stderr); status != exitWhole || stderr.Len() > 0 {
		t.Errorf("exit status %d, stderr %q", status, &stderr)
	}
	for _, part := range []string{"usage: analyzenode [flags] [IMAGE]", "analyzenode -json node.lime.zst > report.json", "-isf FILE", "3  the report is not whole"} {
		if !strings.Contains(stdout.String(), part) {
			t.Errorf("help lacks %q:\n%s", part, &stdout)
		}
	}
}
