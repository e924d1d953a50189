package dwarfconv

import (
	"debug/elf"
	"errors"
	"fmt"
	"testing"
)

// namedUnit is a unit with one type of that name.
func namedUnit(name string) []byte {
	u := newUnit()
	i := u.base()
	u.uleb(abbrevStruct).str(name).uleb(4).uleb(abbrevMember).str("x").u32(i).uleb(0).u8(0)
	return u.end()
}

// Whichever byte of a unit's header is damaged: that costs this unit, and is told, and all others are there.
func TestUnitsFoundAgain(t *testing.T) {
	const units, bad = 8, 3
	resumed := 0
	for at := range 11 {
		for _, change := range []byte{1, 0x10, 0x80, 0xff} {
			var all [][]byte
			for i := range units {
				all = append(all, namedUnit(fmt.Sprintf("type%d", i)))
			}
			all[bad][at] ^= change
			f, warned := convertWarned(t, handmadeELF(elf.ET_EXEC, debugSections(all...)...))
			if len(warned) == 0 {
				t.Errorf("byte %d changed by %#x: nothing told", at, change)
			}
			for _, err := range warned {
				if e, ok := errors.AsType[*UnitError](err); ok && e.Next > 0 {
					resumed++
				}
			}
			for i := range units {
				if _, err := f.Field(fmt.Sprintf("type%d", i), "x"); i != bad && err != nil {
					t.Errorf("byte %d changed by %#x: unit %d: %v; warned %v", at, change, i, err, warned)
				}
			}
		}
	}
	if resumed == 0 {
		t.Error("units were never found again")
	}
}
