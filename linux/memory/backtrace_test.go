package memory

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/nodelens/nodelens/linux"
)

var (
	gdbThread = regexp.MustCompile(`^Thread \d+ \(.*?\bLWP (\d+)\b`)
	gdbFrame  = regexp.MustCompile(`^#(\d+) +(?:(0x[0-9a-f]+) in )?(.+)$`)
	gdbCall   = regexp.MustCompile(`^(.*?) \(`)
)

// backtraces returns what gdb's "thread apply all bt" shows, by thread: of each frame its address and its function. What versions of gdb write otherwise, as the
// values of arguments are, is left out.
func backtraces(text string) map[string][]string {
	all, thread := map[string][]string{}, ""
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		switch {
		case gdbThread.MatchString(line):
			thread = gdbThread.FindStringSubmatch(line)[1]
		case thread == "":
		case !gdbFrame.MatchString(line):
			if line == "" {
				thread = "" // registers follow
			}
		default:
			m := gdbFrame.FindStringSubmatch(line)
			function := m[3]
			if call := gdbCall.FindStringSubmatch(function); call != nil && !strings.HasPrefix(function, "<") {
				function = call[1]
			}
			if seen := all[thread]; fmt.Sprint(len(seen)) == m[1] { // another list of the same thread begins anew
				all[thread] = append(seen, strings.TrimSpace(m[2]+" "+function))
			}
		}
	}
	return all
}

// TestBacktraces has gdb open cores of a C, a Go and a Python process, and compares the stacks of all threads with what gdb said in the guest of the processes themselves.
// The programs and libraries are those that the guest had.
func TestBacktraces(t *testing.T) {
	t.Parallel()
	gdb, err := exec.LookPath("gdb")
	if err != nil {
		t.Skip(err)
	}
	nodes.Each(t, func(t *testing.T, n *node) {
		list, ok := n.Read(t, "task", "told", "trace.list")
		if !ok {
			t.Skip("it has no processes whose stacks are known")
		}
		root := sysroot(t, n)
		for line := range strings.Lines(list) {
			w := strings.Fields(line) // name, PID
			i := slices.IndexFunc(n.Tasks, func(p *linux.Task) bool { return fmt.Sprint(p.PID) == w[1] })
			told, ok := n.Read(t, "task", "told", "gdb."+w[0])
			if i < 0 || !ok {
				t.Errorf("no process %s, or no word of it", w[0])
				continue
			}
			want := backtraces(told)
			got := backtraces(gdbSays(t, n, n.Tasks[i], gdb, root, "thread apply all bt"))
			for _, thread := range slices.Sorted(maps.Keys(want)) {
				if diff := gocmp.Diff(want[thread], got[thread]); diff != "" {
					t.Errorf("%s: thread %s (-guest +core):\n%s", w[0], thread, diff)
				}
			}
			t.Logf("%s: %d threads", w[0], len(want))
			if len(want) == 0 || len(want) != len(got) {
				t.Errorf("%s: %d threads in the core, %d in the guest", w[0], len(got), len(want))
			}
		}
	})
}

// sysroot returns a directory with the files of the guest under the names that its programs have for them: directories of /usr also stand in /.
func sysroot(t *testing.T, n *node) string {
	t.Helper()
	mapped, err := filepath.Abs(filepath.Join(n.Truth, "task", "mapped"))
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	for name, target := range map[string]string{
		"usr": filepath.Join(mapped, "usr"), "opt": filepath.Join(mapped, "opt"), "bin": "usr/bin", "lib": "usr/lib", "lib64": "usr/lib/x86_64-linux-gnu",
	} {
		if err := os.Symlink(target, filepath.Join(root, name)); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// gdbSays writes the core of a process and has gdb open it, with the files of the guest. Debug files that this machine has and the guest had not would show more.
func gdbSays(t *testing.T, n *node, p *linux.Task, gdb, root, command string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "core")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := n.r.WriteCore(t.Context(), f, p); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	exe, err := p.Exe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), gdb, "-nx", "-batch", "-iex", "set sysroot "+root, "-iex", "set debug-file-directory "+root, "-iex", "set auto-load off", "-iex", "set pagination off", "-iex", "set width 0",
		filepath.Join(root, exe), name, "-ex", command).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return string(out)
}
