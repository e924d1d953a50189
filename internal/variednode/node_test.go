package variednode

import (
	"os"
	"testing"

	"github.com/nodelens/nodelens/cos"
	"github.com/nodelens/nodelens/internal/testimages"
)

// What is read of images is what was put into them.
func TestMake(t *testing.T) {
	t.Parallel()
	base := open(t)
	dir := t.TempDir()
	kinds := map[Kind]int{}
	all := []int{0, 3, 7}
	if testimages.Thorough() {
		all = []int{0, 1, 3, 7, 13}
	}
	for _, i := range all {
		n, err := base.Make(dir, i)
		if err != nil {
			t.Fatal(err)
		}
		kinds[n.Kind]++
		st, err := os.Stat(n.Path)
		if err != nil || st.Size() > int64(len(base.file))*5/4 {
			t.Errorf("%s takes %d bytes of the disk, the base %d: %v", n.Path, st.Size(), len(base.file), err)
		}
		r, err := cos.AnalyzeNode(t.Context(), cos.File(n.Path), nil)
		if err != nil {
			if n.Kind != Damaged {
				t.Errorf("%d: %v", i, err)
			}
			continue
		}
		if r.Whole() == (n.Kind == Damaged) {
			t.Errorf("%d is %s, and whole: %t: %v", i, n.Kind, r.Whole(), r.Gaps)
		}
		if n.Kind == Damaged {
			continue
		}
		named := 0
		for _, p := range r.Processes {
			if p.Comm == n.Process {
				named++
			}
			if p.Comm == Process {
				t.Errorf("%d: process %d is still called %s", i, p.PID, p.Comm)
			}
		}
		if r.Hostname != n.Hostname || named != 1 {
			t.Errorf("%d: host name %q, %d processes %q; want %q", i, r.Hostname, named, n.Process, n.Hostname)
		}
	}
	if kinds[Sound] == 0 || kinds[Damaged] == 0 || kinds[Hostile] == 0 {
		t.Errorf("kinds are %v", kinds)
	}
}

// open returns the bundled node.
func open(t *testing.T) *Base {
	t.Helper()
	img, err := testimages.BundledPacked()
	if err != nil {
		t.Fatal(err)
	}
	base, err := Open(img.Path, Hostname)
	if err != nil {
		t.Fatal(err)
	}
	return base
}

func TestOpen(t *testing.T) {
	t.Parallel()
	if _, err := Open("doc.go", "host"); err == nil {
		t.Error("a text was taken for an image")
	}
	img, err := testimages.BundledPacked()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(img.Path, "not its name"); err == nil {
		t.Error("a host name was found that is not there")
	}
}
