package fleet

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/nodelens/nodelens/cos"
	"github.com/nodelens/nodelens/findings"
)

// Of several results of an item the last counts; what is no result is told, and is no reason not to make one.
func TestLast(t *testing.T) {
	t.Parallel()
	results, err := OpenResults(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	it, by, start := Item{URI: "a"}, Analysis{Version: "1"}, time.Now()
	put := func(it Item, id Identity, by Analysis, age time.Duration) *Result {
		r := newResult(it, id, by, 1)
		r.Ended = start.Add(-age)
		report := &cos.NodeReport{}
		r.take(report, &findings.Result{})
		if err := results.write(r, report, &findings.Result{}); err != nil {
			t.Fatal(err)
		}
		return r
	}
	put(it, Identity{Size: 1}, by, time.Hour)
	want := put(it, Identity{Size: 2}, by, time.Minute)
	put(it, Identity{}, by, 0) // the image could not be reached
	put(it, Identity{Size: 2}, Analysis{Version: "0"}, time.Hour)
	other := put(Item{URI: "b"}, Identity{Size: 1}, by, 0)
	bad := filepath.Join(results.Dir(), fileName(Item{URI: "b"}, other.Key))
	if err := os.WriteFile(bad, []byte("cut off"), 0o600); err != nil {
		t.Fatal(err)
	}
	sum, entries, errs := Summarize(Manifest{it, {URI: "b"}}, results)
	if len(errs) != 1 || !errors.Is(errs[0], ErrResult) || sum.Silent != 1 || sum.Items() != 2 || entries[0].Result.Key != want.Key {
		t.Errorf("%v, %+v, %v", sum, entries, errs)
	}
	if r, err := results.have(Item{URI: "b"}, other.Key); r != nil || err != nil {
		t.Errorf("a damaged result is %v, %v", r, err)
	}
	if r, _, _, err := Read(filepath.Join(results.Dir(), fileName(it, want.Key))); err != nil || r.Key != want.Key || r.Status != Whole {
		t.Errorf("%+v, %v", r, err)
	}
}

// A file that is no result, whatever it is, is an error and costs little.
func TestReadRefused(t *testing.T) {
	t.Parallel()
	z, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{
		"empty": nil, "text": []byte("{}\n"), "schema": z.EncodeAll([]byte("{\"schema\":\"other\"}\n"), nil), "no line": z.EncodeAll([]byte("{}"), nil),
		"endless": z.EncodeAll(make([]byte, 64<<20), nil), "no report": z.EncodeAll([]byte(`{"schema":"`+Schema+`","status":"whole"}`+"\n"), nil),
	} {
		path := filepath.Join(t.TempDir(), "r")
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		if r, _, _, err := Read(path); err == nil || name != "text" && name != "empty" && !errors.Is(err, ErrResult) {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
}

// What workers leave behind that died is removed, but not what one still writes.
func TestOpenResults(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	old, young := filepath.Join(dir, tempStart+"1"), filepath.Join(dir, tempStart+"2")
	for _, name := range []string{old, young} {
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	then := time.Now().Add(-2 * staleTemp)
	if err := os.Chtimes(old, then, then); err != nil {
		t.Fatal(err)
	}
	results, err := OpenResults(dir)
	if err != nil {
		t.Fatal(err)
	}
	if files, err := results.Files(); err != nil || len(files) != 0 {
		t.Error(files, err)
	}
	if _, err := os.Stat(old); err == nil {
		t.Error("the old file is still there")
	}
	if _, err := os.Stat(young); err != nil {
		t.Error(err)
	}
}
