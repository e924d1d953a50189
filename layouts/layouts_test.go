package layouts

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nodelens/nodelens/isf"
)

// TestKnown: what the package carries is what the names say, and has what to begin with.
func TestKnown(t *testing.T) {
	t.Parallel()
	all := Known().All()
	if len(all) < 6 {
		t.Fatalf("%d layouts", len(all))
	}
	for _, l := range all {
		f, err := l.File()
		if err != nil {
			t.Error(err)
			continue
		}
		if !strings.HasPrefix(f.Banner(), "Linux version "+l.Release+" ") || l.BuildID == "" {
			t.Errorf("%s has the banner %q", l.Name, f.Banner())
		}
		for _, path := range []string{"tasks.next", "pid", "comm", "real_parent", "mm", "cred", "nsproxy"} {
			if !f.HasField("task_struct", path) {
				t.Errorf("%s has no task_struct.%s", l.Name, path)
			}
		}
		for _, name := range []string{"init_task", "init_top_pgt", "page_offset_base", "__per_cpu_start"} {
			if _, err := f.Symbol(name); err != nil {
				t.Errorf("%s: %v", l.Name, err)
			}
		}
		if got := Known().ByBuildID(l.BuildID); len(got) != 1 || got[0] != l {
			t.Errorf("by the build id of %s: %v", l.Name, got)
		}
	}
	if Known().ByBuildID("") != nil {
		t.Error("layouts of no build id")
	}
}

func names(list []*Layout) []string {
	var names []string
	for _, l := range list {
		names = append(names, l.Release)
	}
	return names
}

func TestByRelease(t *testing.T) {
	var s Set
	for _, r := range []string{"5.10.0-32-amd64", "6.1.0-44-amd64", "6.1.0-56-cloud-amd64", "6.1.0-57-amd64", "6.1.0-9-cloud-amd64", "6.12.1-amd64", "custom"} {
		s.list = append(s.list, &Layout{Release: r})
	}
	want := []string{"6.1.0-57-amd64", "6.1.0-44-amd64", "6.1.0-56-cloud-amd64", "6.1.0-9-cloud-amd64"}
	if diff := cmp.Diff(want, names(s.ByRelease("6.1.0-55-amd64"))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := s.ByRelease("custom"); got != nil {
		t.Errorf("of a release without a version: %v", names(got))
	}
}

func TestDir(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	f, err := isf.New(isf.Contents{Bases: []isf.BaseType{{Name: "int", Size: 4, Kind: isf.BaseInt}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{FileName("00ff", "6.6.1+"), FileName("", "6.6.2_x"), "readme.txt", "xyz_6.6.3.isf.zst", "none_.isf.zst"} {
		if err := f.WriteFile(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, FileName("11", "6.6.4")), []byte("no ISF"), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := Dir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"6.6.1+", "6.6.4", "6.6.2_x"}, names(s.All())); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	l := s.ByBuildID("00ff")
	if len(l) != 1 || l[0].String() != "the known layout of 6.6.1+, build id 00ff" {
		t.Fatal(l)
	}
	if g, err := l[0].File(); err != nil || g.Banner() != "" {
		t.Error(err)
	}
	if _, err := s.ByBuildID("11")[0].File(); err == nil {
		t.Error("a file that is no ISF was read")
	}
	if none, err := Dir(filepath.Join(dir, "nothing")); err != nil || none.All() != nil {
		t.Error(none, err)
	}
	if got := Join(s, nil, Known()).All(); len(got) != 3+len(Known().All()) || got[0].Release != "6.6.1+" {
		t.Error(names(got))
	}
}

// TestExtract: a part has what was used, with all its members, and the size of what is in it.
func TestExtract(t *testing.T) {
	integer := &isf.Type{Kind: isf.KindBase, Name: "int"}
	structure := func(name string) *isf.Type { return &isf.Type{Kind: isf.KindStruct, Name: name} }
	f, err := isf.New(isf.Contents{
		Bases: []isf.BaseType{{Name: "int", Size: 4, Kind: isf.BaseInt}, {Name: "char", Size: 1, Kind: isf.BaseChar}},
		Types: []isf.UserType{
			{Name: "task", Kind: isf.KindStruct, Size: 32, Fields: []isf.Field{
				{Name: "pid", Type: integer}, {Type: structure("unnamed_1"), Offset: 4, Anonymous: true},
				{Name: "inner", Type: structure("inner"), Offset: 8},
				{Name: "far", Type: &isf.Type{Kind: isf.KindPointer, Elem: structure("far")}, Offset: 16},
			}},
			{Name: "unnamed_1", Kind: isf.KindStruct, Size: 4, Fields: []isf.Field{{Name: "flags", Type: integer}}},
			{Name: "inner", Kind: isf.KindStruct, Size: 8, Fields: []isf.Field{{Name: "x", Type: integer}}},
			{Name: "far", Kind: isf.KindStruct, Size: 8}, {Name: "unused", Kind: isf.KindStruct, Size: 8},
		},
		Symbols: []isf.Symbol{{Name: "init_task", Address: 1}, {Name: "unused", Address: 2}},
	})
	if err != nil {
		t.Fatal(err)
	}
	var u isf.Usage
	rec := f.Recorded(&u)
	rec.HasField("task", "pid")
	_, _ = rec.Symbol("init_task")
	small, err := Extract(f, &u)
	if err != nil {
		t.Fatal(err)
	}
	var types []string
	for u := range small.UserTypes() {
		types = append(types, u.Name)
	}
	if diff := cmp.Diff([]string{"inner", "task", "unnamed_1"}, types); diff != "" {
		t.Errorf("types (-want +got):\n%s", diff)
	}
	for path, want := range map[string]bool{"pid": true, "flags": true, "far": true, "inner": true, "inner.x": false} {
		if small.HasField("task", path) != want {
			t.Errorf("task.%s: %v", path, !want)
		}
	}
	if _, err := small.Symbol("unused"); err == nil {
		t.Error("a symbol that is not used was kept")
	}
}
