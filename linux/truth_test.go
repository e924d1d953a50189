package linux

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nodelens/nodelens/internal/testimages"
	"github.com/nodelens/nodelens/internal/truth"
)

// readTruth reads the truth about the bundled node once for all tests.
var readTruth = sync.OnceValues(func() (*truth.Node, error) {
	img, err := testimages.Bundled()
	if err != nil {
		return nil, err
	}
	return truth.Read(img.Truth)
})

// trueNode is what /proc of the bundled node said.
func trueNode(t *testing.T) (*truth.Node, string) {
	t.Helper()
	img, err := testimages.Bundled()
	if err != nil {
		t.Fatal(err)
	}
	n, err := readTruth()
	if err != nil {
		t.Fatal(err)
	}
	return n, img.Truth
}

// all returns what a walk yields, which must have no errors.
func all[T any](t *testing.T, walk func(func(T, error) bool)) (found []T) {
	t.Helper()
	for v, err := range walk {
		if err != nil {
			t.Error(err)
			continue
		}
		found = append(found, v)
	}
	return found
}

// valueOf returns a value whose error may be that there is none.
func valueOf[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil && !errors.Is(err, ErrNone) {
			t.Error(err)
		}
		return v
	}
}

// foundProcess reads all there is of a task, in the form of the truth.
func foundProcess(t *testing.T, p *Task) truth.Process {
	t.Helper()
	ctx := t.Context()
	cred := valueOf[Cred](t)(p.Cred())
	f := truth.Process{
		PID: p.PID, PPID: p.PPID, Comm: p.Comm, KernelThread: p.KernelThread, State: truth.StateClass(byte(p.State)),
		StartTicks: ticks(p), Exe: valueOf[string](t)(p.Exe()), Cwd: valueOf[string](t)(p.Cwd()), UID: cred.UID, GID: cred.GID,
		NSPIDs: valueOf[[]int32](t)(p.NamespacedPIDs()), Namespaces: map[string]uint32{},
	}
	if mm := valueOf[*MM](t)(p.MM()); mm != nil {
		f.Args, f.Env = all(t, mm.Args(ctx)), all(t, mm.Env(ctx))
	}
	for _, thread := range all(t, p.Threads(ctx)) {
		f.Threads = append(f.Threads, truth.Thread{TID: thread.PID, Comm: thread.Comm, StartTicks: ticks(thread)})
	}
	slices.SortFunc(f.Threads, func(a, b truth.Thread) int { return int(a.TID - b.TID) })
	for _, c := range all(t, p.CgroupPaths(ctx)) {
		f.Cgroups = append(f.Cgroups, truth.Cgroup{Hierarchy: c.Hierarchy, Controllers: c.Controllers, Path: c.Path})
	}
	for _, fd := range all(t, p.Files(ctx)) {
		f.FDs = append(f.FDs, truth.FD{FD: fd.FD, Path: fd.Path})
	}
	n := valueOf[Namespaces](t)(p.Namespaces())
	for name, inum := range map[string]uint32{
		"pid": n.PID, "net": n.Net, "mnt": n.Mnt, "uts": n.UTS, "ipc": n.IPC, "user": n.User, "cgroup": n.Cgroup, "time": n.Time,
	} {
		if inum != 0 {
			f.Namespaces[name] = inum
		}
	}
	return f
}

func ticks(t *Task) int64 { return int64(t.SinceBoot / (time.Second / truth.TicksPerSecond)) }

// TestTruth compares all that is read of each process with what /proc said.
func TestTruth(t *testing.T) {
	want, _ := trueNode(t)
	tasks, _ := walk(t, openBundled(t).k)
	var found []truth.Process
	for _, pid := range pids(tasks) {
		found = append(found, foundProcess(t, tasks[pid]))
	}
	r := truth.Compare(want, found)
	for _, d := range r.Differences {
		t.Error(d)
	}
	if r.Compared < 50 {
		t.Errorf("%d processes compared", r.Compared)
	}
}

