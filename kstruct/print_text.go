package kstruct

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/nodelens/nodelens/isf"
)

// escapes are the bytes that C has a letter for.
var escapes = map[byte]string{
	'\a': `\a`, '\b': `\b`, '\t': `\t`, '\n': `\n`, '\v': `\v`, '\f': `\f`, '\r': `\r`, '"': `\"`, '\\': `\\`,
}

// quoteC returns text as a C string that is printable ASCII.
func quoteC(text string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i := range len(text) {
		c := text[i]
		switch e, ok := escapes[c]; {
		case ok:
			b.WriteString(e)
		case c < ' ' || c > '~':
			fmt.Fprintf(&b, `\x%02x`, c)
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// plain returns a name with all escaped that names in C don't have.
func plain(name string) string {
	var b strings.Builder
	for i := range len(name) {
		switch c := name[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '_', c == '$', c == '.', c == ' ':
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, `\x%02x`, c)
		}
	}
	return b.String()
}

// printable reports whether text is some printable ASCII.
func printable(text string) bool {
	for i := range len(text) {
		if text[i] < ' ' || text[i] > '~' {
			return false
		}
	}
	return text != ""
}

// cType returns a type as C writes it, as far as the symbols have it.
func (s *Space) cType(t *isf.Type) string {
	inner := ""
	for depth := 0; t != nil && depth < isf.MaxTypeDepth; depth++ {
		switch t.Kind {
		case isf.KindPointer:
			inner = "*" + inner
			if t.Elem != nil && t.Elem.Kind == isf.KindArray {
				inner = "(" + inner + ")"
			}
		case isf.KindArray:
			inner += bound(inner, t.Count)
		case isf.KindBitfield:
		default:
			return strings.TrimSuffix(tagged(t)+" "+inner, " ")
		}
		t = t.Elem
	}
	return "?"
}

// bound returns the bound of an array whose declarator has inner before it. Only the first
// bound of a flexible array may be missing.
func bound(inner string, n uint64) string {
	if n == 0 && !strings.HasSuffix(inner, "]") {
		return "[]"
	}
	return "[" + strconv.FormatUint(n, 10) + "]"
}

// tagged returns the name of a type that is no pointer and no array.
func tagged(t *isf.Type) string {
	switch t.Kind {
	case isf.KindBase:
		return plain(canonicalBase(t.Name))
	case isf.KindStruct, isf.KindUnion, isf.KindClass, isf.KindEnum:
		if strings.HasPrefix(t.Name, "unnamed_") {
			return t.Kind.String() + " <anonymous>"
		}
		return t.Kind.String() + " " + plain(t.Name)
	}
	return t.Kind.String()
}
