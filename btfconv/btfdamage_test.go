package btfconv

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/nodelens/nodelens/internal/testimages"
	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/vmem"
)

// A btfDamage is a way in which pages are damaged.
type btfDamage string

const (
	damageRandom btfDamage = "random"
	damageZero   btfDamage = "zero"
	damageCopy   btfDamage = "copy" // of a page of memory
	damageBTF    btfDamage = "btf"  // of another page of the BTF
	damageAbsent btfDamage = "absent"
)

var btfDamages = []btfDamage{damageRandom, damageZero, damageCopy, damageBTF, damageAbsent}

// damagePages returns BTF whose first byte is at an offset in a page, with a share of its pages
// damaged, but for the first.
func damagePages(b []byte, phase int, how btfDamage, share float64, random *rand.Rand, other func() []byte) ([]byte, btfPlace) {
	out, place := slices.Clone(b), btfPlace{phase: phase}
	for at := vmem.PageSize - phase; at < len(b); at += vmem.PageSize {
		if random.Float64() >= share {
			continue
		}
		page := out[at:min(len(b), at+vmem.PageSize)]
		switch how {
		case damageRandom:
			for i := range page {
				page[i] = byte(random.Uint32())
			}
		case damageZero:
			clear(page)
		case damageCopy:
			copy(page, other())
		case damageBTF:
			from := vmem.PageSize*(1+random.IntN(len(b)/vmem.PageSize-2)) - phase
			copy(page, b[from:][:vmem.PageSize])
		case damageAbsent:
			for i := range page {
				page[i] = 0xff
			}
			place.holes = append(place.holes, span{uint32(at), uint32(at + len(page))})
		}
	}
	return out, place
}

// readKernelBTF returns the BTF of an image as it is in memory, and where in a page it begins.
func readKernelBTF(t *testing.T, image testimages.Image) (b []byte, phase int) {
	t.Helper()
	_, r := wholeDatabase(t, image)
	mem := openImage(t, image)
	h, _ := isKernelBTF(mem, r.BTF.Addr)
	b, _ = readHoles(mem, r.BTF.Addr, int(h.total()))
	return b, int(r.BTF.Addr % vmem.PageSize)
}

// anyPage returns a function that returns pages of an image.
func anyPage(mem vmem.Memory, random *rand.Rand) func() []byte {
	return func() []byte {
		r := mem.Ranges()[random.IntN(len(mem.Ranges()))]
		return readUpTo(mem, r.Start+vmem.PhysAddr(random.Uint64N(r.Size))&^(vmem.PageSize-1), vmem.PageSize)
	}
}

// Whatever is on a share of the pages of the BTF, no type that is left is wrong, and most are.
func TestDamagedPages(t *testing.T) {
	t.Parallel()
	least := map[float64]float64{0.01: 80, 0.1: 30} // per cent of structs that have all members
	someImages(t, func(t *testing.T, image testimages.Image, mem vmem.Memory) {
		b, phase := readKernelBTF(t, image)
		whole, err := parseBTF(b, nil, btfPlace{phase: phase})
		if err != nil || whole.recovered {
			t.Fatal(err, whole.recovered)
		}
		c, _ := convertTypes(whole)
		index := indexTypes(&c)
		sum, n := 0.0, 0
		for i, how := range btfDamages {
			for share, want := range least {
				if testing.Short() && (share > 0.01 || i > 1) || !testimages.Thorough() && (share > 0.01) != (i == 2 || i == 3) {
					continue
				}
				random := rand.New(rand.NewPCG(uint64(i), uint64(1000*share)))
				d, place := damagePages(b, phase, how, share, random, anyPage(mem, random))
				got, err := parseBTF(d, nil, place)
				if err != nil {
					t.Fatal(err)
				}
				c, _ := convertTypes(got)
				left := index.compare(&c)
				t.Logf("%s on %g %% of pages: %.1f %% of types, %.1f %% whole, %.1f %% of members, %.1f %% of enumerations",
					how, 100*share, left.types, left.intact, left.members, left.enums)
				if len(left.wrong) > 0 || left.intact < want || len(c.Lost) == 0 || len(c.Lost) > maxLosses+2 {
					t.Errorf("%s on %g %% of pages: lost %d, wrong %q", how, 100*share, len(c.Lost), left.wrong)
				}
				if share == 0.01 {
					sum, n = sum+left.intact, n+1
				}
			}
		}
		if sum/float64(n) < 90 {
			t.Errorf("%.1f %% of structs are whole", sum/float64(n))
		}
	})
}

// BTF whose header was overwritten is found by its shape.
func TestFromMemoryWithoutBTFHeader(t *testing.T) {
	t.Parallel()
	someImages(t, func(t *testing.T, image testimages.Image, mem vmem.Memory) {
		f, r := wholeDatabase(t, image)
		c := contents(f)
		page := r.BTF.Addr &^ (vmem.PageSize - 1)
		got, r, err := FromMemory(t.Context(), &patched{mem, page, make([]byte, vmem.PageSize)}, nil)
		if err != nil || r.TypesErr != nil || r.BTF.FoundBy != "the shape of its records" {
			t.Fatalf("%v, %v, found by %s", err, r.TypesErr, r.BTF.FoundBy)
		}
		d := contents(got)
		left := indexTypes(&c).compare(&d)
		t.Logf("%.1f %% of types, %.1f %% whole; lost %v", left.types, left.intact, got.Lost()[:1])
		if len(left.wrong) > 0 || left.types < 95 || left.intact < 60 {
			t.Errorf("%.1f %% of types, %.1f %% whole, wrong %q", left.types, left.intact, left.wrong)
		}
	})
}

