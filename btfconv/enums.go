package btfconv

import (
	"cmp"
	"encoding/binary"
	"slices"
	"strings"

	"github.com/nodelens/nodelens/isf"
)

// hasSignedEnums reports whether the producer set kind_flag for enumerations
// with negative values (pahole 1.24, for Linux 6.0); older ones left the sign
// open.
func (c *typeConverter) hasSignedEnums() bool {
	for id := max(c.first, 1); id < c.btf.end(); id++ {
		r, _ := c.btf.lookup(id)
		if r.kind == kindEnum64 || r.kind == kindEnum && r.flag {
			return true
		}
	}
	return false
}

// addEnum adds an enumeration. One of 8 bytes that is no BTF_KIND_ENUM64 (6.0) has
// only the lower halves of its values, and gets no constants.
func (c *typeConverter) addEnum(id uint32, r *btfType) {
	signed := r.flag || !c.signed
	e := isf.Enum{Name: c.names.of(id), Size: uint64(r.size), Constants: c.consts.take(int(r.vlen))}
	if r.kind == kindEnum && r.size == 8 {
		e.Constants = nil
	}
	step := int(knownLayouts[r.kind].elem)
	negative := r.flag
	for i := range e.Constants {
		b := r.extra[i*step:]
		if c.btf.recovered && (c.btf.badEnumerator(r, uint32(i)) || !c.btf.validName(r.enumerator(uint32(i)))) {
			c.lose("constant %d of %s: %w", i, e.Name, ErrDamaged)
			continue
		}
		v := int64(binary.LittleEndian.Uint32(b[4:]))
		switch {
		case r.kind == kindEnum64:
			v |= int64(binary.LittleEndian.Uint32(b[8:])) << 32
		case signed:
			v = int64(int32(v))
		}
		negative = negative || signed && v < 0
		e.Constants[i] = isf.Constant{Name: c.btf.string(binary.LittleEndian.Uint32(b)), Value: v}
	}
	e.Base = c.enumBase(e.Size, negative)
	if c.btf.recovered || c.twice(len(e.Constants), func(i int) uint32 { return r.enumerator(uint32(i)) }) {
		e.Constants = c.soundConstants(&e)
	}
	c.out.Enums = append(c.out.Enums, e)
}

// soundConstants returns the constants of an enumeration that were not lost. Those of one name,
// which no C has, are lost too.
func (c *typeConverter) soundConstants(e *isf.Enum) []isf.Constant {
	seen := map[string]int{}
	for i := range e.Constants {
		seen[e.Constants[i].Name]++
	}
	return slices.DeleteFunc(e.Constants, func(k isf.Constant) bool {
		n := seen[k.Name]
		if k.Name != "" && n > 1 {
			c.lose("%s.%s: there are %d: %w", e.Name, k.Name, n, ErrDamaged)
			seen[k.Name] = -n
		}
		return k.Name == "" || n > 1 || n < 0
	})
}

// enumBase returns the alphabetically first integer of that size and sign, of
// those that C has names for (clang adds __ARRAY_SIZE_TYPE__).
func (c *typeConverter) enumBase(size uint64, signed bool) string {
	name := ""
	bases := c.out.Bases
	if c.under != nil {
		bases = c.under.out.Bases
	}
	for _, b := range bases {
		integer := b.Kind == isf.BaseInt || b.Kind == isf.BaseChar
		if integer && b.Size == size && b.Signed == signed && !strings.HasPrefix(b.Name, "__") && (name == "" || b.Name < name) {
			name = b.Name
		}
	}
	return cmp.Or(name, "void")
}
