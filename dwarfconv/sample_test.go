package dwarfconv

import (
	"context"
	"debug/elf"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"

	"github.com/nodelens/nodelens/isf"
)

// A sample is one of the files in testdata, which README.md there explains.
type sample struct {
	name  string
	clang bool // which names base types and static variables differently
	big   bool // big-endian
}

var samples = []sample{
	{name: "gcc2.elf"},
	{name: "gcc4.elf"},
	{name: "gcc5.elf"},
	{name: "gcc4.ko"},
	{name: "gcc5.ko"},
	{name: "gcc5-64bit.elf"},
	{name: "gcc5-zlib.elf"},
	{name: "gcc5-zlib-gnu.elf"},
	{name: "gcc5-zstd.elf"},
	{name: "gcc4-dwz.elf"},
	{name: "gcc5-dwz.elf"},
	{name: "types4.elf"},
	{name: "types5.elf"},
	{name: "types4.ko"},
	{name: "types5.ko"},
	{name: "clang4.elf", clang: true},
	{name: "clang5.elf", clang: true},
	{name: "clang4.ko", clang: true},
	{name: "clang5.ko", clang: true},
	{name: "clang5-zlib.ko", clang: true},
	{name: "arm64-clang5.ko", clang: true},
	{name: "s390x-gcc3.elf", big: true},
	{name: "s390x-gcc5.elf", big: true},
	{name: "s390x-gcc5.ko", big: true},
}

// sampleNames returns the names of all files in testdata.
func sampleNames(t testing.TB) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", "*.zst"))
	if err != nil || len(files) == 0 {
		t.Fatal("no samples", err)
	}
	for i, f := range files {
		files[i] = strings.TrimSuffix(filepath.Base(f), ".zst")
	}
	return files
}

