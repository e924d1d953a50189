package dwarfconv

import (
	"errors"
	"math/bits"

	"github.com/nodelens/nodelens/isf"
)

// Definitions are compared by hashes of what a conversion makes of them: units
// hold the same few thousand definitions over and over, and only the first of
// each is looked at any closer. Names enter with a seed that differs from run
// to run, so that nobody can prepare a collision.

var errDepth = errors.New("types nested too deep, or in a cycle")

// maxDepth bounds how many types hang on each other without a name in between: the
// last of them has a name or needs none. The lowest byte of a type's hash counts them.
const maxDepth = isf.MaxTypeDepth - 1

// maxChain bounds how far the entries of a type are followed, typedefs and qualifiers
// included, of which a type has none.
const maxChain = 1000

// over returns the hash h of a type as that of one built upon another type.
func over(h, elem uint64) (uint64, error) {
	depth := elem&0xff + 1
	if depth > maxDepth {
		return 0, errDepth
	}
	return h&^0xff | depth, nil
}

// flat returns the hash h of a type as that of one built upon nothing.
func flat(h uint64) uint64 { return h &^ 0xff }

// mix returns a hash of h and v, neither of which can be told from it.
func mix(h, v uint64) uint64 {
	hi, lo := bits.Mul64(h^0xa0761d6478bd642f, v^0xe7037ed1a0b428db)
	return hi ^ lo
}

// typeHash returns the hash of the type that ref in u refers to, as others refer
// to it: by name if it has one.
func (c *collector) typeHash(u *unit, ref typeRef, depth int) (uint64, error) {
	if ref == 0 {
		return flat(mix(uint64(kindVoid), 0)), nil
	}
	if ref>>refBits == refLocal {
		if i := u.find(uint64(ref) & refMask); i >= 0 && u.dies[i].hash != 0 {
			return u.dies[i].hash, nil
		}
	}
	u, i, err := c.resolve(u, ref)
	if err != nil {
		return 0, err
	}
	return c.entryHash(u, i, depth)
}

// entryHash is typeHash for entry i of u.
func (c *collector) entryHash(u *unit, i, depth int) (uint64, error) {
	d := &u.dies[i]
	if d.hash != 0 {
		return d.hash, nil
	}
	if depth == maxChain {
		return 0, errDepth
	}
	h, err := c.newEntryHash(u, i, depth+1)
	if err != nil {
		return 0, err
	}
	d.hash = h
	return h, nil
}

func (c *collector) newEntryHash(u *unit, i, depth int) (uint64, error) {
	d := &u.dies[i]
	switch d.kind {
	case kindBase:
		return c.nameHash(u, d.name, d.kind)
	case kindStruct, kindUnion, kindClass, kindEnum:
		return c.userHash(u, i, depth)
	case kindTypedef:
		return c.typedefHash(u, d, depth)
	case kindQualifier:
		return c.typeHash(u, d.typ, depth)
	case kindPointer:
		elem, err := c.typeHash(u, d.typ, depth)
		if err != nil {
			return 0, err
		}
		return over(mix(uint64(kindPointer), elem), elem)
	case kindArray:
		return c.arrayHash(u, d, depth)
	case kindFunction, kindVoid:
		return flat(mix(uint64(d.kind), 0)), nil
	}
	return 0, errReference
}

func (c *collector) arrayHash(u *unit, d *die, depth int) (uint64, error) {
	elem, err := c.typeHash(u, d.typ, depth)
	if err != nil {
		return 0, err
	}
	h := mix(uint64(kindArray), elem)
	for j := d.first; j != 0; j = u.dies[j].next {
		h = mix(h, u.dies[j].val)
		if elem, err = over(elem, elem); err != nil {
			return 0, err
		}
	}
	return over(h, elem)
}

// nameHash returns the hash of the name at ref among the things of one kind.
func (c *collector) nameHash(u *unit, ref nameRef, k kind) (uint64, error) {
	if ref == 0 {
		return flat(mix(uint64(k), 1)), nil
	}
	h, err := c.names.hash(u, ref)
	return flat(mix(uint64(k), h)), err
}

// userHash is entryHash for a struct, union, class or enumeration.
func (c *collector) userHash(u *unit, i, depth int) (uint64, error) {
	d := &u.dies[i]
	if d.name != 0 {
		return c.nameHash(u, d.name, d.kind)
	}
	if d.isStub() {
		return c.typeHash(u, typeRef(d.aux), depth)
	}
	h, deepest, err := c.contentHash(u, i, depth)
	if err != nil {
		return 0, err
	}
	return over(h, deepest)
}

// typedefHash is entryHash for a typedef. See doc.go for what they name.
func (c *collector) typedefHash(u *unit, d *die, depth int) (uint64, error) {
	k, err := c.aliasKind(u, d)
	if err != nil {
		return 0, err
	}
	if k == kindOther {
		return c.typeHash(u, d.typ, depth)
	}
	return c.nameHash(u, d.name, k)
}

// aliasKind returns the kind of what the typedef d is for if that is a struct,
// union or class itself, and kindOther if not.
func (c *collector) aliasKind(u *unit, d *die) (kind, error) {
	if d.typ == 0 || d.name == 0 {
		return kindOther, nil
	}
	u, i, err := c.resolve(u, d.typ)
	if err != nil {
		return kindOther, err
	}
	switch k := u.dies[i].kind; k {
	case kindStruct, kindUnion, kindClass:
		return k, nil
	}
	return kindOther, nil
}

// contentHash returns the hash of a definition, whatever its name, and how deep
// the types of its members are.
func (c *collector) contentHash(u *unit, i, depth int) (h, deepest uint64, err error) {
	d := &u.dies[i]
	h = mix(uint64(d.kind), d.val)
	switch d.kind {
	case kindBase:
		return mix(h, d.aux), 0, nil
	case kindEnum:
		h, err = c.enumHash(u, d, h, depth)
		return h, 0, err
	}
	for j := d.first; j != 0; {
		m := &u.dies[j]
		t, err := c.typeHash(u, m.typ, depth)
		if err != nil {
			return 0, 0, err
		}
		var n uint64
		if m.name != 0 {
			if n, err = c.names.hash(u, m.name); err != nil {
				return 0, 0, err
			}
		}
		h = mix(h^n, m.val)
		h = mix(h^t, m.aux<<8|uint64(m.flags))
		deepest = max(deepest, t&0xff)
		j = m.next
	}
	return h, deepest, nil
}

// enumHash adds the base type and the enumerators of d to h.
func (c *collector) enumHash(u *unit, d *die, h uint64, depth int) (uint64, error) {
	t, err := c.typeHash(u, d.typ, depth)
	if err != nil {
		return 0, err
	}
	h = mix(h, t)
	for j := d.first; j != 0; {
		e := &u.dies[j]
		n, err := c.nameHash(u, e.name, kindEnumerator)
		if err != nil {
			return 0, err
		}
		h = mix(h^n, e.val)
		j = e.next
	}
	return h, nil
}
