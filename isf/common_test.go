package isf

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// testdata returns a file of testdata.
func testdata(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// mustDecode decodes what nothing is wrong with.
func mustDecode(t testing.TB, text []byte) *File {
	t.Helper()
	f, err := Decode(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	if len(f.Malformed()) > 0 {
		t.Fatalf("malformed: %v", f.Malformed())
	}
	return f
}

// file62 returns the database of testdata/6.2.0.json.
func file62(t testing.TB) *File { return mustDecode(t, testdata(t, "6.2.0.json")) }

// file decodes sections, to which it adds the metadata.
func file(t testing.TB, sections string) *File {
	t.Helper()
	f, err := Decode(strings.NewReader(`{"metadata":{"format":"6.2.0"},` + sections + `}`))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// contents returns all that f holds.
func contents(f *File) Contents {
	return Contents{Metadata: f.metadata, Bases: f.bases, Types: f.types, Enums: f.enums, Symbols: f.symbols}
}

func encode(t testing.TB, f *File) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := f.Encode(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// equal compares whole values.
func equal(t testing.TB, want, got any) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func base(name string) *Type { return &Type{Kind: KindBase, Name: name} }

func pointer(elem *Type) *Type { return &Type{Kind: KindPointer, Elem: elem} }

func structure(name string) *Type { return &Type{Kind: KindStruct, Name: name} }

func array(n uint64, elem *Type) *Type { return &Type{Kind: KindArray, Count: n, Elem: elem} }

func bitfield(position, length uint8, elem *Type) *Type {
	return &Type{Kind: KindBitfield, BitPosition: position, BitLength: length, Elem: elem}
}

var voidType = &Type{}
