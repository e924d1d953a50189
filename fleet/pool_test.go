package fleet

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nodelens/nodelens/internal/alloctest"
	"github.com/nodelens/nodelens/internal/testimages"
	"github.com/nodelens/nodelens/internal/variednode"
)

// poolMain is a run of a manifest in a process of its own: dir has it, and gets the results.
func poolMain(dir string) int {
	os.Unsetenv(asPool)
	results, err := OpenResults(filepath.Join(dir, "results"))
	if err != nil {
		panic(err)
	}
	m, err := ReadManifest(filepath.Join(dir, "manifest.jsonl"))
	if err != nil {
		panic(err)
	}
	r := &Runner{
		Command: []string{"/usr/bin/env", asChild + "=1", os.Args[0]}, Analyser: testAnalyser(), Results: results, Parallel: 2,
		Limits:   Limits{Memory: testMemory(), Deadline: 2 * time.Minute},
		Progress: func(p Progress) { fmt.Fprintln(os.Stdout, p.Done) },
	}
	if _, err := r.Run(context.Background(), m); err != nil {
		panic(err)
	}
	return 0
}

// made is a fleet in a directory: images of nodes, and some that do harm to who analyses them.
type made struct {
	manifest Manifest
	nodes    map[string]variednode.Node // by URI
	harm     map[string]Cause
}

// makeFleet makes n nodes, and beside them an image for each way to break a child.
func makeFleet(t *testing.T, dir string, n int) made {
	t.Helper()
	img, err := testimages.BundledPacked()
	if err != nil {
		t.Fatal(err)
	}
	base, err := variednode.Open(img.Path, variednode.Hostname)
	if err != nil {
		t.Fatal(err)
	}
	f := made{nodes: map[string]variednode.Node{}, harm: map[string]Cause{}}
	for i := range n {
		node, err := base.Make(dir, i)
		if err != nil {
			t.Fatal(err)
		}
		f.nodes[node.Path] = node
		f.manifest = append(f.manifest, Item{URI: node.Path, Labels: map[string]string{"cluster": fmt.Sprint("c", i%2)}})
	}
	for name, what := range map[string]struct {
		content string
		cause   Cause
	}{"panic": {"do: panic", CausePanic}, "allocate": {"do: allocate", CauseMemory}, "hang": {"do: hang", CauseDeadline}, "text": {"no image", CausePoison}} {
		it := write(t, dir, name, what.content)
		f.harm[it.URI] = what.cause
		f.manifest = append(f.manifest, it)
	}
	return f
}

// without leaves out what has a cause.
func (f *made) without(cause Cause) {
	f.manifest = slices.DeleteFunc(f.manifest, func(it Item) bool { return f.harm[it.URI] == cause })
}

// A fleet of which some images are damaged, some hostile, and some break who analyses them: each has its result, those of the others are what was put into
// them, and a second run has nothing to do.
func TestRun(t *testing.T) {
	t.Parallel()
	n := 3
	if testimages.Thorough() {
		n = 46
	}
	f := makeFleet(t, t.TempDir(), n)
	if alloctest.Race || !testimages.Thorough() {
		f.without(CauseMemory) // the race detector's own memory is what runs out first
	}
	if !testimages.Thorough() {
		f.without(CauseDeadline) // which takes as long as an image may
	}
	r := testRunner(t, t.TempDir())
	r.Limits.Deadline = time.Minute // on a machine with much to do an image takes seconds
	told := map[int]bool{}
	r.Progress = func(p Progress) {
		if told[p.Index] = true; p.Done != len(told) || p.Of != len(f.manifest) || p.Had {
			t.Errorf("progress is %+v", p)
		}
	}
	sum, err := r.Run(t.Context(), f.manifest)
	if err != nil {
		t.Fatal(err)
	}
	if len(told) != len(f.manifest) || sum.Silent != 0 || sum.Items() != len(f.manifest) {
		t.Errorf("%d items were told of, summary is %v", len(told), sum)
	}
	again, entries, errs := Summarize(f.manifest, r.Results)
	if len(errs) != 0 || cmp.Diff(sum, again) != "" {
		t.Errorf("the results say %v, %v; the run said %v", again, errs, sum)
	}
	for _, e := range entries {
		f.check(t, e)
	}
	r.Progress = func(p Progress) {
		if !p.Had {
			t.Errorf("%s was analysed again: %+v", p.Result.Item.URI, p.Result.Failure)
		}
	}
	if second, err := r.Run(t.Context(), f.manifest); err != nil || cmp.Diff(sum, second) != "" {
		t.Errorf("the second run has %v, %v", second, err)
	}
}

// check holds a result against what was put into the image.
func (f *made) check(t *testing.T, e Entry) {
	t.Helper()
	if want, ok := f.harm[e.Item.URI]; ok {
		if e.Result.Failure == nil || e.Result.Failure.Cause != want {
			t.Errorf("%s: %+v, want %s", e.Item.URI, e.Result.Failure, want)
		}
		return
	}
	node := f.nodes[e.Item.URI]
	switch {
	case node.Kind == variednode.Damaged:
		if e.Result.Status == Whole {
			t.Errorf("%s is damaged, and whole", e.Item.URI)
		}
		return
	case e.Result.Status != Whole:
		t.Errorf("%s is %s: %+v", e.Item.URI, e.Result.Status, e.Result.Failure)
		return
	}
	_, report, _, err := Read(e.File)
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for _, p := range report.Processes {
		found = found || p.Comm == node.Process
	}
	if report.Hostname != node.Hostname || !found || e.Result.Node != Text(node.Hostname) || cmp.Diff(e.Item.Labels, e.Result.Item.Labels) != "" {
		t.Errorf("%s: host name %q, process found: %t, result %+v; want %+v", e.Item.URI, report.Hostname, found, e.Result, node)
	}
}

// A run that is killed leaves no children and no half results, and the next one goes on where it was.
func TestKilled(t *testing.T) {
	testimages.Long(t)
	t.Parallel()
	dir := t.TempDir()
	f := makeFleet(t, dir, 5)
	f.without(CauseDeadline)
	f.without(CauseMemory)
	m, err := os.Create(filepath.Join(dir, "manifest.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	if err := f.manifest.Write(m); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), asPool+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil { // the first image is done
		t.Error(err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil {
		t.Fatal("the run was done before it was killed")
	}

	r := testRunner(t, filepath.Join(dir, "results"))
	before, err := r.Results.Files()
	if err != nil || len(before) == 0 || len(before) == len(f.manifest) {
		t.Fatalf("results when it was killed: %d, %v", len(before), err)
	}
	had := 0
	r.Progress = func(p Progress) {
		if p.Had {
			had++
		}
	}
	sum, err := r.Run(t.Context(), f.manifest)
	if err != nil || sum.Silent != 0 || had < len(before) || sum.Items() != len(f.manifest) {
		t.Errorf("the second run: %v, %v; it had %d, and there were %d", sum, err, had, len(before))
	}
	_, entries, errs := Summarize(f.manifest, r.Results)
	for _, e := range entries {
		f.check(t, e)
	}
	if len(errs) != 0 {
		t.Error(errs)
	}
	orphans(t, dir)
}

// orphans fails t if a process works on an image in dir.
func orphans(t *testing.T, dir string) {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/map_files")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		maps, err := os.ReadFile(filepath.Join(filepath.Dir(name), "maps"))
		if err == nil && strings.Contains(string(maps), dir+"/node-") {
			t.Errorf("a process still has an image open: %s", name)
		}
	}
}
