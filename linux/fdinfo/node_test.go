package fdinfo

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/linux/internal/nodetest"
)

// A node is a booted node, and what it said of itself.
type node struct {
	*nodetest.Node
	r *Reader
}

var nodes = nodetest.Set[*node]{Make: func(n *nodetest.Node) (*node, error) { return &node{n, New(n.K)}, nil }}

// each tests the nodes whose truth is of the time of the image.
func each(t *testing.T, test func(*testing.T, *node)) {
	t.Helper()
	nodes.Each(t, func(t *testing.T, n *node) {
		if !n.Paused() {
			t.Skip("what /proc said is not of the time of the image")
		}
		test(t, n)
	})
}

// compared are the lines of fdinfo that are compared, by how they begin.
var compared = regexp.MustCompile(`^(inotify|pos|flags|mnt_id|ino|lock|tfd|fanotify|eventfd-[a-z]+|sigmask|clockid|ticks|settime flags|it_interval|Pid|NSpid|SqMask|SqHead|SqTail|CqMask|CqHead|CqTail|SQEs|CQEs|UserFiles|UserBufs|scm_fds)\b?`)

// linesOf returns the lines of fdinfo that are compared, as a set, without file handles and what a kernel need not have.
func linesOf(text string, names map[string]bool) (lines []string) {
	for line := range strings.Lines(text) {
		name := compared.FindString(line)
		if name == "" || names != nil && !names[name] {
			continue
		}
		line, _, _ = strings.Cut(line, "fhandle-bytes:")
		line = strings.TrimRight(line, " \n")
		lines = append(lines, line)
	}
	slices.Sort(lines)
	return lines
}

// runs are programs of which the position in a file, or what waits for them, moves on until the image is taken.
func runs(p *linux.Task) bool {
	return p.Comm == "labnode" || strings.HasPrefix(p.Comm, "containerd")
}

// TestInfo compares all that /proc/PID/fdinfo said of all descriptors.
func TestInfo(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, n *node) {
		files := 0
		kinds := map[string]int{}
		for _, p := range n.Tasks {
			if runs(p) {
				continue
			}
			for fd, err := range p.Files(t.Context()) {
				if err != nil {
					continue // the tests of package linux tell
				}
				text, ok := n.Read(t, "pid", fmt.Sprint(p.PID), "fdinfo", fmt.Sprint(fd.FD))
				if !ok {
					continue
				}
				info, err := n.r.Info(t.Context(), p, fd)
				if err != nil {
					t.Errorf("%v: %s: %v", p, fd.Path, err)
					continue
				}
				files++
				want := linesOf(text, nil)
				names := map[string]bool{}
				for _, l := range want {
					names[compared.FindString(l)] = true
				}
				for name := range names {
					kinds[name]++
				}
				got := linesOf(info.String(), names)
				if path := fd.Path; moves(path) {
					want, got = slices.DeleteFunc(want, passing), slices.DeleteFunc(got, passing)
				}
				if diff := gocmp.Diff(want, got); diff != "" {
					t.Errorf("%v: %d %s (-fdinfo +found):\n%s", p, fd.FD, fd.Path, diff)
				}
			}
		}
		t.Logf("%d descriptors: %v", files, kinds)
		if files < 100 {
			t.Errorf("only %d", files)
		}
	})
}

// moves reports whether what a descriptor has moves on by itself.
func moves(path string) bool {
	return strings.HasPrefix(path, "/dev/kmsg") || strings.HasPrefix(path, "/var/log/")
}

func passing(line string) bool { return strings.HasPrefix(line, "pos:") }

// clocks returns what the clocks were when the truth was complete.
func clocks(t *testing.T, text string) map[string]time.Duration {
	t.Helper()
	now := map[string]time.Duration{}
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		ns, err := strconv.ParseInt(value, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		now[name] = time.Duration(ns)
	}
	return now
}

