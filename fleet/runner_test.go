package fleet

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nodelens/nodelens/cos"
	"github.com/nodelens/nodelens/findings"
	"github.com/nodelens/nodelens/internal/alloctest"
	"github.com/nodelens/nodelens/internal/testimages"
)

// One child, one image, one result: the same report as without.
func TestWhole(t *testing.T) {
	t.Parallel()
	r, it := testRunner(t, t.TempDir()), bundled(t)
	got, had, err := r.Do(t.Context(), it)
	if err != nil {
		t.Fatal(err)
	}
	want, err := cos.AnalyzeNode(t.Context(), cos.File(it.URI), nil)
	if err != nil {
		t.Fatal(err)
	}
	if got.Status != Whole || had || got.Exit() != ExitWhole || got.Node != want.Hostname || !got.Captured.Equal(want.Provenance.Captured) || got.Attempts != 1 {
		t.Errorf("result is %+v, of %s", got, want.Hostname)
	}
	if got.Usage.CPU <= 0 || got.Usage.PeakBytes < 10<<20 {
		t.Errorf("usage is %+v", got.Usage)
	}
	files, err := r.Results.Files()
	if err != nil || len(files) != 1 {
		t.Fatalf("files are %v, %v", files, err)
	}
	head, report, found, err := Read(files[0])
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(got, head); d != "" {
		t.Errorf("head (-returned +read):\n%s", d)
	}
	if d := cmp.Diff(inJSON(t, want), inJSON(t, report)); d != "" {
		t.Errorf("report (-alone +child):\n%s", d)
	}
	rules, err := findings.Run(t.Context(), findings.NewNode(want, nil), nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(found.Findings) == 0 || len(found.Findings) < len(rules.Findings) {
		t.Errorf("%d findings, of the report alone %d", len(found.Findings), len(rules.Findings))
	}

	before, err := os.Stat(files[0])
	if err != nil {
		t.Fatal(err)
	}
	again, had, err := r.Do(t.Context(), it)
	after, statErr := os.Stat(files[0])
	if err != nil || statErr != nil || !had || !os.SameFile(before, after) || cmp.Diff(got, again) != "" {
		t.Errorf("the second time it is %+v, had: %t, %v", again, had, err)
	}
	r.Analyser.Settings = "others"
	if _, had, err := r.Do(t.Context(), it); err != nil || had {
		t.Errorf("with other settings there was a result: %t, %v", had, err)
	}
}

// inJSON returns a report without what says by which program it was made.
func inJSON(t *testing.T, r *cos.NodeReport) string {
	t.Helper()
	c := *r
	c.Provenance.Tool, c.Provenance.Version = "", ""
	b, err := c.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// Whatever goes wrong in a child is the result of its image, and of no other.
func TestFailures(t *testing.T) {
	t.Parallel()
	for what, want := range map[string]struct {
		content, reason string
		cause           Cause
		attempts, exit  int
	}{
		"panic":    {"do: panic", `the analyser crashed: panic: \x1b[31mof this image`, CausePanic, 1, ExitPoison},
		"allocate": {"do: allocate", "it needs more memory than 512 MiB", CauseMemory, 1, ExitPoison},
		"hang":     {"do: hang", "it was not done in 1s", CauseDeadline, 1, ExitPoison},
		"spin":     {"do: spin", "it took all of 1s of CPU time", CauseCPU, 1, ExitPoison},
		"kill":     {"do: kill", "the analyser was ended by the signal killed", CauseKilled, 3, ExitTryAgain},
		"flaky":    {"do: flaky", "", CausePoison, 3, ExitPoison},
		"error":    {"do: nothing", "never", CauseError, 3, ExitTryAgain},
		"picture":  {"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + strings.Repeat("x", 8192), "a PNG picture", CausePoison, 1, ExitPoison},
		"empty":    {"", "", CausePoison, 1, ExitPoison},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			if what == "allocate" && alloctest.Race {
				t.Skip("the race detector's own memory is what runs out first")
			}
			r := testRunner(t, t.TempDir())
			switch what {
			case "allocate":
				r.Limits.Memory = 512 << 20
			case "hang":
				r.Limits.Deadline = time.Second
			case "spin":
				r.Limits.CPU = time.Second
			}
			it := write(t, t.TempDir(), what, want.content)
			got, _, err := r.Do(t.Context(), it)
			if err != nil {
				t.Fatal(err)
			}
			f := got.Failure
			if got.Status != Failed || f == nil || f.Cause != want.cause || !strings.Contains(f.Reason, want.reason) || got.Attempts != want.attempts || got.Exit() != want.exit {
				t.Fatalf("result is %+v, %+v", got, f)
			}
			if strings.ContainsRune(f.Stderr+f.Reason, '\x1b') {
				t.Errorf("escapes of terminals are in %q", f.Stderr)
			}
			if what != "hang" && what != "spin" && what != "kill" && what != "flaky" && f.Stderr == "" {
				t.Error("nothing of what the child said")
			}
			head := onlyHead(t, r.Results)
			if d := cmp.Diff(got, head); d != "" {
				t.Errorf("(-returned +written):\n%s", d)
			}
			again, had, err := r.Do(t.Context(), it)
			if err != nil || had != f.Cause.Final() {
				t.Errorf("the next run has %+v, had: %t, %v", again, had, err)
			}
			if !f.Cause.Final() && again.Attempts != 2*want.attempts {
				t.Errorf("%d attempts in two runs", again.Attempts)
			}
		})
	}
}

// onlyHead returns the only result.
func onlyHead(t *testing.T, results *Results) *Result {
	t.Helper()
	files, err := results.Files()
	if err != nil || len(files) != 1 {
		t.Fatalf("results are %v, %v", files, err)
	}
	head, err := ReadHead(files[0])
	if err != nil {
		t.Fatal(err)
	}
	return head
}

// What a child started is ended with it.
func TestGroup(t *testing.T) {
	t.Parallel()
	r := testRunner(t, t.TempDir())
	r.Limits.Deadline = 2 * time.Second
	it := write(t, t.TempDir(), "grandchild", "do: grandchild")
	if _, _, err := r.Do(t.Context(), it); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(it.URI + ".json")
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(string(text))
	if err != nil {
		t.Fatal(err)
	}
	for range 200 {
		stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
		if errors.Is(err, fs.ErrNotExist) || err == nil && strings.Contains(string(stat), ") Z ") {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Errorf("process %d is still there", pid)
}

func TestNoChild(t *testing.T) {
	t.Parallel()
	r := testRunner(t, t.TempDir())
	r.Command = []string{filepath.Join(t.TempDir(), "none")}
	if _, _, err := r.Do(t.Context(), bundled(t)); !errors.Is(err, ErrChild) {
		t.Errorf("without a program: %v", err)
	}
	if _, err := r.Run(t.Context(), Manifest{bundled(t)}); !errors.Is(err, ErrChild) {
		t.Errorf("without a program the run has %v", err)
	}
	r = testRunner(t, t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := r.Do(ctx, bundled(t)); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
	if files, err := r.Results.Files(); err != nil || len(files) != 0 {
		t.Errorf("what was canceled has results: %v, %v", files, err)
	}
}

// An image that was replaced, or is not there any more, is another one; failures are tried again where that is asked for.
func TestReplaced(t *testing.T) {
	testimages.Long(t)
	t.Parallel()
	r, dir := testRunner(t, t.TempDir()), t.TempDir()
	it := write(t, dir, "image", "do: panic")
	first, _, err := r.Do(t.Context(), it)
	if err != nil {
		t.Fatal(err)
	}
	write(t, dir, "image", "neither memory")
	second, had, err := r.Do(t.Context(), it)
	if err != nil || had || second.Digest == first.Digest || second.Failure.Cause != CausePoison {
		t.Errorf("after the file was replaced: %+v, had: %t, %v", second, had, err)
	}
	r.RetryFailed = true
	if _, had, err := r.Do(t.Context(), it); err != nil || had {
		t.Errorf("had: %t, %v", had, err)
	}
	if err := os.Remove(it.URI); err != nil {
		t.Fatal(err)
	}
	gone, _, err := r.Do(t.Context(), it)
	if err != nil || gone.Image.Known() || gone.Failure.Cause != CauseError || !strings.Contains(gone.Failure.Reason, "no such file") {
		t.Errorf("without the file: %+v, %+v, %v", gone, gone.Failure, err)
	}
	sum, entries, errs := Summarize(Manifest{it, {URI: "silent"}}, r.Results)
	if len(errs) != 0 || sum.Failed != 1 || sum.Silent != 1 || sum.Items() != 2 || sum.Exit() != ExitNotWhole || entries[0].Result.Key != second.Key || entries[1].Result != nil {
		t.Errorf("summary is %v, %+v, %v", sum, entries, errs)
	}
}
