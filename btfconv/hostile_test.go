package btfconv

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/nodelens/nodelens/internal/alloctest"
	"github.com/nodelens/nodelens/internal/testimages"
	"github.com/nodelens/nodelens/isf"
)

// repeated returns n times what record makes.
func repeated(n int, record func(i uint32) []uint32) []uint32 {
	var all []uint32
	for i := range n {
		all = append(all, record(uint32(i))...)
	}
	return all
}

// oddName and aName are names of oddBTF.
const oddName, aName = 21, 25

// BTF that is made to cost much is converted in memory in proportion to it; what contradicts
// itself is lost, and told, and the types before it are there.
func TestHostileBTF(t *testing.T) {
	testimages.Long(t)
	for name, c := range map[string]struct {
		record []uint32
		told   bool // something is lost
	}{
		"65535 members that are not there": {append(repeated(500, func(uint32) []uint32 { return []uint32{0, 2 << 24, 1} }), append([]uint32{oddName, 4<<24 | 200, 8}, repeated(10, func(i uint32) []uint32 { return []uint32{aName, 1, 32 * i} })...)...), true},
		"65535 members of one name":        {append([]uint32{oddName, 4<<24 | 0xffff, 1 << 30}, repeated(0xffff, func(i uint32) []uint32 { return []uint32{aName, 1, 32 * i} })...), true},
		"a struct in itself":               {[]uint32{oddName, 4<<24 | 1, 8, aName, 3, 0}, true},
		"two structs in each other":        {[]uint32{oddName, 4<<24 | 1, 8, aName, 4, 0, aName, 4<<24 | 1, 8, aName, 3, 0}, false},
		"arrays of arrays beyond 64 bits": {append(repeated(40, func(i uint32) []uint32 {
			return []uint32{0, 3 << 24, 0, []uint32{1, 2 + i}[min(i, 1)], 1, math.MaxUint32}
		}), oddName, 4<<24|1, 8, aName, 42, 0), true},
		"an array of itself":              {[]uint32{0, 3 << 24, 0, 3, 1, 2, oddName, 4<<24 | 1, 8, aName, 3, 0}, true},
		"a chain of 50,000 pointers":      {append(repeated(50_000, func(i uint32) []uint32 { return []uint32{0, 2 << 24, 2 + i} }), oddName, 4<<24|1, 8, aName, 50_002, 0), false},
		"a chain of 50,000 typedefs":      {append(repeated(50_000, func(i uint32) []uint32 { return []uint32{aName, 8 << 24, 2 + i} }), oddName, 4<<24|1, 8, aName, 50_002, 0), true},
		"typedefs of each other":          {[]uint32{aName, 8 << 24, 4, aName, 8 << 24, 3, oddName, 4<<24 | 1, 8, aName, 3, 0}, true},
		"262,144 structs of one name":     {repeated(1<<18, func(uint32) []uint32 { return []uint32{oddName, 4 << 24, 8} }), true},
		"262,144 structs without a name":  {repeated(1<<18, func(uint32) []uint32 { return []uint32{0, 4 << 24, 8} }), true},
		"30,000 structs one in the next":  {repeated(30_000, func(i uint32) []uint32 { return []uint32{oddName, 4<<24 | 1, 8, aName, 4 + i, 0} }), true},
		"30,000 unions without names, so": {repeated(30_000, func(i uint32) []uint32 { return []uint32{0, 5<<24 | 1, 8, 0, 4 + i, 0} }), true},
		"enums of 65535 values of one name": {repeated(20, func(uint32) []uint32 {
			return append([]uint32{oddName, 6<<24 | 0xffff, 4}, repeated(0xffff, func(i uint32) []uint32 { return []uint32{aName, i} })...)
		}), true},
		"a struct with sizes of all there is": {[]uint32{oddName, 4<<24 | 1, math.MaxUint32, aName, 1, math.MaxUint32 - 31}, false},
	} {
		t.Run(name, func(t *testing.T) {
			b := oddBTF(c.record...)
			var f *isf.File
			var err error
			most := min(64<<20+40*uint64(len(b)), 500<<20)
			alloctest.AtMost(t, most, "", func() { f, err = Convert(bytes.NewReader(b), nil, nil) })
			if err != nil {
				t.Fatal(err)
			}
			if task, err := f.UserType("task_struct"); err != nil || len(task.Fields) != 1 {
				t.Errorf("task_struct %+v, %v", task, err)
			}
			if told := len(f.Lost()) > 0; told != c.told {
				t.Errorf("lost %.5v of %d", f.Lost()[:min(len(f.Lost()), 3)], len(f.Lost()))
			}
			if len(f.Lost()) > 2000 {
				t.Errorf("%d losses", len(f.Lost()))
			}
			for u := range f.UserTypes() { // nothing that follows types goes round
				for i := range min(len(u.Fields), 10) {
					_, _ = f.SizeOf(u.Fields[i].Type)
				}
			}
			_, _ = f.Field("odd", "a.a.a.a.a.a.a.a")
		})
	}
}

// Sections that lie in each other, or where no file reaches.
func TestHostileBTFHeader(t *testing.T) {
	whole := oddBTF()
	for at := 4; at < btfHeaderSize; at += 4 {
		for _, v := range []uint32{0, 1, 4, 16, 1 << 16, math.MaxInt32, math.MaxUint32 - 3, math.MaxUint32} {
			b := slices.Clone(whole)
			binary.LittleEndian.PutUint32(b[at:], v)
			alloctest.AtMost(t, 8<<20, fmt.Sprintf("word at %d is %#x", at, v), func() {
				f, err := Convert(bytes.NewReader(b), nil, nil)
				if err == nil {
					for range f.UserTypes() {
					}
				}
			})
		}
	}
}

// Tokens that are as long as may be make names that are longer than any: the tables are
// refused, and what that takes is in proportion to them.
func TestHostileTokens(t *testing.T) {
	x := &fixtures[2]
	window := x.window(t)
	_, _, table, err := x.decode(window)
	if err != nil {
		t.Fatal(err)
	}
	b := slices.Clone(window)
	at, starts := table.tokens.start, []uint16{}
	var tokens []byte
	for i := range 256 {
		starts = append(starts, uint16(len(tokens)))
		token := strings.Repeat("t", 250)
		if i < 3 {
			token += "T"
		}
		tokens = append(append(tokens, token...), 0)
	}
	b = append(b[:at], tokens...)
	b = append(b, make([]byte, align(len(b), 8)-len(b))...)
	for _, s := range starts {
		b = binary.LittleEndian.AppendUint16(b, s)
	}
	b = append(b, window[table.tokens.end:]...)
	alloctest.AtMost(t, 4<<20, "whole tables", func() {
		located, err := locateKallsyms(b, fixtureAddr-fixturePad, x.names+fixturePad)
		if err != nil {
			t.Fatal(err)
		}
		if symbols, err := located.decodeNames(); !errors.Is(err, ErrDamaged) {
			t.Errorf("%d symbols, %v", len(symbols), err)
		}
	})
	r := x.remains(t, b, table)
	for i := range r.tokens256 {
		r.tokens256[i] = []byte(strings.Repeat("t", 250))
	}
	alloctest.AtMost(t, 16<<20, "what remains of tables", func() { r.decodeNames(r.findMarkers()) })
	longest := 0
	for _, s := range r.symbols {
		longest = max(longest, len(s.name))
	}
	if longest > 512 {
		t.Errorf("a name of %d bytes", longest)
	}
}
