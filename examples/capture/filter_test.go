package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nodelens/nodelens/cos"
	"github.com/nodelens/nodelens/internal/testimages"
	"github.com/nodelens/nodelens/vmem"
)

// TestFilteredImages captures images of paused machines as if they were the machine, with
// all left out that the report does not need. What is left must give the same report.
// Without anonymous memory it may lack arguments and environments that a process keeps
// elsewhere than on its stack, and says so.
func TestFilteredImages(t *testing.T) {
	for _, img := range testimages.All(t) {
		t.Run(img.Name, func(t *testing.T) {
			if filepath.Ext(img.Path) != ".elf" || img.Truth == "" {
				t.Skip("no ELF core with what /proc said")
			}
			root := t.TempDir()
			iomem, err := os.ReadFile(filepath.Join(img.Truth, "proc", "iomem"))
			if err != nil {
				t.Fatal(err)
			}
			write(t, root, "proc/iomem", iomem)
			if err := os.Symlink(img.Path, filepath.Join(root, "proc", "kcore")); err != nil {
				t.Fatal(err)
			}
			want := report(t, img.Path)
			got, size := captureFiltered(t, root, "free,clean-files")
			if d := cmp.Diff(asJSON(t, want), asJSON(t, got)); d != "" {
				t.Errorf("report (-whole +filtered):\n%s", d)
			}
			got, smaller := captureFiltered(t, root, "free,clean-files,anon")
			if d := cmp.Diff(withoutLost(want, got.Gaps), withoutLost(got, got.Gaps)); d != "" {
				t.Errorf("processes (-whole +without anonymous memory):\n%s", d)
			}
			info, err := os.Stat(img.Path)
			if err != nil || smaller >= size || size >= info.Size() {
				t.Errorf("images of %d and %d bytes, whole one of %d: %v", smaller, size, info.Size(), err)
			}
		})
	}
}

// captureFiltered captures without some classes of pages, and returns what AnalyzeNode
// finds in the image and how long that is.
func captureFiltered(t *testing.T, root, leaveOut string) (*cos.NodeReport, int64) {
	t.Helper()
	out := filepath.Join(t.TempDir(), "filtered.lime")
	// QEMU's cores have memory besides RAM, which the manifest notes.
	runCapture(t, exitNotWhole, "-root", root, "-leave-out", leaveOut, "-o", out)
	info, err := os.Stat(out)
	if err != nil {
		t.Fatal(err)
	}
	r := report(t, out)
	if p := r.Provenance; p.SHA256From != cos.DigestOfManifest || p.CapturedFrom != cos.CapturedByManifest || time.Since(p.Captured) > time.Hour {
		t.Errorf("what the manifest says is not in the report: %+v", p)
	}
	return r, info.Size()
}

func report(t *testing.T, image string) *cos.NodeReport {
	t.Helper()
	r, err := cos.AnalyzeNode(context.Background(), cos.File(image), nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func asJSON(t *testing.T, r *cos.NodeReport) string {
	t.Helper()
	same := *r
	same.Provenance, same.Kernel.FoundBy = cos.Provenance{}, "" // of another file
	text, err := same.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// withoutLost returns the processes, without arguments and environments where gaps say that
// they were not captured.
func withoutLost(r *cos.NodeReport, gaps []vmem.Gap) []cos.Process {
	processes := slices.Clone(r.Processes)
	for i := range processes {
		p := &processes[i]
		name := fmt.Sprintf(" of task %d (", p.PID)
		for _, g := range gaps {
			if !errors.Is(g.Err, vmem.ErrNotCaptured) || !strings.Contains(g.Object, name) {
				continue
			}
			switch what, _, _ := strings.Cut(g.Object, name); what {
			case "args":
				p.Args, p.ArgSecrets = nil, nil
			case "env":
				p.Env, p.ArgSecrets = nil, nil
			}
		}
	}
	return processes
}
