package pagecache

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/nodelens/nodelens/internal/testimages"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// Files of tmpfs are what the guest read in them.
func TestContents(t *testing.T) { eachNode(t, contents) }

func contents(t *testing.T, n *node) {
	for _, g := range n.set.Gaps() {
		if !errors.Is(g, kstruct.ErrUnsupported) || g.Object != "overlayfs" { // there are no types of modules before 5.11
			t.Error(g)
		}
	}
	f := n.fs(t, 1)
	for _, name := range []string{"pods.json", "edge.list"} {
		want, err := os.ReadFile(filepath.Join(n.Truth, name))
		if err != nil {
			t.Fatal(err)
		}
		got, err := fs.ReadFile(f, "run/"+name)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes, %v; want %d bytes", name, len(got), err, len(want))
		}
	}
	hostname, err := fs.ReadFile(f, "etc/hostname")
	if bundled, _ := testimages.Bundled(); n.Path == bundled.Path && !errors.Is(err, ErrNotCached) {
		t.Errorf("/etc/hostname, which the page cache has no page of: %q, %v", hostname, err)
	}
}

// created is what criload made of a pod.
type created struct {
	Pod struct {
		UID, Namespace string
		HostNet        bool
		Containers     []struct {
			Name string
			Ends bool // by itself: its bundle is gone
		}
	}
	SandboxID  string
	Containers map[string]string
}

func pods(t *testing.T, n *node) (all []created) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(n.Truth, "pods.json"))
	if err == nil {
		err = json.Unmarshal(b, &all)
	}
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// eachNode runs a test with the bundled node and, where there is the time, with the other nodes of the lab.
func eachNode(t *testing.T, test func(*testing.T, *node)) {
	t.Helper()
	nodes.Each(t, func(t *testing.T, n *node) {
		if !n.Paused() {
			t.Skip("what is compared is of the lab's nodes")
		}
		test(t, n)
	})
}

// Each container of the bundled node has the specification that the runtime was given, and sees the volume of its pod.
func TestContainers(t *testing.T) { eachNode(t, containers) }

func containers(t *testing.T, n *node) {
	node := n.fs(t, 1)
	for _, p := range pods(t, n) {
		for _, c := range p.Pod.Containers {
			name, id := c.Name, p.Containers[c.Name]
			if c.Ends {
				continue
			}
			dir := "run/containerd/io.containerd.runtime.v2.task/k8s.io/" + id
			b, err := fs.ReadFile(node, dir+"/config.json")
			var spec struct {
				Annotations map[string]string
				Process     struct{ Args []string }
			}
			if err == nil {
				err = json.Unmarshal(b, &spec)
			}
			if err != nil || spec.Annotations["io.kubernetes.cri.sandbox-id"] != p.SandboxID || spec.Annotations["io.kubernetes.cri.container-name"] != name {
				t.Errorf("config.json of %s: %v, %v", name, spec.Annotations, err)
			}
			pid, err := fs.ReadFile(node, dir+"/init.pid")
			if err != nil {
				t.Error(err)
				continue
			}
			init, err := strconv.ParseInt(string(pid), 10, 32)
			if err != nil {
				t.Error(err)
				continue
			}
			f := n.fs(t, int32(init))
			const volume = "var/run/secrets/kubernetes.io/serviceaccount"
			if _, err := f.Stat(volume); !strings.Contains(p.Pod.UID, "-") {
				if !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("a static pod has a token: %v", err)
				}
				continue
			}
			got, err := fs.ReadFile(f, volume+"/namespace")
			if err != nil || string(got) != p.Pod.Namespace {
				t.Errorf("namespace of %s: %q, %v", name, got, err)
			}
			tokens, err := fs.Sub(f, volume)
			if err == nil {
				err = fstest.TestFS(tokens, "token", "namespace")
			}
			if err != nil {
				t.Error(err)
			}
		}
	}
}

// What processes have open or run, and was deleted, is what /proc said.
func TestNamelessDescriptors(t *testing.T) { eachNode(t, namelessDescriptors) }

