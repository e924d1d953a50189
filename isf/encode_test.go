package isf

import (
	"bytes"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

// TestEncode compares what Encode writes with the file that was read, as encoding/json
// sees them.
func TestEncode(t *testing.T) {
	text := testdata(t, "6.2.0.json")
	var want, got any
	if err := json.Unmarshal(text, &want); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(encode(t, mustDecode(t, text)), &got); err != nil {
		t.Fatal(err)
	}
	equal(t, want, got)
}

// In whatever order a producer finds things, the bytes are the same.
func TestEncodeIsDeterministic(t *testing.T) {
	want := encode(t, file62(t))
	r := rand.New(rand.NewPCG(1, 2))
	for range 20 {
		c := contents(file62(t))
		for _, u := range c.Types {
			shuffle(r, u.Fields)
		}
		for _, e := range c.Enums {
			shuffle(r, e.Constants)
		}
		shuffle(r, c.Bases)
		shuffle(r, c.Types)
		shuffle(r, c.Symbols)
		f, err := New(c)
		if err != nil {
			t.Fatal(err)
		}
		if got := encode(t, f); !bytes.Equal(want, got) {
			t.Fatalf("got %s\nwant %s", got, want)
		}
	}
}

func shuffle[T any](r *rand.Rand, s []T) {
	r.Shuffle(len(s), func(i, j int) { s[i], s[j] = s[j], s[i] })
}

// What the schema does not have, Encode must not write.
func TestEncodeMetadata(t *testing.T) {
	for _, c := range []struct {
		metadata Metadata
		want     string
	}{
		{Metadata{Producer: Producer{Version: "1"}}, `{"format":"6.2.0"}`},
		{Metadata{Format: "2.0.0", Producer: Producer{Name: "p"}}, `{"format":"6.2.0","producer":{"name":"p","version":""}}`},
		{
			Metadata{Producer: Producer{Name: "p", Version: "1", Datetime: "2026-01-02T03:04:05Z"}},
			`{"format":"6.2.0","producer":{"name":"p","version":"1","datetime":"2026-01-02T03:04:05Z"}}`,
		},
		{Metadata{Symbols: []Source{{Kind: "btf", Name: "vmlinux"}}}, `{"format":"6.2.0"}`},
		{
			Metadata{
				Symbols: []Source{{Kind: "system-map", Name: "System.map"}, {Kind: "symtab", Name: "v", HashType: "md5", HashValue: "00"}},
				Types:   []Source{{Kind: "symdb"}, {Kind: "dwarf", Name: "v", HashType: "sha256", HashValue: "?"}, {Kind: "dwarf", Name: "v", HashType: "sha256", HashValue: "0aF"}},
			},
			`{"format":"6.2.0","linux":{"symbols":[{"kind":"system-map","name":"System.map"},{"kind":"symtab","name":"v"}],` +
				`"types":[{"kind":"dwarf","name":"v"},{"hash_type":"sha256","hash_value":"0aF","kind":"dwarf","name":"v"}]}}`,
		},
	} {
		f, err := New(Contents{Metadata: c.metadata})
		if err != nil {
			t.Fatal(err)
		}
		var sections map[string]json.RawMessage
		if err := json.Unmarshal(encode(t, f), &sections); err != nil {
			t.Fatal(err)
		}
		equal(t, c.want, string(sections["metadata"]))
	}
}

// Names hold any bytes, and come back as they were.
func TestEncodeNames(t *testing.T) {
	var all []byte
	for c := range 256 {
		all = append(all, byte(c))
	}
	names := []string{"", "plain", `"\/` + "\n\x7f", "é€😀", "\ufffd", "\xed\xa0\xbd\xed\xb8\x80", string(all), string(all) + "é"}
	var c Contents
	for i, name := range names {
		c.Symbols = append(c.Symbols, Symbol{Name: name, Address: uint64(i)})
	}
	f, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	text := encode(t, f)
	if !json.Valid(text) {
		t.Errorf("not valid: %s", text)
	}
	again := mustDecode(t, text)
	for i, name := range names {
		if s, err := again.Symbol(name); err != nil || s.Address != uint64(i) {
			t.Errorf("%q: %v, %v", name, s, err)
		}
	}
}

func TestEncodeWriteError(t *testing.T) {
	full := errors.New("disk full")
	if err := file62(t).Encode(failing{full}); !errors.Is(err, full) {
		t.Error(err)
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

func TestWriteFile(t *testing.T) {
	dir := t.TempDir()
	f := file62(t)
	plain := encode(t, f)
	for name, magic := range map[string]string{"a.json": "{", "a.json.xz": "\xfd7zXZ", "a.json.gz": "\x1f\x8b", "a.json.zst": "\x28\xb5\x2f\xfd"} {
		path := filepath.Join(dir, name)
		if err := f.WriteFile(path); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(path)
		if err != nil || !bytes.HasPrefix(b, []byte(magic)) {
			t.Errorf("%s: %v, begins with % x", name, err, b[:min(6, len(b))])
		}
		again, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(plain, encode(t, again)) {
			t.Errorf("%s: not what was written", name)
		}
	}
	if err := f.WriteFile(filepath.Join(dir, "absent", "a.json")); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

// What is there already keeps its name and its mode, a link stays one, a device is not
// replaced, and nothing else is left behind.
func TestWriteFileReplaces(t *testing.T) {
	dir := t.TempDir()
	f := file62(t)
	path := filepath.Join(dir, "a.json")
	if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "link.json")
	if err := os.Symlink("a.json", link); err != nil {
		t.Skip(err)
	}
	for _, name := range []string{link, os.DevNull} {
		if err := f.WriteFile(name); err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(b, encode(t, f)) {
		t.Errorf("%v; %d bytes that are not what was written", err, len(b))
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 && runtime.GOOS != "windows" {
		t.Errorf("%v, %v", info, err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 2 || entries[1].Type() != os.ModeSymlink {
		t.Errorf("%v, %v", entries, err)
	}
}

// A member that C calls as dwarf2json calls those without a name has one.
func TestEncodeNamedAsUnnamed(t *testing.T) {
	f, err := New(Contents{Types: []UserType{{Name: "u", Kind: KindStruct, Fields: []Field{
		{Name: "unnamed_field_7", Type: structure("v")},
		{Offset: 8, Type: structure("v"), Anonymous: true},
	}}}})
	if err != nil {
		t.Fatal(err)
	}
	equal(t, contents(f), contents(mustDecode(t, encode(t, f))))
}
