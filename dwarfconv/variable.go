package dwarfconv

import (
	"fmt"

	"github.com/nodelens/nodelens/isf"
)

// maxOrigins bounds how often the entry of a variable refers to another one for
// its name and type.
const maxOrigins = 8

// variable notes the variable or function that entry i of u is.
func (c *collector) variable(u *unit, i int) error {
	d := &u.dies[i]
	if d.flags&isStatic == 0 {
		if d.flags&isDeclared == 0 || d.name == 0 {
			return nil
		}
		h, err := c.typeHash(u, d.typ, 0)
		if err != nil {
			return err
		}
		return c.suspend(u, pending{key: h, space: spaceDeclared, entry: int32(i), unit: u, die: int32(i)})
	}
	named, typed, err := c.origins(u, d)
	if err != nil || named.entry.name == 0 {
		return err
	}
	if d.flags&isByte != 0 && c.sizeOf(typed.unit, typed.entry.typ, 0) != 1 {
		return nil // what is in memory has not the type of the source
	}
	v := variable{addr: d.val, pos: u.position(d.off), top: d.flags&isTop != 0}
	if v.name, err = named.unit.name(named.entry.name); err != nil {
		return err
	}
	if d.kind == kindSubprogram {
		v.typ = functionType
	} else if v.typ, err = c.typeOf(typed.unit, typed.entry.typ); err != nil {
		return err
	}
	c.found = append(c.found, v)
	return nil
}

var functionType = &isf.Type{Kind: isf.KindFunction}

// A located is an entry together with the unit that its references count in.
type located struct {
	unit  *unit
	entry die
}

// origins returns the entries that have the name and the type of d: itself, or
// the declaration or abstract instance that it refers to.
func (c *collector) origins(u *unit, d *die) (named, typed located, err error) {
	here := located{u, *d}
	named, typed = here, here
	for n := 0; here.entry.aux != 0 && (named.entry.name == 0 || typed.entry.typ == 0); n++ {
		if n == maxOrigins {
			return named, typed, errDepth
		}
		if here, err = c.origin(here.unit, typeRef(here.entry.aux)); err != nil {
			return named, typed, err
		}
		if named.entry.name == 0 {
			named = here
		}
		if typed.entry.typ == 0 {
			typed = here
		}
	}
	return named, typed, nil
}

// origin returns the variable or function that ref in u refers to. Those on the
// stack were not recorded: they are read anew.
func (c *collector) origin(u *unit, ref typeRef) (located, error) {
	off := uint64(ref) & refMask
	if ref>>refBits == refGlobal {
		start, ok := c.file.info.unitAt(off)
		if !ok {
			return located{}, fmt.Errorf("%w at %#x", errReference, off)
		}
		off -= start
		if start != u.off || u.section.types {
			var err error
			if u, err = c.foreignUnit(c.file.info, start); err != nil {
				return located{}, err
			}
		}
	}
	if i := u.find(off); i >= 0 {
		return located{u, u.dies[i]}, nil
	}
	d, err := c.entryAt(u, off)
	return located{u, d}, err
}

// entryAt reads the name, type and origin of the entry at off of u.
func (s *scanner) entryAt(u *unit, off uint64) (die, error) {
	if off < uint64(u.first) || off >= uint64(u.end) {
		return die{}, fmt.Errorf("%w at %#x", errReference, off)
	}
	var err error
	if s.table, err = s.tables.get(u); err != nil {
		return die{}, err
	}
	code, pos := uleb(u.data, int(off))
	a := s.table.lookup(code)
	if a == nil || pos > u.end {
		return die{}, fmt.Errorf("%w %d", errAbbrev, code)
	}
	s.have = 0
	if pos, err = s.attrs(u, a, pos); err != nil || pos > u.end {
		return die{}, errTruncated
	}
	return die{off: uint32(off), name: nameRef(s.get(slotName)), typ: typeRef(s.get(slotType)), aux: s.get(slotOrigin)}, nil
}