// BTF that would take hours to number takes as long as it may.
func TestRecoverBounded(t *testing.T) {
	t.Parallel()
	b := readTestFile(t, "testdata/btf/kinds.btf")
	whole, err := parseBTF(b, nil, btfPlace{})
	if err != nil {
		t.Fatal(err)
	}
	b[btfHeaderSize+whole.offsets[20]+7] = 0x7f
	for work, want := range map[int64]bool{0: true, 100: false} {
		types, err := parseBTF(b, nil, btfPlace{})
		if err != nil {
			t.Fatal(err)
		}
		types.recovered, types.work = false, work
		types.recoverTypes()
		if got := types.left() > 20; got != want || len(types.losses) == 0 {
			t.Errorf("with work of %d, %d types are left, lost %v", work, types.left(), types.losses)
		}
	}
}

// A typeIndex is a database to compare others with.
type typeIndex struct {
	types map[string]*isf.UserType
	enums map[string]*isf.Enum
	bases map[string]isf.BaseType

	others map[string]isf.BaseType // of the database that is compared
}

func indexTypes(c *isf.Contents) *typeIndex {
	x := &typeIndex{types: map[string]*isf.UserType{}, enums: map[string]*isf.Enum{}, bases: map[string]isf.BaseType{}}
	for i := range c.Types {
		x.types[c.Types[i].Name] = &c.Types[i]
	}
	for i := range c.Enums {
		x.enums[c.Enums[i].Name] = &c.Enums[i]
	}
	for _, b := range c.Bases {
		x.bases[b.Name] = b
	}
	return x
}

// A survival is how much of a database is left after damage.
type survival struct {
	types, intact, members, enums float64 // shares of types, of those with all members, and of members
	wrong                         []string
}

// compare says what of the types with names is left, and what of it is wrong.
func (x *typeIndex) compare(got *isf.Contents) (s survival) {
	y := indexTypes(got)
	x.others = y.bases
	types, intact, members, enums, allTypes, allMembers, allEnums := 0, 0, 0, 0, 0, 0, 0
	for name, w := range x.types {
		if unnamed(name) {
			continue
		}
		allTypes++
		allMembers += len(w.Fields)
		g := y.types[name]
		if g == nil {
			continue
		}
		types++
		members += len(g.Fields)
		intact += b2i(len(g.Fields) == len(w.Fields))
		s.wrong = append(s.wrong, x.wrongType(g, w)...)
	}
	for name, g := range y.types {
		if x.types[name] == nil && !unnamed(name) {
			s.wrong = append(s.wrong, fmt.Sprintf("%s that there is not, of %d bytes", name, g.Size))
		}
	}
	for name, w := range x.enums {
		if unnamed(name) {
			continue
		}
		allEnums++
		if g := y.enums[name]; g != nil {
			enums++
			if g.Size != w.Size {
				s.wrong = append(s.wrong, fmt.Sprintf("%s of %d bytes, want %d", name, g.Size, w.Size))
			}
			for _, c := range g.Constants {
				if !slices.Contains(w.Constants, c) {
					s.wrong = append(s.wrong, fmt.Sprintf("%s: constant %+v", name, c))
				}
			}
		}
	}
	for name := range y.enums {
		if x.enums[name] == nil && !unnamed(name) {
			s.wrong = append(s.wrong, name+" that there is not")
		}
	}
	share := func(n, of int) float64 { return 100 * float64(n) / float64(max(of, 1)) }
	s.types, s.intact, s.members, s.enums = share(types, allTypes), share(intact, allTypes), share(members, allMembers), share(enums, allEnums)
	return s
}

func (x *typeIndex) wrongType(g, w *isf.UserType) (wrong []string) {
	if g.Size != w.Size || g.Kind != w.Kind {
		return []string{fmt.Sprintf("%s of %d bytes, want %d", g.Name, g.Size, w.Size)}
	}
	for _, f := range g.Fields {
		if !slices.ContainsFunc(w.Fields, func(h isf.Field) bool {
			return (f.Name == h.Name || f.Anonymous && h.Anonymous) && f.Offset == h.Offset && x.same(f.Type, h.Type)
		}) {
			wrong = append(wrong, fmt.Sprintf("%s.%s at %d of %v", g.Name, f.Name, f.Offset, f.Type))
		}
	}
	return wrong
}

// same reports whether got is want, but for what is lost behind pointers, and for which of the
// names of a type it has.
func (x *typeIndex) same(got, want *isf.Type) bool {
	if got == nil || want == nil {
		return got == want
	}
	if got.Kind == isf.KindVoid {
		return true // behind a pointer: nothing else is void
	}
	if got.Kind != want.Kind || got.Count != want.Count || got.BitPosition != want.BitPosition || got.BitLength != want.BitLength {
		return false
	}
	return (got.Name == want.Name || x.alike(got.Name, want.Name)) && x.same(got.Elem, want.Elem)
}

// alike reports whether two names can be of one type.
func (x *typeIndex) alike(got, want string) bool {
	if unnamed(got) || unnamed(want) {
		return true
	}
	g, w := x.types[got], x.types[want]
	if g == nil || w == nil {
		b, ok := x.others[got]
		b.Name = want
		return ok && b == x.bases[want]
	}
	return g.Size == w.Size && slices.EqualFunc(g.Fields, w.Fields, func(a, b isf.Field) bool { return a.Name == b.Name && a.Offset == b.Offset })
}
