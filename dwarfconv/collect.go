package dwarfconv

import (
	"fmt"
	"hash/maphash"

	"github.com/nodelens/nodelens/isf"
)

// A collector gathers what the units that one worker reads define. It holds each
// distinct definition once, however many units there are.
type collector struct {
	scanner
	names     *nameTable
	types     map[uint64]*isf.Type // by hash
	anonymous map[uint64]string    // names by the hash of the content

	unit    unit
	pending []pending // of the unit at hand
	found   []variable

	variants  map[uint64]*variant
	variables []variable
	pointer   uint8 // size of pointers, 0: not yet known
}

// A space is a part of the result in which a name stands for one thing.
type space uint8

const (
	spaceTypes space = iota
	spaceEnums
	spaceBases
	spaceDeclared // variables without an address
)

// A variant is one of the definitions that a name has.
type variant struct {
	key   uint64
	space space
	name  string
	units int    // how many units agree on it
	first uint64 // position of the first definition
	last  uint64 // position of the unit counted last
	def   any    // *isf.UserType, *isf.Enum, *isf.BaseType or *isf.Type
}

// A pending definition awaits the end of its unit: nothing of a damaged unit is
// kept.
type pending struct {
	key   uint64
	fresh *variant // if it is a new one
	unit  *unit    // in which the definition is: that of a typedef may be in another one
	die   int32    // its entry there
	entry int32    // which gives it its name
	space space
}

// A variable is an object with static storage, or a function.
type variable struct {
	name string
	addr uint64
	typ  *isf.Type
	pos  uint64 // of its entry
	top  bool   // not inside a function
}

func newCollector(f *debugFile, seed maphash.Seed) *collector {
	return &collector{
		scanner:   scanner{file: f, tables: make(tableCache)},
		names:     newNameTable(seed),
		types:     make(map[uint64]*isf.Type),
		anonymous: make(map[uint64]string),
		variants:  make(map[uint64]*variant),
	}
}

// collect reads the unit at off of section s.
func (c *collector) collect(s *infoSection, off uint64) error {
	u := &c.unit
	c.pending, c.found, c.foreign.fresh = c.pending[:0], c.found[:0], 0
	if err := u.load(c.file, s, off); err != nil {
		return err
	}
	if err := c.scan(u); err != nil {
		return err
	}
	for i := range u.dies {
		if err := c.entry(u, i); err != nil {
			return u.entryError(i, err)
		}
	}
	for i := range c.pending {
		if err := c.inflate(u, &c.pending[i]); err != nil {
			return u.entryError(int(c.pending[i].entry), err)
		}
	}
	for i := range c.pending {
		c.commit(u, &c.pending[i])
	}
	c.variables = append(c.variables, c.found...)
	if c.pointer == 0 {
		c.pointer = u.addrSize
	}
	return nil
}

// position returns where off of the unit is in the file: .debug_types comes
// after .debug_info.
func (u *unit) position(off uint32) uint64 {
	pos := u.off + uint64(off)
	if u.section.types {
		pos |= 1 << 63
	}
	return pos
}

func (u *unit) entryError(i int, err error) error {
	return fmt.Errorf("entry at %#x: %w", u.off+uint64(u.dies[i].off), err)
}

// entry looks at one entry of the unit.
func (c *collector) entry(u *unit, i int) error {
	d := &u.dies[i]
	switch d.kind {
	case kindStruct, kindUnion, kindClass:
		if d.flags&isDeclared == 0 && !d.isStub() {
			return c.define(u, i, spaceTypes, u, i)
		}
	case kindEnum:
		if !d.isStub() && (d.flags&isDeclared == 0 || d.name != 0) {
			return c.define(u, i, spaceEnums, u, i)
		}
	case kindBase:
		return c.define(u, i, spaceBases, u, i)
	case kindTypedef:
		return c.alias(u, i)
	case kindVariable, kindSubprogram:
		return c.variable(u, i)
	}
	return nil
}

// define notes that entry i of u gives a name to entry j of v.
func (c *collector) define(u *unit, i int, s space, v *unit, j int) error {
	h, _, err := c.contentHash(v, j, 0)
	if err != nil {
		return err
	}
	return c.suspend(u, pending{key: h, space: s, entry: int32(i), unit: v, die: int32(j)})
}

// suspend notes p, whose key so far is the hash of the definition.
func (c *collector) suspend(u *unit, p pending) error {
	n, err := c.nameHash(u, u.dies[p.entry].name, kind(p.space))
	if err != nil {
		return err
	}
	p.key = mix(p.key, n)
	c.pending = append(c.pending, p)
	return nil
}

// alias notes what the typedef i defines, if it is one of a struct, union or
// class itself.
func (c *collector) alias(u *unit, i int) error {
	d := &u.dies[i]
	k, err := c.aliasKind(u, d)
	if err != nil || k == kindOther {
		return err
	}
	v, j, err := c.resolve(u, d.typ)
	if err == nil && v.dies[j].isStub() {
		v, j, err = c.resolve(v, typeRef(v.dies[j].aux))
	}
	if err != nil || v.dies[j].flags&isDeclared != 0 {
		return err
	}
	return c.define(u, i, spaceTypes, v, j)
}

// inflate makes the definition if it is a new one.
func (c *collector) inflate(u *unit, p *pending) error {
	if c.variants[p.key] != nil {
		return nil
	}
	name, err := u.optionalName(u.dies[p.entry].name)
	if err != nil {
		return err
	}
	if name == "" && p.space != spaceBases {
		if name, err = c.anonymousName(p.unit, int(p.die)); err != nil {
			return err
		}
	}
	p.fresh = &variant{key: p.key, space: p.space, name: name}
	switch p.space {
	case spaceTypes:
		p.fresh.def, err = c.userType(p.unit, int(p.die))
	case spaceEnums:
		p.fresh.def, err = c.enum(p.unit, int(p.die))
	case spaceBases:
		p.fresh.def = c.base(p.unit, int(p.die))
	case spaceDeclared:
		p.fresh.def, err = c.typeOf(p.unit, p.unit.dies[p.die].typ)
	}
	return err
}

// commit counts the definition for u.
func (c *collector) commit(u *unit, p *pending) {
	v := c.variants[p.key]
	if v == nil {
		v = p.fresh
		v.first, v.last = u.position(u.dies[p.entry].off), ^uint64(0)
		c.variants[p.key] = v
	}
	// A declaration is better than nothing, but never better than a definition.
	if v.last != u.position(0) && (p.space != spaceEnums || p.unit.dies[p.die].flags&isDeclared == 0) {
		v.units++
		v.last = u.position(0)
	}
}
