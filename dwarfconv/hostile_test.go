package dwarfconv

import (
	"bytes"
	"context"
	"debug/dwarf"
	"debug/elf"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/nodelens/nodelens/internal/alloctest"
	"github.com/nodelens/nodelens/isf"

	"github.com/nodelens/nodelens/internal/testimages"
)

// soundUnit is a unit with one type, to see that others do not suffer.
func soundUnit() []byte {
	u := newUnit()
	i := u.base()
	u.uleb(abbrevStruct).str("sound").uleb(4).uleb(abbrevMember).str("x").u32(i).uleb(0).u8(0)
	return u.end()
}

// hostile are units that no compiler writes, with the reason for which each is skipped,
// nil where nothing is wrong with it as far as a conversion needs to know.
var hostile = []struct {
	name string
	unit func() []byte
	want error
}{
	{"typedefs in a circle", func() []byte {
		u := newUnit()
		at := u.here()
		u.uleb(abbrevTypedef).str("a").u32(at + 7).uleb(abbrevTypedef).str("b").u32(at)
		u.uleb(abbrevStruct).str("s").uleb(4).uleb(abbrevMember).str("x").u32(at).uleb(0).u8(0)
		return u.end()
	}, errDepth},
	{"a pointer to itself", func() []byte {
		u := newUnit()
		at := u.here()
		u.uleb(abbrevPointer).u32(at)
		u.uleb(abbrevStruct).str("s").uleb(4).uleb(abbrevMember).str("x").u32(at).uleb(0).u8(0)
		return u.end()
	}, errDepth},
	{"an array of itself", func() []byte {
		u := newUnit()
		at := u.here()
		u.uleb(abbrevArray).u32(at).uleb(abbrevDimension).uleb(1 << 63).u8(0)
		u.uleb(abbrevStruct).str("s").uleb(4).uleb(abbrevMember).str("x").u32(at).uleb(0).u8(0)
		return u.end()
	}, errDepth},
	{"an array of a thousand dimensions", func() []byte {
		u := newUnit()
		i := u.base()
		at := u.here()
		u.uleb(abbrevArray).u32(i)
		for range 1000 {
			u.uleb(abbrevDimension).uleb(1 << 62)
		}
		u.u8(0).uleb(abbrevStruct).str("s").uleb(4).uleb(abbrevMember).str("x").u32(at).uleb(0).u8(0)
		return u.end()
	}, errDepth},
	{"a struct of itself", func() []byte {
		u := newUnit()
		at := u.here()
		u.uleb(abbrevStruct).str("s").uleb(4).uleb(abbrevMember).str("x").u32(at).uleb(0).u8(0)
		return u.end()
	}, nil},
	{"an unnamed struct of itself", func() []byte {
		u := newUnit()
		at := u.here()
		u.uleb(abbrevAnonymous).uleb(4).uleb(abbrevUnnamed).u32(at).uleb(0).u8(0)
		return u.end()
	}, errDepth},
	{"unnamed structs of two of the next", func() []byte { // 2^90 members, if someone counted them
		u := newUnit()
		at := u.base()
		for range 90 {
			next := u.here()
			u.uleb(abbrevAnonymous).uleb(8).uleb(abbrevUnnamed).u32(at).uleb(0).uleb(abbrevUnnamed).u32(at).uleb(4).u8(0)
			at = next
		}
		return u.end()
	}, nil},
	{"a chain of qualifiers", func() []byte {
		u := newUnit()
		s := u.here()
		u.uleb(abbrevStruct).str("s").uleb(4).uleb(abbrevMember).str("x").u32(s + 13).uleb(0).u8(0)
		for range 1 << 16 {
			u.uleb(abbrevConst).u32(u.here() + 4)
		}
		u.uleb(abbrevConst).u32(s)
		return u.end()
	}, errDepth},
	{"entries nested without end", func() []byte {
		u := newUnit()
		u.u8(bytes.Repeat([]byte{abbrevBlock}, 1<<20)...)
		return u.end()
	}, errNesting},
	{"millions of the smallest entries", func() []byte {
		u := newUnit()
		u.u8(bytes.Repeat([]byte{abbrevBlock, 0}, 1<<21)...)
		return u.end()
	}, nil},
	{"more entries than fit", func() []byte {
		u := newUnit()
		for range maxDies {
			u.uleb(abbrevPointer).u32(0)
		}
		return u.end()
	}, errLimit},
	{"a number of a megabyte", func() []byte {
		u := newUnit()
		u.uleb(abbrevStruct).str("s").u8(bytes.Repeat([]byte{0xff}, 1<<20)...).u8(0)
		return u.end()
	}, nil},
	{"a number that does not end", func() []byte {
		u := newUnit()
		u.uleb(abbrevStruct).str("s").u8(bytes.Repeat([]byte{0xff}, 1<<20)...)
		return u.cut()
	}, errTruncated},
	{"a name that does not end", func() []byte {
		u := newUnit()
		u.uleb(abbrevStruct).u8(bytes.Repeat([]byte{'a'}, 1<<20)...)
		return u.cut()
	}, errTruncated},
	{"a name of a megabyte", func() []byte {
		u := newUnit()
		u.uleb(abbrevStruct).str(strings.Repeat("a", 1<<20)).uleb(0).u8(0)
		return u.end()
	}, errLongName},
	{"members that share the memory of their names", func() []byte {
		u := newUnit()
		i := u.base()
		u.uleb(abbrevStruct).str("s").uleb(4)
		for n := range uint32(1 << 16) {
			u.uleb(abbrevLong).u32(n).u32(i).uleb(0)
		}
		u.u8(0)
		return u.end()
	}, errLongName},
	{"a type unit that is not there", func() []byte {
		u := newUnit()
		at := u.here()
		u.uleb(abbrevUnion).u64(12345)
		u.uleb(abbrevStruct).str("s").uleb(4).uleb(abbrevMember).str("x").u32(at).uleb(0).u8(0)
		return u.end()
	}, errSignature},
	{"a reference past the end", func() []byte {
		u := newUnit()
		u.uleb(abbrevStruct).str("s").uleb(4).uleb(abbrevMember).str("x").u32(1 << 31).uleb(0).u8(0)
		return u.end()
	}, errReference},
	{"an abbreviation that is not there", func() []byte {
		u := newUnit()
		u.uleb(1 << 40)
		return u.end()
	}, errAbbrev},
	{"members and constants of one name", func() []byte {
		u := newUnit()
		i := u.base()
		u.uleb(abbrevStruct).str("s").uleb(4)
		for n := range uint64(1 << 12) {
			u.uleb(abbrevMember).str("x").u32(i).uleb(n)
		}
		u.u8(0).uleb(abbrevEnum).str("e").uleb(4)
		for n := range uint64(1 << 12) {
			u.uleb(abbrevConstant).str("X").uleb(n)
		}
		u.u8(0)
		return u.end()
	}, nil},
}

