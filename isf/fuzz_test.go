package isf

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"testing"
)

// fuzzLimit keeps what is packed tightly from taking all the time there is.
const fuzzLimit = 1 << 20

// FuzzDecode decodes anything, uses what comes out, and writes and reads it again.
func FuzzDecode(f *testing.F) {
	names, err := filepath.Glob("testdata/*.json*")
	if err != nil || len(names) == 0 {
		f.Fatal("no seeds", err)
	}
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	for _, c := range malformed {
		f.Add([]byte(`{"metadata":{"format":"6.2.0"},` + c.sections + `}`))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		x, err := decodeUpTo(bytes.NewReader(b), fuzzLimit)
		if (x == nil) != (err != nil) {
			t.Fatalf("file %v, error %v", x, err)
		}
		if err != nil {
			return
		}
		use(t, x)
		text := encode(t, x)
		again := mustDecode(t, text)
		want, got := contents(x), contents(again)
		want.Metadata, got.Metadata = Metadata{}, Metadata{} // of which Encode leaves some out
		if !reflect.DeepEqual(want, got) {                   //nolint:govet // databases hold no errors; much faster than Diff
			equal(t, want, got)
		}
		if !bytes.Equal(text, encode(t, again)) {
			t.Error("encoded again, it differs")
		}
	})
}

// use looks up all that f has.
func use(t *testing.T, f *File) {
	for u := range f.UserTypes() {
		for _, m := range u.Fields {
			_, _ = f.SizeOf(m.Type) // must return, with whatever result
			_ = m.Type.String()
			if _, err := f.FieldOf(u, m.Name+"[1].a.b"); err == nil && m.Name == "" {
				t.Error("a member without a name")
			}
			found, err := f.Field(u.Name, m.Name)
			if err == nil && found.Name != m.Name {
				t.Errorf("%s.%s: found %s", u.Name, m.Name, found.Name)
			}
		}
	}
	for s := range f.Symbols() {
		if found, err := f.Symbol(s.Name); err != nil || found != s {
			t.Errorf("symbol %q: %v", s.Name, err)
		}
	}
	for e := range f.Enums() {
		for _, c := range e.Constants {
			if v, err := f.Constant(e.Name, c.Name); err != nil || v != c.Value {
				t.Errorf("constant %q: %v", c.Name, err)
			}
		}
	}
	for _, m := range f.Malformed() {
		_ = m.Error()
	}
	if err := f.Encode(io.Discard); err != nil {
		t.Error(err)
	}
}
