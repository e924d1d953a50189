package dwarfconv

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"

	"github.com/nodelens/nodelens/isf"
)

// anonymousName returns the name of the type without one that entry i of u is:
// unnamed_ and a hash of what is in it, so that the same type has the same name
// wherever it comes up, and different ones do not.
func (c *collector) anonymousName(u *unit, i int) (string, error) {
	h, _, err := c.contentHash(u, i, 0)
	if err != nil {
		return "", err
	}
	if name, ok := c.anonymous[h]; ok {
		return name, nil
	}
	var text []byte
	if u.dies[i].kind == kindEnum {
		e, err := c.enum(u, i)
		if err != nil {
			return "", err
		}
		text = appendEnum(nil, e)
	} else {
		t, err := c.userType(u, i)
		if err != nil {
			return "", err
		}
		text = appendUserType(nil, t)
	}
	sum := sha256.Sum256(text)
	name := "unnamed_" + hex.EncodeToString(sum[:8])
	c.anonymous[h] = name
	return name, nil
}

func appendUserType(b []byte, t *isf.UserType) []byte {
	b = append(b, kindNames[t.Kind]...)
	b = append(b, ' ')
	b = strconv.AppendUint(b, t.Size, 10)
	for _, f := range t.Fields {
		b = append(b, ';')
		b = append(b, f.Name...)
		b = append(b, '@')
		b = strconv.AppendUint(b, f.Offset, 10)
		b = append(b, ' ')
		b = appendType(b, f.Type)
	}
	return b
}

func appendEnum(b []byte, e *isf.Enum) []byte {
	b = append(b, "enum "...)
	b = strconv.AppendUint(b, e.Size, 10)
	b = append(b, ' ')
	b = append(b, e.Base...)
	for _, c := range e.Constants {
		b = append(b, ';')
		b = append(b, c.Name...)
		b = append(b, '=')
		b = strconv.AppendInt(b, c.Value, 10)
	}
	return b
}

var kindNames = [...]string{
	isf.KindVoid:     "void",
	isf.KindBase:     "base",
	isf.KindPointer:  "*",
	isf.KindArray:    "[]",
	isf.KindStruct:   "struct",
	isf.KindUnion:    "union",
	isf.KindClass:    "class",
	isf.KindEnum:     "enum",
	isf.KindFunction: "function",
	isf.KindBitfield: ":",
}

// appendType appends a text that no other type has.
func appendType(b []byte, t *isf.Type) []byte {
	for ; t != nil; t = t.Elem {
		b = append(b, kindNames[t.Kind]...)
		b = append(b, ' ')
		b = append(b, t.Name...)
		switch t.Kind {
		case isf.KindArray:
			b = strconv.AppendUint(b, t.Count, 10)
		case isf.KindBitfield:
			b = strconv.AppendUint(b, uint64(t.BitPosition), 10)
			b = append(b, ':')
			b = strconv.AppendUint(b, uint64(t.BitLength), 10)
		}
		b = append(b, ' ')
	}
	return b
}