// maxAllocated is what the conversion of any of these small files may allocate: the
// entries of the largest unit, in slices that grow, and what tells of its state.
const maxAllocated = 2 << 30

// TestHostile converts units that try to take all time or memory there is, beside one
// that must come out whole.
func TestHostile(t *testing.T) {
	testimages.Long(t)
	for _, h := range hostile {
		t.Run(h.name, func(t *testing.T) {
			sections := append(debugSections(h.unit(), soundUnit()), handmadeSection{name: ".debug_str", data: append(bytes.Repeat([]byte{'a'}, 1<<16), 0)})
			f, warned := convertBounded(t, handmadeELF(elf.ET_EXEC, sections...), maxAllocated)
			checkSound(t, f)
			roundTrip(t, f)
			var unit *UnitError
			for _, err := range warned {
				if errors.As(err, &unit) && (h.want == nil || !errors.Is(err, h.want) || unit.Unit != 0) {
					t.Errorf("warned %v, want %v", err, h.want)
				}
			}
			if h.want != nil && unit == nil {
				t.Errorf("warned %v, want %v", warned, h.want)
			}
		})
	}
}

// convertBounded converts b and fails t if that takes too much memory.
func convertBounded(t *testing.T, b []byte, bound uint64) (*isf.File, []error) {
	t.Helper()
	var f *isf.File
	var warned []error
	alloctest.AtMost(t, bound, "", func() { f, warned = convertWarned(t, b) })
	return f, warned
}

func checkSound(t *testing.T, f *isf.File) {
	t.Helper()
	if at, err := f.Field("sound", "x"); err != nil || at.Type.Name != "int" {
		t.Errorf("the sound unit: %v, %v", at, err)
	}
}

// TestHostileReferences has each of many units refer to all others, which are too many
// to be kept, and to be read again and again.
func TestHostileReferences(t *testing.T) {
	testimages.Long(t)
	const units = 250
	unit := func(size uint32) []byte {
		u := newUnit()
		s := u.here()
		const member = 6
		u.uleb(abbrevStruct).str("s").uleb(4)
		first := u.here() + units*member + 1
		for i := range uint32(units) {
			u.uleb(abbrevUnnamed).u32(first + 5*i).uleb(0)
		}
		u.u8(0)
		for i := range uint32(units) {
			u.uleb(abbrevFar).u32(i*size + s)
		}
		for range 1 << 14 { // large to read, and of no use
			u.uleb(abbrevPointer).u32(0)
		}
		return u.end()
	}
	b := unit(uint32(len(unit(0))))
	f, warned := convertBounded(t, handmadeELF(elf.ET_EXEC, debugSections(append(slices.Repeat([][]byte{b}, units), soundUnit())...)...), 2*maxAllocated)
	checkSound(t, f)
	if len(warned) == 0 || !errors.Is(warned[len(warned)-1], errLimit) {
		t.Errorf("warned %v, want %v for the last ones", warned, errLimit)
	}
}