// TestTimers: what was left of a timer when it was asked for, on its clock, is when it expires.
func TestTimers(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, n *node) {
		clock, ok := n.Read(t, "clock")
		if !ok {
			t.Skip("no clock")
		}
		now := clocks(t, clock)
		uptime, _ := n.Read(t, "proc", "uptime") // is read first, and clock at last
		seconds, _, _ := strings.Cut(uptime, " ")
		began, err := time.ParseDuration(seconds + "s")
		if err != nil {
			t.Fatal(err)
		}
		took := now["boottime"] - began
		value := regexp.MustCompile(`(?m)^it_value: \((\d+), (\d+)\)$`)
		timers := 0
		for _, p := range n.Tasks {
			for fd, err := range p.Files(t.Context()) {
				if err != nil || fd.Path != "anon_inode:[timerfd]" {
					continue
				}
				text, _ := n.Read(t, "pid", fmt.Sprint(p.PID), "fdinfo", fmt.Sprint(fd.FD))
				m := value.FindStringSubmatch(text)
				info, err := n.r.Info(t.Context(), p, fd)
				if err != nil || m == nil {
					t.Errorf("%v: %v, %q", p, err, text)
					continue
				}
				later := 2 * time.Minute // services set theirs anew, and meanwhile
				if p.PID == 1 {
					continue // it looks after all of them, and sets its own anew all the time
				}
				if strings.HasPrefix(p.Comm, "task-") {
					later = time.Second
				}
				s, _ := strconv.ParseInt(m[1], 10, 64)
				left := time.Duration(s) * time.Second
				clock := map[int32]time.Duration{0: now["realtime"], 1: now["monotonic"], 7: now["boottime"], 8: now["realtime"], 9: now["boottime"]}[info.Timerfd.ExpiresOn]
				if got := info.Timerfd.Expires - clock; left > 0 && (got > left+later || got < left-took-time.Second) {
					t.Errorf("%v: a timer expires in %v, by /proc in %v", p, got, left)
				}
				timers++
			}
		}
		t.Logf("%d timers", timers)
		if timers == 0 {
			t.Error("none")
		}
	})
}

// lockNumber begins a line of /proc/locks.
var lockNumber = regexp.MustCompile(`^\d+: `)

// locksIn returns what is in lines of /proc/locks, with waiters of waiters if deep is set.
func locksIn(l *Lock, prefix string, deep bool) (lines []string) {
	lines = append(lines, strings.Join(strings.Fields(prefix+l.String()), " "))
	if prefix != "" && !deep {
		return lines
	}
	for i := range l.Waiters {
		lines = append(lines, locksIn(&l.Waiters[i], "-> ", deep)...)
	}
	return lines
}

// TestLocks compares the locks with /proc/locks.
func TestLocks(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, n *node) {
		text, ok := n.Read(t, "proc", "locks")
		if !ok {
			t.Skip("no locks")
		}
		var want, got []string
		for line := range strings.Lines(text) {
			want = append(want, strings.Join(strings.Fields(lockNumber.ReplaceAllString(line, "")), " "))
		}
		locks, gaps, err := n.r.Locks(t.Context(), n.Tasks)
		if err != nil || len(gaps) > 0 {
			n.Lost(t, fmt.Errorf("%w, %v", err, gaps))
		}
		deep := !strings.HasPrefix(n.K.Info().Release, "5.10.") // which shows who waits for a lock, and not for who waits (locks_show of fs/locks.c)
		for i := range locks {
			got = append(got, locksIn(&locks[i], "", deep)...)
			if len(locks[i].Holders) == 0 && locks[i].Kind != "POSIX" {
				t.Errorf("%v: no holder", &locks[i])
			}
		}
		slices.Sort(want)
		slices.Sort(got)
		if diff := gocmp.Diff(want, got); diff != "" {
			t.Errorf("(-locks +found):\n%s", diff)
		}
	})
}