// unpacked returns the bytes of a file in testdata.
func unpacked(t testing.TB, name string) []byte {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", name+".zst"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := zstd.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	b, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// convertSample converts a file in testdata, and fails t if any of it is lost.
func convertSample(t testing.TB, name string) *isf.File {
	t.Helper()
	opts := &Options{Warn: func(err error) { t.Errorf("%s: %v", name, err) }}
	f, err := ConvertFile(context.Background(), filepath.Join("testdata", name+".zst"), opts)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// A printer writes types in a notation close to Go's. Types without a name are
// written out, for their names depend on those of base types.
type printer struct {
	file *isf.File
}

func (p printer) typ(t *isf.Type) string {
	if t == nil {
		return "?"
	}
	switch t.Kind {
	case isf.KindPointer:
		return "*" + p.typ(t.Elem)
	case isf.KindArray:
		return fmt.Sprintf("[%d]%s", t.Count, p.typ(t.Elem))
	case isf.KindFunction:
		return "func"
	case isf.KindBitfield:
		return fmt.Sprintf("%s:%d@%d", p.typ(t.Elem), t.BitLength, t.BitPosition)
	case isf.KindVoid:
		return "void"
	case isf.KindBase:
		return gccName(t.Name)
	case isf.KindEnum:
		if e, err := p.file.Enum(t.Name); err == nil && strings.HasPrefix(t.Name, "unnamed_") {
			return "enum " + p.enum(e)
		}
		return "enum " + t.Name
	}
	if u, err := p.file.UserType(t.Name); err == nil && strings.HasPrefix(t.Name, "unnamed_") {
		return kindNames[t.Kind] + " " + p.user(u)
	}
	return kindNames[t.Kind] + " " + t.Name
}

func (p printer) user(u *isf.UserType) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d {", u.Size)
	for _, f := range u.Fields {
		name := f.Name
		if f.Anonymous {
			name += "!"
		}
		fmt.Fprintf(&b, " %d %s %s;", f.Offset, name, p.typ(f.Type))
	}
	return b.String() + " }"
}

func (p printer) enum(e *isf.Enum) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d %s {", e.Size, gccName(e.Base))
	for _, c := range e.Constants {
		fmt.Fprintf(&b, " %s=%d", c.Name, c.Value)
	}
	return b.String() + " }"
}

// types returns a line for each named type, sorted.
func (p printer) types() []string {
	var lines []string
	for u := range p.file.UserTypes() {
		if !strings.HasPrefix(u.Name, "unnamed_") {
			lines = append(lines, fmt.Sprintf("%s %s %s", kindNames[u.Kind], u.Name, p.user(u)))
		}
	}
	for e := range p.file.Enums() {
		if !strings.HasPrefix(e.Name, "unnamed_") {
			lines = append(lines, fmt.Sprintf("enum %s %s", e.Name, p.enum(e)))
		}
	}
	slices.Sort(lines)
	return lines
}

func (p printer) bases() []string {
	var lines []string
	for b := range p.file.BaseTypes() {
		if b.Name == "__ARRAY_SIZE_TYPE__" { // clang's, of subscripts
			continue
		}
		sign := "unsigned"
		if b.Signed {
			sign = "signed"
		}
		order := "little"
		if b.BigEndian {
			order = "big"
		}
		lines = append(lines, fmt.Sprintf("%s %d %s %s %s", gccName(b.Name), b.Size, b.Kind, sign, order))
	}
	slices.Sort(lines)
	return lines
}

// gccName returns what gcc calls the base type that clang calls by name.
func gccName(name string) string {
	switch name {
	case "long":
		return "long int"
	case "short":
		return "short int"
	case "unsigned long":
		return "long unsigned int"
	case "unsigned long long":
		return "long long unsigned int"
	}
	return name
}

// The types of testdata/common.h as the ABI of x86-64, arm64 and s390x lays them
// out (System V ABI, "Data Representation").
var commonTypes = []string{
	"enum color 4 int { BLUE=-1 RED=0 GREEN=5 }",
	"struct atomic_t 4 { 0 counter int; }",
	"struct bits 8 { 0 a unsigned int:3@0; 0 b unsigned int:5@3; 1 c long unsigned int:40@0; 6 d int:4@0; 6 e _Bool:1@4; 7 tail unsigned char; }",
	"struct disputed 8 { 0 first int; 4 second int; }",
	"struct empty 0 { }",
	"struct flexible 8 { 0 count int; 8 items [0]struct list_head; }",
	"struct inside 16 { 0 depth int; 8 where *unsigned char; }",
	"struct list_head 16 { 0 next *struct list_head; 8 prev *struct list_head; }",
	"struct list_t 16 { 0 next *struct list_head; 8 prev *struct list_head; }",
	"struct outer 192 { 0 unnamed_field_0! union 4 { 0 unnamed_field_0! struct 4 { 0 low short int; 2 high short int; }; 0 x int; };" +
		" 4 inner struct 16 { 0 name [16]char; }; 20 matrix [2][3]int; 48 call *func; 56 color enum color;" +
		" 60 choice enum 4 unsigned int { NONE=0 SOME=3 }; 64 text *char; 72 single float; 80 real double; 88 users struct atomic_t;" +
		" 96 list struct list_t; 112 dma long long unsigned int; 120 opaque *struct opaque; 128 any *void; 136 bits struct bits;" +
		" 144 word union word; 152 flag _Bool; 153 small signed char; 160 table [4]**short int; }",
	"struct packed 13 { 0 first unsigned char; 1 second long long unsigned int; 9 high unsigned int:24@0; 12 rest unsigned int:8@0; }",
	"union word 8 { 0 all long long unsigned int; 0 bytes [8]unsigned char; }",
}

// The two with bit fields on a big-endian machine, where those fill a storage unit
// from its most significant bit on.
var bigEndianTypes = map[string]string{
	"struct bits ":   "struct bits 8 { 0 c long unsigned int:40@16; 0 b unsigned int:5@24; 0 a unsigned int:3@29; 4 d int:4@12; 6 e _Bool:1@3; 7 tail unsigned char; }",
	"struct packed ": "struct packed 13 { 0 first unsigned char; 1 second long long unsigned int; 8 high unsigned int:24@0; 12 rest unsigned int:8@24; }",
}

func (s sample) wantTypes() []string {
	want := slices.Clone(commonTypes)
	if !s.big {
		return want
	}
	for prefix, line := range bigEndianTypes {
		i := slices.IndexFunc(want, func(l string) bool { return strings.HasPrefix(l, prefix) })
		want[i] = line
	}
	return want
}

func (s sample) wantBases() []string {
	char := "signed"
	if s.big || strings.HasPrefix(s.name, "arm64") { // their ABIs have it unsigned
		char = "unsigned"
	}
	order := "little"
	if s.big {
		order = "big"
	}
	want := []string{
		"_Bool 1 bool unsigned ", "char 1 char " + char + " ", "double 8 float signed ", "float 4 float signed ", "int 4 int signed ",
		"long int 8 int signed ", "long long unsigned int 8 int unsigned ", "long unsigned int 8 int unsigned ", "pointer 8 int unsigned ",
		"short int 2 int signed ", "signed char 1 char signed ", "unsigned char 1 char unsigned ", "unsigned int 4 int unsigned ",
		"void 0 void unsigned ",
	}
	for i := range want {
		want[i] += order
	}
	return want
}

// wantSymbols returns the types of the symbols that C knows of. gcc gives no type
// to outside in assembly but says how it is declared; clang says neither.
func (s sample) wantSymbols() map[string]string {
	want := map[string]string{
		"again": "func", "alias": "long long unsigned int", "bits": "func", "calls.0": "[2]char", "empty": "struct empty", "enter": "func",
		"flexible": "*struct flexible", "init_outer": "struct outer", "linux_banner": "[46]char", "modinfo": "[12]char", "one": "struct disputed",
		"outside": "struct outer", "packed": "struct packed", "private": "int", "second": "func", "seldom": "_Bool", "three": "struct disputed",
		"total": "long long unsigned int", "touch": "func", "twin": "[3]long int", "two": "struct disputed", "words": "*union word",
	}
	if s.clang {
		want["alias"], want["outside"], want["seldom"] = "?", "?", "_Bool"
		delete(want, "calls.0")
		want["touch.calls"] = "int"
		want["again.calls.0"] = "?" // the one element that is used
	}
	return want
}

// inC reports whether C knows of a symbol: not of the linker's, nor of labels.
func inC(name string) bool {
	return !strings.HasPrefix(name, "_") && !strings.HasPrefix(name, ".") && !strings.HasPrefix(name, "$")
}

func TestSamples(t *testing.T) {
	for _, s := range samples {
		t.Run(s.name, func(t *testing.T) {
			f := convertSample(t, s.name)
			p := printer{f}
			if diff := cmp.Diff(s.wantTypes(), p.types()); diff != "" {
				t.Errorf("types (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(s.wantBases(), p.bases()); diff != "" {
				t.Errorf("base types (-want +got):\n%s", diff)
			}
			got := map[string]string{}
			for sym := range f.Symbols() {
				if inC(sym.Name) {
					got[sym.Name] = p.typ(sym.Type)
				}
			}
			if diff := cmp.Diff(s.wantSymbols(), got); diff != "" {
				t.Errorf("symbols (-want +got):\n%s", diff)
			}
			const banner = "Linux version 0.0.0-test (nobody@nowhere) #1\n"
			if f.Banner() != banner {
				t.Errorf("banner %q, want %q", f.Banner(), banner)
			}
		})
	}
}

// TestSampleAddresses compares the addresses with what debug/elf reads: the last
// symbol of each name.
func TestSampleAddresses(t *testing.T) {
	for _, s := range samples {
		t.Run(s.name, func(t *testing.T) {
			file, err := elf.NewFile(strings.NewReader(string(unpacked(t, s.name))))
			if err != nil {
				t.Fatal(err)
			}
			syms, err := file.Symbols()
			if err != nil {
				t.Fatal(err)
			}
			want := map[string]uint64{}
			for _, sym := range syms {
				allocated := int(sym.Section) >= len(file.Sections) || file.Sections[sym.Section].Flags&elf.SHF_ALLOC != 0
				if typ := elf.ST_TYPE(sym.Info); typ != elf.STT_FILE && typ != elf.STT_SECTION && sym.Section != elf.SHN_UNDEF && allocated {
					want[sym.Name] = sym.Value
				}
			}
			got := map[string]uint64{}
			for sym := range convertSample(t, s.name).Symbols() {
				got[sym.Name] = sym.Address
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("addresses (-want +got):\n%s", diff)
			}
		})
	}
}

// writeSample writes a file of testdata as it was before it was compressed.
func writeSample(t testing.TB, name string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, unpacked(t, name), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