// TestHostileHeaders converts files whose headers lie.
func TestHostileHeaders(t *testing.T) {
	huge := newUnit().end()
	huge[2], huge[3] = 0xff, 0x7f
	var abbrevs assembler
	abbrevs.uleb(1).uleb(uint64(dwarf.TagCompileUnit)).u8(1)
	for range 1 << 21 {
		abbrevs.uleb(uint64(dwarf.AttrName)).uleb(uint64(formString))
	}
	abbrevs.u8(0, 0, 0)
	claim := append([]byte("ZLIB\x00\x00\x00\x00\x3f\xff\xff\xff"), 0x78, 0x9c, 3, 0, 0, 0, 0, 1)
	for _, c := range []struct {
		name     string
		sections []handmadeSection
		want     error
	}{
		{"a unit longer than its section", debugSections(huge), ErrDamaged},
		{"an abbreviation of two million attributes", []handmadeSection{{name: ".debug_abbrev", data: abbrevs.b}, {name: ".debug_info", data: soundUnit()}}, ErrDamaged},
		{"a section that says to hold a gigabyte", []handmadeSection{{name: ".zdebug_info", data: claim}}, errLimit},
		{"a section outside the file", []handmadeSection{
			{name: ".debug_abbrev", data: handmadeAbbrevs()}, {name: ".debug_info", Section64: elf.Section64{Off: 64, Size: 1 << 50}},
		}, errSection},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := handmadeELF(elf.ET_EXEC, c.sections...)
			if _, err := Convert(context.Background(), bytes.NewReader(b), int64(len(b)), nil); !errors.Is(err, c.want) {
				t.Errorf("%v, want %v", err, c.want)
			}
		})
	}
}

// TestHostileRelocations has a thousand sections of relocations that lie on top of each
// other.
func TestHostileRelocations(t *testing.T) {
	var rela assembler
	for i := range uint64(1 << 14) {
		rela.u64(4 * i).u64(uint64(elf.R_X86_64_32)).u64(0)
	}
	sections := append(debugSections(soundUnit()), handmadeSection{
		name: ".symtab", Section64: elf.Section64{Type: uint32(elf.SHT_SYMTAB), Link: 4, Info: 1, Entsize: symSize}, data: make([]byte, symSize),
	}, handmadeSection{name: ".strtab", data: []byte{0}})
	const first = 5
	sections = append(sections, handmadeSection{
		name: ".rela", Section64: elf.Section64{Type: uint32(elf.SHT_RELA), Link: 3, Info: 2, Entsize: relaSize}, data: rela.b,
	})
	whole := handmadeELF(elf.ET_REL, sections...)
	f, err := elf.NewFile(bytes.NewReader(whole))
	if err != nil {
		t.Fatal(err)
	}
	again := f.Sections[first]
	for range 1000 {
		sections = append(sections, handmadeSection{name: ".rela", Section64: elf.Section64{
			Type: uint32(elf.SHT_RELA), Link: 3, Info: 2, Entsize: relaSize, Off: again.Offset, Size: again.Size,
		}})
	}
	b := handmadeELF(elf.ET_REL, sections...)
	if _, err := Convert(context.Background(), bytes.NewReader(b), int64(len(b)), nil); !errors.Is(err, errLimit) {
		t.Errorf("%v, want %v", err, errLimit)
	}
}

// TestDamagedSections damages one section after the other of a sample. Whatever does
// not need it is there.
func TestDamagedSections(t *testing.T) {
	whole := unpacked(t, "clang5.elf")
	file, err := elf.NewFile(bytes.NewReader(whole))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		section string
		types   bool // whether there are any without
	}{{".debug_str", false}, {".debug_str_offsets", false}, {".debug_addr", true}, {".debug_line_str", true}, {".strtab", true}, {".symtab", true}} {
		t.Run(c.section, func(t *testing.T) {
			b := bytes.Clone(whole)
			for i, s := range file.Sections {
				if s.Name == c.section {
					shoff := binary.LittleEndian.Uint64(b[0x28:])
					copy(b[shoff+uint64(i)*sectionHeaderSize+0x18:], "\xff\xff\xff\xff\xff\xff\xff\x00") // sh_offset
				}
			}
			var warned []error
			f, err := Convert(context.Background(), bytes.NewReader(b), int64(len(b)), &Options{Warn: func(err error) { warned = append(warned, err) }})
			if len(warned) == 0 {
				t.Error("nothing told")
			}
			if !c.types {
				if !errors.Is(err, ErrDamaged) {
					t.Errorf("%v, want %v", err, ErrDamaged)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join((printer{f}).types(), "\n"); got != strings.Join(commonTypes, "\n") {
				t.Errorf("types:\n%s", got)
			}
		})
	}
}
