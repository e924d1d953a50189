package kstruct

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nodelens/nodelens/internal/pagetest"
	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/vmem"
	"github.com/nodelens/nodelens/vmem/x86"
)

// base is where test memory is mapped, to physical 0x200000.
const testBase = vmem.VirtAddr(0xffff888000200000)

// testMemory returns memory that holds data at testBase.
func testMemory(t testing.TB, data []byte) *vmem.AddressSpace {
	t.Helper()
	mem := new(pagetest.Memory)
	tables := pagetest.NewTables(mem, 4, 0x1000)
	tables.Map(testBase, 0x200000, 2, pagetest.Present|pagetest.Write)
	mem.Write(0x200000, data)
	space, err := x86.NewAddressSpace(vmem.NewPhysical(mem), tables.Root(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return space
}

// testSpace returns memory that holds data at testBase, with the types of an ISF file.
func testSpace(t testing.TB, types string, data []byte) *Space {
	t.Helper()
	f, err := isf.Decode(strings.NewReader(types))
	if err != nil {
		t.Fatal(err)
	}
	if len(f.Malformed()) > 0 {
		t.Fatal(f.Malformed())
	}
	return NewSpace(testMemory(t, data), f, 0)
}

func testdata(t testing.TB, name ...string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(append([]string{"testdata"}, name...)...))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// drgnSpace returns the objects that testdata/drgn/make.py made.
func drgnSpace(t testing.TB) *Space {
	t.Helper()
	return testSpace(t, string(testdata(t, "drgn", "types.json")), testdata(t, "drgn", "memory.bin"))
}

func printed(p *Printer, v Value) string {
	var b strings.Builder
	if err := p.Print(&b, v); err != nil {
		return b.String() + "\nerror: " + err.Error()
	}
	return b.String()
}

// Every object is printed as drgn prints it.
func TestPrintAsDrgn(t *testing.T) {
	v := drgnSpace(t).Object("everything")
	options := map[string]*Printer{
		"String":      nil,
		"OmitTypes":   {OmitTypes: true},
		"OmitSymbols": {OmitSymbols: true},
		"OmitZeros":   {OmitZeros: true},
		"AllElements": {AllElements: true},
	}
	for section := range strings.SplitSeq(string(testdata(t, "drgn", "printed.txt"))[3:], "\n-- ") {
		name, want, _ := strings.Cut(strings.TrimSuffix(section, "\n"), "\n")
		var got string
		if p, ok := options[name]; ok {
			got = printed(p, v)
		} else if member, ok := strings.CutSuffix(name, " without types"); ok {
			got = printed(&Printer{OmitTypes: true}, v.At(member))
		} else {
			got = v.At(name).String()
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s (-drgn +ours):\n%s", name, d)
		}
	}
}

func TestPrintOptions(t *testing.T) {
	v := drgnSpace(t).Object("everything")
	tests := []struct {
		name   string
		p      *Printer
		member string
		want   string
	}{
		{"no targets", &Printer{OmitTargets: true}, "to_char", "(char *)0xffff888000200800"},
		{"no target of a pointer by itself", &Printer{OmitTargets: true}, "to_point", "(struct point *)0xffff888000200810"},
		{"depth", &Printer{MaxDepth: 1, OmitTypes: true}, "sub", "{\n\t.p = { ... },\n\t.whole = 1,\n}"},
		{"depth of elements", &Printer{MaxDepth: 1, OmitTypes: true}, "points", "{ ... }"},
		{"length", &Printer{MaxBytes: 40}, "sub",
			"(union either){\n\t.p = (struct point){\n\t\t.x = (int)1,\n\t\t...\n\t},\n\t...\n}\nerror: everything.sub at kernel address " + v.At("sub").Addr().String() + ": over the limit: text of more than 40 bytes"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if d := cmp.Diff(tt.want, printed(tt.p, v.At(tt.member))); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

// What is not in the image costs the members that lie there.
func TestPrintLost(t *testing.T) {
	s := testSpace(t, string(testdata(t, "drgn", "types.json")), make([]byte, 4096))
	const reason = "<not captured>"
	v := s.Struct("point", testBase+4092)
	want := "(struct point){\n\t.x = (int)0,\n\t.y = (int)" + reason + ",\n}"
	if got := v.String(); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	var b strings.Builder
	if err := new(Printer).Print(&b, v); !errors.Is(err, vmem.ErrNotCaptured) || b.String() != want {
		t.Errorf("Print: %v, %s", err, b.String())
	}
	if got, want := s.Struct("int", testBase+4096).String(), "(int)"+reason; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got, want := s.Struct("char [4]", testBase+4096).String(), "(char [4])"+reason; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// Names come from the image, too: they can't send control sequences to a terminal, and
// can't pass for values.
func TestPrintHostileNames(t *testing.T) {
	s := testSpace(t, hostileTypes, make([]byte, 64))
	want := `(struct a\x1b2J){
	.m\x0a\x09.uid = (int)0,
	.e = (enum e\xff)E\x3d 1\x2c,
}`
	if d := cmp.Diff(want, s.Struct("a\x1b2J", testBase).String()); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if got := s.Struct("nosuch\x1b2J", testBase).String(); strings.Contains(got, "\x1b") {
		t.Errorf("%q", got)
	}
}

// Types that hold themselves, twice, and arrays without end are printed up to the limit.
func TestPrintHostileTypes(t *testing.T) {
	s := testSpace(t, hostileTypes, append([]byte{1}, make([]byte, 63)...))
	for _, name := range []string{"loop", "anon", "huge", "chars"} {
		var b strings.Builder
		p := &Printer{MaxBytes: 10_000}
		err := p.Print(&b, s.Struct(name, testBase))
		if b.Len() > 100_000 || err == nil && !strings.Contains(b.String(), "...") {
			t.Errorf("%s: %d bytes, %v", name, b.Len(), err)
		}
		p.OmitZeros = true
		if err := p.Print(io.Discard, s.Struct(name, testBase)); err == nil && name != "loop" {
			t.Errorf("%s without zeros: no error", name)
		}
	}
}

// What holds itself is not looked through without end for zeros.
func TestPrintEndlessZeros(t *testing.T) {
	s := testSpace(t, hostileTypes, append([]byte{1}, make([]byte, 63)...))
	v := s.Struct("loop", testBase)
	p := printing{left: maxBytes}
	if p.isZero(v, 0) || p.left < maxBytes-2*isf.MaxTypeDepth {
		t.Errorf("a structure that holds itself took %d looks", maxBytes-p.left)
	}
	p.left = 1000
	if v = s.Struct("char [100000]", testBase+1); p.isZero(v, 0) || p.left >= 0 {
		t.Errorf("100,000 bytes that are not all there cost %d", 1000-p.left)
	}
	if text := s.Struct("struct loop [2]", testBase).String(); len(text) < 1000 {
		t.Errorf("printed %s", text)
	}
}

const hostileTypes = `{"metadata":{"format":"6.2.0"},
	"base_types":{
		"int":{"size":4,"signed":true,"kind":"int","endian":"little"},
		"char":{"size":1,"signed":true,"kind":"char","endian":"little"}},
	"enums":{"e\udcff":{"size":4,"base":"int","constants":{"E= 1,":0}}},
	"user_types":{
		"a\u001b2J":{"kind":"struct","size":8,"fields":{
			"m\n\t.uid":{"offset":0,"type":{"kind":"base","name":"int"}},
			"e":{"offset":4,"type":{"kind":"enum","name":"e\udcff"}}}},
		"loop":{"kind":"struct","size":8,"fields":{
			"x":{"offset":0,"type":{"kind":"struct","name":"loop"}},
			"y":{"offset":0,"type":{"kind":"struct","name":"loop"}}}},
		"anon":{"kind":"struct","size":8,"fields":{
			"x":{"offset":0,"anonymous":true,"type":{"kind":"struct","name":"anon"}},
			"y":{"offset":0,"anonymous":true,"type":{"kind":"struct","name":"anon"}}}},
		"huge":{"kind":"struct","size":8,"fields":{
			"x":{"offset":0,"type":{"kind":"array","count":1152921504606846976,"subtype":{"kind":"base","name":"int"}}}}},
		"chars":{"kind":"struct","size":8,"fields":{
			"x":{"offset":0,"type":{"kind":"array","count":1152921504606846976,"subtype":{"kind":"array","count":2,"subtype":{"kind":"base","name":"char"}}}}}}},
	"symbols":{}}`
