package cos

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
)

// Deleted files that processes of pods have open are those of /proc, and are the pods'; each file system that process 1 has mounted
// is among the file systems.
func TestFilesOfBundledNode(t *testing.T) {
	n := bundledNode(t)
	r, err := n.Report(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	f, gaps, err := n.Files(t.Context())
	if err != nil || len(gaps) > 0 {
		t.Fatal(gaps, err)
	}
	mounts, err := os.ReadFile(filepath.Join(bundled(t).Truth, "pid/1/mountinfo"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(mounts)) {
		fields := strings.Fields(line)
		kind := fields[slices.Index(fields, "-")+1]
		if !slices.ContainsFunc(f.FileSystems, func(s FileSystem) bool { return s.Device.String() == fields[2] && s.FSType == kind && s.Inodes > 0 }) {
			t.Errorf("no %s %s", kind, fields[2])
		}
	}
	var got, want []string
	for _, file := range f.Nameless {
		for _, h := range file.Holders {
			if h.How == "fd" && file.PodUID != "" {
				got = append(got, fmt.Sprintf("%d %d %s %s", h.PID, h.FD, file.Path, file.ContainerID))
			}
		}
		if file.IsRegular() && file.Size > 0 && len(file.Cached)+len(file.Missing) == 0 && file.FSType != "tmpfs" {
			t.Errorf("%s is nowhere", file.Path)
		}
	}
	for _, p := range r.Processes {
		for _, fd := range p.FDs {
			if p.PodUID != "" && strings.HasSuffix(fd.Path, " (deleted)") {
				want = append(want, fmt.Sprintf("%d %d %s %s", p.PID, fd.FD, fd.Path, p.ContainerID))
			}
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if diff := gocmp.Diff(want, got); diff != "" || len(want) == 0 {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