// TestPipes: who has the ends of pipes are the descriptors that lead to them and can be read or written, and what is in them is what the cases of the lab wrote.
func TestPipes(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, n *node) {
		pipes, gaps, err := n.r.Pipes(t.Context(), n.Tasks)
		if err != nil {
			t.Fatal(err)
		}
		for _, g := range gaps {
			if !strings.HasPrefix(g.Object, "open files of ") { // the tests of package linux tell
				n.Lost(t, g)
			}
		}
		want := map[string][]string{}
		dirs, err := filepath.Glob(filepath.Join(n.Truth, "pid", "*", "fd"))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range dirs {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			pid := filepath.Base(filepath.Dir(name))
			for line := range strings.Lines(string(text)) {
				fd, target, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
				if !strings.HasPrefix(target, "pipe:[") {
					continue
				}
				info, _ := n.Read(t, "pid", pid, "fdinfo", fd)
				m := regexp.MustCompile(`(?m)^flags:\s0*([0-7]*)$`).FindStringSubmatch(info)
				if m == nil {
					continue
				}
				flags, _ := strconv.ParseUint(m[1], 8, 32)
				end := [...]string{"r", "w", "rw"}[flags&3]
				want[target] = append(want[target], pid+" "+fd+" "+end)
			}
		}
		got := map[string][]string{}
		data := 0
		for _, p := range pipes {
			if !strings.HasPrefix(p.Path, "pipe:[") {
				continue
			}
			for _, h := range p.Readers {
				got[p.Path] = append(got[p.Path], fmt.Sprintf("%d %d r", h.PID, h.FD))
			}
			for _, h := range p.Writers {
				got[p.Path] = append(got[p.Path], fmt.Sprintf("%d %d w", h.PID, h.FD))
			}
			if len(p.Data) > 0 {
				t.Logf("%s: %q", p.Path, p.Data[:min(len(p.Data), 100)])
				data++
			}
		}
		for path, ends := range want {
			if slices.ContainsFunc(ends, func(e string) bool { return strings.HasSuffix(e, "rw") }) {
				continue
			}
			slices.Sort(ends)
			slices.Sort(got[path])
			if diff := gocmp.Diff(ends, got[path]); diff != "" && !slices.ContainsFunc(ends, func(e string) bool { return ofCollector(n, e) }) {
				t.Errorf("%s (-descriptors +ends):\n%s", path, diff)
			}
		}
		t.Logf("%d pipes, %d with data", len(want), data)
		if len(want) < 10 {
			t.Errorf("only %d", len(want))
		}
	})
}

// ofCollector reports whether an end is of a process that runs on.
func ofCollector(n *node, end string) bool {
	pid, _, _ := strings.Cut(end, " ")
	return slices.ContainsFunc(n.Tasks, func(p *linux.Task) bool { return fmt.Sprint(p.PID) == pid && runs(p) })
}

// TestToldPipes compares what is in pipes with what the lab's cases wrote.
func TestToldPipes(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, n *node) {
		text, ok := n.Read(t, "task", "told", "pipes")
		if !ok {
			t.Skip("nothing was told")
		}
		pipes, _, err := n.r.Pipes(t.Context(), n.Tasks)
		if err != nil {
			t.Fatal(err)
		}
		compared := 0
		for line := range strings.Lines(text) {
			w := strings.Fields(line)
			i := slices.IndexFunc(pipes, func(p Pipe) bool {
				return slices.ContainsFunc(p.Readers, func(h Holder) bool { return fmt.Sprint(h.PID) == w[0] && fmt.Sprint(h.FD) == w[1] })
			})
			if i < 0 {
				t.Errorf("no pipe that process %s reads by %s", w[0], w[1])
				continue
			}
			compared++
			if got, want := fmt.Sprintf("%d %x", len(pipes[i].Data), sha256.Sum256(pipes[i].Data)), w[2]+" "+w[3]; got != want {
				t.Errorf("pipe of process %s by %s: %s, not %s", w[0], w[1], got, want)
			}
		}
		t.Logf("%d pipes", compared)
	})
}
