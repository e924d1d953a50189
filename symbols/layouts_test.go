package symbols

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nodelens/nodelens/internal/symboltest"
	"github.com/nodelens/nodelens/layouts"
)

// TestNotWhole: symbols of the store come before those that the image has in part, and after
// those that it has whole.
func TestNotWhole(t *testing.T) {
	k := symboltest.Running
	store := NewStore(t.TempDir())
	whole := &Found{File: k.Symbols(t), From: "the image"}
	part := &Found{File: whole.File.WithLost(errors.New("a page of types")), From: "the image"}
	ask := func(own *Found) *Found {
		t.Helper()
		s := &search{opts: Options{Store: store}, kernel: Identify(k.Memory(), nil)}
		found, err := s.wholeOr(t.Context(), own)
		if err != nil {
			t.Fatal(err)
		}
		found.Tried = s.tried
		return found
	}
	if got := ask(part); got != part || len(got.Tried) > 0 {
		t.Errorf("the store is empty: %v", got)
	}
	if _, err := store.Put(whole.File, k.BuildID); err != nil {
		t.Fatal(err)
	}
	if got := ask(whole); got != whole {
		t.Errorf("the image's own are whole: %v", got)
	}
	got := ask(part)
	if !strings.HasPrefix(got.String(), "store "+store.Dir()) || !strings.HasSuffix(got.String(), "(refused: the image: not whole: 1 losses, such as a page of types)") {
		t.Errorf("the store has them: %v", got)
	}
}

// TestHasLayout: where nothing has symbols, but there is a layout of the kernel, the image is to
// give what it has.
func TestHasLayout(t *testing.T) {
	k := symboltest.Running
	for name, test := range map[string]struct {
		file string
		want bool
	}{
		"the build":         {layouts.FileName(k.BuildID, "renamed"), true},
		"the release":       {layouts.FileName("", k.Release), true},
		"another kernel's":  {layouts.FileName(symboltest.Older.BuildID, symboltest.Older.Release), false},
		"longer, same head": {layouts.FileName("", k.Release+"x"), false},
	} {
		dir := t.TempDir()
		if err := k.Symbols(t).WriteFile(filepath.Join(dir, test.file)); err != nil {
			t.Fatal(err)
		}
		set, err := layouts.Dir(dir)
		if err != nil {
			t.Fatal(err)
		}
		f, _, err := (&Options{Layouts: set}).Symbols(t.Context(), k.Memory())
		_, missing := errors.AsType[*NotFoundError](err)
		if f != nil || missing == test.want || (err == nil) != test.want {
			t.Errorf("%s: %v, %v", name, f, err)
		}
	}
}

// TestRead reads the symbols of a file for themselves, without an image.
func TestRead(t *testing.T) {
	k := symboltest.Running
	name := filepath.Join(t.TempDir(), "kernel.isf.json")
	if err := k.Symbols(t).WriteFile(name); err != nil {
		t.Fatal(err)
	}
	f, id, err := Read(t.Context(), name, nil)
	if err != nil || id != "" || !strings.HasPrefix(f.Banner(), k.Banner()) {
		t.Errorf("%v, %q, %v", f, id, err)
	}
	if _, _, err := Read(t.Context(), filepath.Dir(name), nil); !errors.Is(err, errDirectory) {
		t.Error(err)
	}
}
