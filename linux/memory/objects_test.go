package memory

import (
	"debug/elf"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/nodelens/nodelens/linux"
)

// mappedCode returns the files that are mapped with code, by /proc/PID/maps.
func mappedCode(maps string) (files []string) {
	for line := range strings.Lines(maps) {
		m := mapsLine.FindStringSubmatch(strings.TrimSuffix(line, "\n"))
		if m != nil && m[3][2] == 'x' && strings.HasPrefix(m[6], "/") && !strings.HasPrefix(m[6], "/memfd:") {
			files = append(files, m[6])
		}
	}
	slices.Sort(files)
	return slices.Compact(files)
}

// TestObjects: the linker's list has the program and all libraries that /proc/PID/maps has with code, and nothing else. One library has one build ID in all
// processes, which is that of its file where the truth has it.
func TestObjects(t *testing.T) {
	t.Parallel()
	nodes.Each(t, func(t *testing.T, n *node) {
		linked, static := 0, 0
		ids := map[string]string{}
		for _, p := range n.Tasks {
			maps, ok := n.Read(t, "pid", fmt.Sprint(p.PID), "maps")
			if !ok || maps == "" || moved(p) {
				continue
			}
			got, gaps, err := n.r.Objects(t.Context(), p)
			if errors.Is(err, linux.ErrNone) {
				continue
			}
			if err != nil {
				n.Lost(t, err)
				continue
			}
			if len(gaps) > 0 { // a page that the process needs no more can have been taken away
				t.Logf("%v: %v", p, gaps)
				continue
			}
			if !got.Linked {
				static++
				continue
			}
			linked++
			var listed []string
			for i := range got.All {
				x := &got.All[i]
				if x.Path == "[vdso]" || x.Name == "linux-vdso.so.1" {
					continue
				}
				if !x.Listed || x.Base == 0 {
					t.Errorf("%v: %v", p, x)
				}
				listed = append(listed, x.Path)
				if old := ids[x.Path]; old != "" && x.BuildID != "" && old != x.BuildID {
					t.Errorf("%v: %v, elsewhere %s", p, x, old)
				}
				if x.BuildID != "" {
					ids[x.Path] = x.BuildID
				}
			}
			slices.Sort(listed)
			if diff := gocmp.Diff(mappedCode(strings.ReplaceAll(maps, `\012`, "\n")), listed); diff != "" {
				t.Errorf("%v (-maps +listed):\n%s", p, diff)
			}
		}
		compareIDs(t, n, ids)
		t.Logf("%d linked, %d static, %d build IDs", linked, static, len(ids))
		if linked < 3 || len(ids) == 0 {
			t.Errorf("only %d with %d build IDs", linked, len(ids))
		}
	})
}

// compareIDs compares build IDs with those of the files that the truth has.
func compareIDs(t *testing.T, n *node, ids map[string]string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(n.Truth, "task", "mapped", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		f, err := elf.Open(name)
		if err != nil {
			continue // no ELF file
		}
		var want string
		if s := f.Section(".note.gnu.build-id"); s != nil {
			if b, err := s.Data(); err == nil && len(b) > 16 {
				want = fmt.Sprintf("%x", b[16:])
			}
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		for path, id := range ids {
			if filepath.Base(path) == filepath.Base(name) && want != "" && id != want {
				t.Errorf("%s: build ID %s, its file has %s", path, id, want)
			}
		}
	}
}