// TestTrueMounts compares the mounts of the processes that share the node's root with
// what their mountinfo said. Of others the mount points have another form.
func TestTrueMounts(t *testing.T) {
	want, _ := trueNode(t)
	tasks, _ := walk(t, openBundled(t).k)
	init, compared := tasks[1], 0
	for _, p := range want.Processes {
		task := tasks[p.PID]
		if task == nil || task.KernelThread || len(p.Mounts) == 0 || p.Namespaces["mnt"] != valueOf[Namespaces](t)(init.Namespaces()).Mnt {
			continue
		}
		if root := valueOf[string](t)(task.Root()); root != "/" {
			continue
		}
		var got []truth.Mount
		for _, m := range all(t, task.Mounts(t.Context())) {
			got = append(got, truth.Mount{ID: m.ID, Parent: m.ParentID, Root: m.Root, MountPoint: m.MountPoint, FSType: m.FSType, Source: m.Source})
		}
		// The root of a namespace's tree, which rootfs is below, is in none of the lines.
		got = slices.DeleteFunc(got, func(m truth.Mount) bool { return m.ID == m.Parent })
		wanted := slices.Clone(p.Mounts)
		for i := range wanted {
			wanted[i].Options = ""
		}
		slices.SortFunc(wanted, func(a, b truth.Mount) int { return int(a.ID - b.ID) })
		if d := cmp.Diff(wanted, got); d != "" {
			t.Fatalf("%v (-mountinfo +found):\n%s", task, d)
		}
		compared++
	}
	if compared < 5 {
		t.Errorf("%d processes compared", compared)
	}
}

// TestTrueMaps compares the mappings of each process with its maps.
func TestTrueMaps(t *testing.T) {
	want, dir := trueNode(t)
	tasks, _ := walk(t, openBundled(t).k)
	compared := 0
	for _, p := range want.Processes {
		text, err := os.ReadFile(filepath.Join(dir, "pid", fmt.Sprint(p.PID), "maps"))
		task := tasks[p.PID]
		if err != nil || len(text) == 0 || task == nil || p.PID == want.Collector {
			continue
		}
		mm, err := task.MM()
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, v := range all(t, mm.VMAs(t.Context())) {
			got = append(got, fmt.Sprintf("%08x-%08x %v %08x %s", uint64(v.Range.Start), uint64(v.Range.Last())+1, v.Flags, v.Offset, strings.ReplaceAll(v.Path, "\n", `\012`)))
		}
		if d := cmp.Diff(mapsLines(string(text)), got); d != "" {
			t.Errorf("%v (-maps +found):\n%s", task, d)
		}
		compared++
	}
	if compared < 20 {
		t.Errorf("%d processes compared", compared)
	}
}

// mapsLines returns the lines of a maps file without device and inode, and without
// [vsyscall], which is no mapping of the process.
func mapsLines(text string) (lines []string) {
	for line := range strings.Lines(text) {
		words := strings.SplitN(strings.TrimSuffix(line, "\n"), " ", 6)
		name := ""
		if len(words) == 6 {
			name = strings.TrimLeft(words[5], " ")
		}
		if name != "[vsyscall]" {
			lines = append(lines, fmt.Sprintf("%s %s %s %s", words[0], words[1], words[2], name))
		}
	}
	return lines
}

// TestTrueKernel compares what is known of the node itself.
func TestTrueKernel(t *testing.T) {
	want, _ := trueNode(t)
	k := openBundled(t).k
	if name, err := k.Hostname(); err != nil || name != want.Kernel.Hostname {
		t.Errorf("host name %q, %v, want %q", name, err, want.Kernel.Hostname)
	}
	boot, err := k.BootTime()
	if d := boot.Sub(want.Kernel.Boot); err != nil || d.Abs() > want.Kernel.BootWithin {
		t.Errorf("booted %v, %v; want %v within %v", boot, err, want.Kernel.Boot, want.Kernel.BootWithin)
	}
	tasks, _ := walk(t, k)
	if name, err := tasks[1].UTSName(); err != nil || name != want.Kernel.Hostname {
		t.Errorf("UTS name of PID 1: %q, %v", name, err)
	}
	if at, err := k.Clock(); err != nil || at.Sub(boot) < time.Second || at.Sub(boot) > 24*time.Hour {
		t.Errorf("clock %v, %v, booted %v", at, err, boot)
	}
	if k.Live() || tasks[1].Changed() || !tasks[1].Leader() {
		t.Error("the image is said to be live")
	}
}
