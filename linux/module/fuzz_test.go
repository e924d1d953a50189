package module

import (
	"encoding/binary"
	"strings"
	"testing"
)

// FuzzSymbols decodes symbol tables: no more symbols than there is room for, each with a name
// that is among the names.
func FuzzSymbols(f *testing.F) {
	table := make([]byte, 3*elfSymbolSize)
	binary.LittleEndian.PutUint32(table[elfSymbolSize:], 1)
	table[elfSymbolSize+6] = 5
	binary.LittleEndian.PutUint32(table[2*elfSymbolSize:], 1<<31)
	table[2*elfSymbolSize+6] = 5
	f.Add(table, "\x00init_module\x00", []byte(" t"))
	f.Add(table[:30], "no end", []byte{})
	f.Fuzz(func(t *testing.T, table []byte, names string, types []byte) {
		symbols := decodeSymbols(table, names, types)
		if len(symbols) > len(table)/elfSymbolSize {
			t.Fatalf("%d symbols in %d bytes", len(symbols), len(table))
		}
		for _, s := range symbols {
			if s.Name == "" || !strings.Contains(names, s.Name+"\x00") {
				t.Fatalf("%q is no name", s.Name)
			}
		}
	})
}

// FuzzLayout makes areas of what a struct module says: they do not lie over each other, and are as large
// as the whole.
func FuzzLayout(f *testing.F) {
	f.Add(uint64(0xffffffffc0000000), uint32(0x4000), uint32(0x1000), uint32(0x2000), uint32(0x3000))
	f.Add(uint64(1<<64-1), uint32(1<<32-1), uint32(7), uint32(3), uint32(1<<32-1))
	f.Fuzz(func(t *testing.T, base uint64, size, text, readOnly, end uint32) {
		m := newModule(0, &modStruct{Core: modLayout{Base: address64(base), Size: size, Text: text, ReadOnly: readOnly, ReadOnlyEnd: end}}, false)
		sum := uint64(0)
		for i, a := range m.Areas {
			sum += a.Range.Size
			if i > 0 && a.Range.Start != m.Areas[i-1].Range.Start+address64(m.Areas[i-1].Range.Size) {
				t.Fatalf("%v behind %v", a, m.Areas[i-1])
			}
		}
		if sum != m.Size || base != 0 && sum != uint64(size) {
			t.Fatalf("%d bytes of %d", sum, size)
		}
	})
}
