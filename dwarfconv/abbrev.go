package dwarfconv

import (
	"debug/dwarf"
	"errors"
	"fmt"
)

// An abbreviation is compiled into the steps that read the entries it
// abbreviates. Values of fixed size that nobody wants cost nothing: they are
// folded into the distances of the steps around them, so that most entries
// take three or four steps and many take none.
type abbrev struct {
	first    int32 // its steps in the table
	last     int32
	tail     int // bytes after the last base, to the entry's end
	kind     kind
	children bool
}

// A step reads one value, at a distance from the base. The base is where the
// entry's attributes start, and then the end of the latest value of variable
// length.
type step struct {
	code stepCode
	slot slot
	tag  uint8 // becomes the highest bits of a nameRef or typeRef
	rel  uint8 // bytes from the base to the value
	arg  uint32
}

type stepCode uint8

const (
	stepAdvance  stepCode = iota // move the base by arg
	stepU8                       // a number of so many bits
	stepU16                      //
	stepU24                      //
	stepU32                      //
	stepU64                      //
	stepInPlace                  // the value's position
	stepImplicit                 // number arg of the table's constants
	stepULEB                     // from here on: values of variable length, which end at the new base
	stepSLEB                     //
	stepCStr                     //
	stepBlock                    // with a length of arg bytes; 0: LEB128
	stepIndirect                 // a form, and the value; arg: the attribute
)

// maxRel is the greatest distance from the base. It and 8 bytes are less than
// slack.
const maxRel = 255

// An abbrevTable holds the compiled abbreviations that a unit uses.
type abbrevTable struct {
	dense  []abbrev // by code less 1
	steps  []step
	sparse map[uint64]int32 // index in dense of codes out of sequence
	consts []uint64
}

// lookup returns the abbreviation with the given code, or nil.
func (t *abbrevTable) lookup(code uint64) *abbrev {
	if t.sparse != nil {
		return t.lookupSparse(code)
	}
	if code-1 < uint64(len(t.dense)) {
		return &t.dense[code-1]
	}
	return nil
}

func (t *abbrevTable) lookupSparse(code uint64) *abbrev {
	if i, ok := t.sparse[code]; ok {
		return &t.dense[i]
	}
	return nil
}

// Bounds far above what compilers write, so that a hostile table stays small.
const (
	maxAbbrevs     = 1 << 16
	maxAbbrevAttrs = 1 << 20
)

var (
	errTruncated = errors.New("truncated")
	errLimit     = errors.New("beyond a sane limit")
)

// A compiler compiles abbreviations for units of one encoding.
type compiler struct {
	encoding
	*abbrevTable
	rel int // bytes since the base
}

// compileAbbrevs compiles the table at off of data, which is followed by slack.
// It returns the position after the table as well.
func compileAbbrevs(data []byte, off uint64, e encoding) (*abbrevTable, int, error) {
	end := len(data) - slack
	if off >= uint64(max(end, 0)) {
		return nil, 0, fmt.Errorf("abbreviations at %#x: %w", off, errTruncated)
	}
	c := &compiler{encoding: e, abbrevTable: &abbrevTable{}}
	for pos := int(off); pos < end; {
		var code uint64
		code, pos = uleb(data, pos)
		if pos > end {
			break
		}
		if code == 0 {
			return c.abbrevTable, pos, nil
		}
		var err error
		if pos, err = c.abbrev(data, pos, code); err != nil {
			return nil, pos, fmt.Errorf("abbreviation %d of the table at %#x: %w", code, off, err)
		}
	}
	return nil, end, fmt.Errorf("abbreviations at %#x: %w", off, errTruncated)
}

// abbrev compiles one abbreviation, whose tag is at pos.
func (c *compiler) abbrev(data []byte, pos int, code uint64) (int, error) {
	if len(c.dense) == maxAbbrevs || len(c.steps) > maxAbbrevAttrs {
		return pos, errLimit
	}
	end := len(data) - slack
	tag, pos := uleb(data, pos)
	if pos >= end {
		return pos, errTruncated
	}
	a := abbrev{kind: kindOf(dwarf.Tag(min(tag, 1<<31))), children: data[pos] != 0}
	pos++
	a.first = int32(len(c.steps))
	c.rel = 0
	for {
		var attr, f uint64
		attr, pos = uleb(data, pos)
		if pos < end {
			f, pos = uleb(data, pos)
		}
		if pos > end {
			return pos, errTruncated
		}
		if attr == 0 && f == 0 {
			break
		}
		var err error
		if pos, err = c.attribute(data, pos, dwarf.Attr(min(attr, 1<<31)), form(f), a.kind); err != nil {
			return pos, err
		}
	}
	a.tail = c.rel
	a.last = int32(len(c.steps))
	c.add(code, a)
	return pos, nil
}

// attribute compiles one attribute. An implicit constant is at pos.
func (c *compiler) attribute(data []byte, pos int, attr dwarf.Attr, f form, k kind) (int, error) {
	info, err := f.info(c.encoding)
	if err != nil {
		return pos, err
	}
	o := step{slot: slotOf(attr, info.class), tag: info.tag}
	if wanted[k]&(1<<o.slot) == 0 {
		o.slot = slotNone
	}
	implicit := int64(1) // of a flag that is present
	if f == formImplicitConst {
		if implicit, pos = sleb(data, pos); pos > len(data)-slack {
			return pos, errTruncated
		}
	}
	if info.layout == layIndirect {
		o.arg = uint32(attr)
	}
	if len(c.steps) > maxAbbrevAttrs {
		return pos, errLimit
	}
	c.emit(o, info, uint64(implicit))
	return pos, nil
}

// emit adds the step o for a value laid out as info says.
func (c *compiler) emit(o step, info formInfo, implicit uint64) {
	variable := info.layout >= layULEB
	if o.slot == slotNone && !variable {
		c.rel += fixedSize(info)
		return
	}
	if c.rel > maxRel {
		c.steps = append(c.steps, step{code: stepAdvance, arg: uint32(c.rel)})
		c.rel = 0
	}
	o.rel = uint8(c.rel)
	o.code = stepCodeOf(info)
	switch info.layout {
	case layImplicit:
		o.arg = uint32(len(c.consts))
		c.consts = append(c.consts, implicit)
	case layBlock:
		o.arg = uint32(info.size)
	}
	c.steps = append(c.steps, o)
	if variable {
		c.rel = 0
	} else {
		c.rel += fixedSize(info)
	}
}

func fixedSize(info formInfo) int {
	if info.layout == layImplicit {
		return 0
	}
	return int(info.size)
}

func stepCodeOf(info formInfo) stepCode {
	switch info.layout {
	case layFixed:
		switch info.size {
		case 1:
			return stepU8
		case 2:
			return stepU16
		case 3:
			return stepU24
		case 4:
			return stepU32
		}
		return stepU64
	case layInPlace:
		return stepInPlace
	case layImplicit:
		return stepImplicit
	}
	return stepULEB + stepCode(info.layout-layULEB)
}

// add puts a into the table. The codes of real tables count up from 1.
func (t *abbrevTable) add(code uint64, a abbrev) {
	if t.sparse == nil && code != uint64(len(t.dense))+1 {
		t.sparse = make(map[uint64]int32, len(t.dense))
		for i := range t.dense {
			t.sparse[uint64(i)+1] = int32(i)
		}
	}
	if t.sparse != nil {
		t.sparse[code] = int32(len(t.dense))
	}
	t.dense = append(t.dense, a)
}