func namelessDescriptors(t *testing.T, n *node) {
	all, gaps := n.set.Nameless(context.Background())
	for _, g := range gaps {
		t.Error(g)
	}
	var got, want []string
	for _, f := range all {
		for _, h := range f.Holders {
			if h.How == "fd" || h.How == "exe" || h.How == "cwd" || h.How == "root" {
				got = append(got, fmt.Sprintf("%d %s %d %q", h.PID, h.How, h.FD, f.Path))
			}
		}
	}
	for _, task := range n.Tasks {
		dir := filepath.Join(n.Truth, "pid", strconv.Itoa(int(task.PID)))
		b, err := os.ReadFile(dir + "/fd.nul")
		if err != nil {
			continue
		}
		for entry := range strings.SplitSeq(string(b), "\x00") {
			fd, target, _ := strings.Cut(entry, " ")
			if deleted(target) {
				want = append(want, fmt.Sprintf("%d fd %s %q", task.PID, fd, target))
			}
		}
		for _, how := range []string{"exe", "cwd", "root"} {
			if b, err := os.ReadFile(dir + "/" + how); err == nil && deleted(strings.TrimSuffix(string(b), "\n")) {
				want = append(want, fmt.Sprintf("%d %s -1 %q", task.PID, how, strings.TrimSuffix(string(b), "\n")))
			}
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// deleted reports whether a link of /proc is of a file that was deleted, and not of one of the lab's that only has such a name, nor of its message
// queue, which is no file.
func deleted(target string) bool {
	return strings.HasSuffix(target, " (deleted)") && !strings.HasSuffix(target, "/exe-renamed to (deleted)") && !strings.HasSuffix(target, "/looks (deleted)") &&
		target != "/lab-gone (deleted)"
}

// A way through links is that of a root that can't be left.
func TestLinks(t *testing.T) {
	n := nodes.Bundled(t)
	var f *FS
	for _, task := range n.Tasks {
		if task.Comm == "httpd" {
			f = n.fs(t, task.PID)
		}
	}
	for _, c := range []struct{ path, same string }{
		{"../../bin/./busybox", "bin/busybox"}, {"dev/ptmx", "dev/pts/ptmx"}, {"/bin/../dev//ptmx", "dev/pts/ptmx"}, {"dev/pts/../../bin", "bin"},
	} {
		a, err := f.Find(c.path, true)
		if err != nil {
			t.Error(err)
			continue
		}
		b, err := f.Find(c.same, true)
		if err != nil || a.Addr != b.Addr {
			t.Errorf("%s and %s: %v", c.path, c.same, err)
		}
	}
	for path, want := range map[string]error{"bin/nothing": fs.ErrNotExist, "bin/busybox/x": errNotDir, "bin/busybox/..": errNotDir} {
		if _, err := f.Find(path, true); !errors.Is(err, want) {
			t.Errorf("%s: %v, not %v", path, err, want)
		}
	}
	for _, path := range []string{"/run", "run/", "", "a\xff"} {
		if _, err := f.Open(path); !errors.Is(err, fs.ErrInvalid) {
			t.Errorf("%q: %v", path, err)
		}
	}
}

func BenchmarkWalk(b *testing.B) {
	n := nodes.Bundled(b)
	files := 0
	b.ReportAllocs()
	for b.Loop() {
		f := n.fs(b, 1)
		f.s.known, f.s.count = map[vmem.VirtAddr]*children{}, 0
		for _, err := range f.Walk(b.Context(), "sys/kernel") {
			if err == nil {
				files++
			}
		}
	}
	b.ReportMetric(float64(files)/b.Elapsed().Seconds(), "inodes/s")
}

// The pages of a file are looked for as long as the context lasts.
func TestContentEnds(t *testing.T) {
	n := nodes.Bundled(t)
	f, err := n.fs(t, 1).Find("run/pods.json", true)
	if err != nil {
		t.Fatal(err)
	}
	if c, err := f.Content(t.Context()); err != nil || !c.Whole() {
		t.Fatalf("%+v, %v", c, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if c, err := f.Content(ctx); c != nil || !errors.Is(err, context.Canceled) {
		t.Errorf("ended: %+v, %v", c, err)
	}
}

func BenchmarkRead(b *testing.B) {
	n := nodes.Bundled(b)
	f, err := n.fs(b, 1).Find("run/pods.json", true)
	if err != nil {
		b.Fatal(err)
	}
	buf := make([]byte, f.Size)
	b.SetBytes(f.Size)
	for b.Loop() {
		c, err := f.Content(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		if n, _ := c.ReadAt(buf, 0); n != len(buf) {
			b.Fatal(n)
		}
	}
}

// A page whose number no file has is a loss, and reading what is before it ends.
func TestPagesBeyond(t *testing.T) {
	n := nodes.Bundled(t)
	c := &Content{Size: 1 << 40, s: n.set, holes: true, swapped: []run{{first: 5, pages: 1}, {first: maxIndex - 1, pages: 1}}}
	b := make([]byte, 8<<12)
	if k, err := c.ReadAt(b, 1); k != 5<<12-1 || !errors.Is(err, ErrNotCached) {
		t.Errorf("%d bytes, %v", k, err)
	}
	if k, err := c.ReadAt(b, 6<<12); k != len(b) || err != nil {
		t.Errorf("%d bytes, %v", k, err)
	}
}
