package kstruct

import (
	"strings"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/vmem"
)

// maxElements is how many elements of one array are printed.
const maxElements = 1 << 16

// array returns an array of char as text and any other in braces, on one line unless an
// element needs several.
func (s *printing) array(v Value, depth int) string {
	if text, ok := s.text(v); ok {
		return s.spend(text)
	}
	shown, more := s.shown(v)
	parts := make([]string, 0, min(shown, 64))
	lines := false
	for i := range shown {
		if s.left < 0 {
			more = true
			break
		}
		part := s.spendElement(v.Index(i), depth+1)
		lines = lines || strings.Contains(part, "\n")
		parts = append(parts, part)
	}
	if more {
		parts = append(parts, elided)
	}
	switch {
	case len(parts) == 0:
		return "{}"
	case !lines:
		return "{ " + strings.Join(parts, ", ") + " }"
	}
	indent := strings.Repeat("\t", depth+1)
	return "{\n" + indent + strings.Join(parts, ",\n"+indent) + ",\n" + strings.Repeat("\t", depth) + "}"
}

// spendElement returns an element of an array.
func (s *printing) spendElement(v Value, depth int) string {
	if v.err != nil {
		return s.lose(v, v.err)
	}
	if s.left--; s.tooDeep(depth) {
		return elided
	}
	return s.value(v, depth)
}

// shown returns how many elements of an array are printed, and whether others follow that
// ought to be.
func (s *printing) shown(v Value) (n int, more bool) {
	all := v.Len()
	n = min(all, maxElements)
	if s.AllElements {
		return n, n < all
	}
	if n == all {
		for n > 0 && s.isZero(v.Index(n-1), 0) {
			n--
		}
		return n, false
	}
	return n, true
}

// text returns an array as quoted text, where it is one.
func (s *printing) text(v Value) (string, bool) {
	if v.typ.Count == 0 || !v.space.isChar(v.typ.Elem) {
		return "", false
	}
	text, err := v.CString()
	switch {
	case v.space.isPlainChar(v.typ.Elem):
		if err != nil {
			return s.lose(v, err), true
		}
		return quoteC(text), true
	case err != nil || uint64(len(text)) == v.typ.Count || !printable(text):
		return "", false
	}
	return quoteC(text), true
}

// isPlainChar reports whether t is char itself, which is text, and no small integer.
func (s *Space) isPlainChar(t *isf.Type) bool {
	return s.isChar(t) && canonicalBase(t.Name) == "char"
}

// lookBytes is how many bytes are looked at for the price of one that is printed, so that no
// type makes memory be looked at without end.
const lookBytes = 64

// isZero reports whether an object is zero, leaving padding aside. What can't be read is
// not, nor is what is larger than 1 MiB, or of a type that holds itself. depth is how deep v
// lies in what is asked for.
func (s *printing) isZero(v Value, depth int) bool {
	size, err := v.size()
	if err != nil || size > maxBytes || s.left < 0 || depth > isf.MaxTypeDepth {
		return false
	}
	s.left -= int(size / lookBytes)
	if v.typ.Kind != isf.KindBitfield {
		if zero, err := allZero(v.space.mem, v.addr, size); zero || err != nil {
			return zero
		}
	}
	s.left-- // each look costs, so that types that nest widely end
	switch v.typ.Kind {
	case isf.KindBitfield:
		x, err := v.integer()
		return err == nil && x == 0
	case isf.KindStruct, isf.KindUnion, isf.KindClass:
		for _, m := range v.Fields() {
			if m.err != nil || !s.isZero(m, depth+1) {
				return false
			}
		}
		return true
	case isf.KindArray:
		for i := range v.Len() {
			if !s.isZero(v.Index(i), depth+1) {
				return false
			}
		}
		return true
	}
	return false
}

// allZero reports whether the size bytes at addr are zero.
func allZero(mem *vmem.AddressSpace, addr vmem.VirtAddr, size uint64) (bool, error) {
	var buf [256]byte
	for size > 0 {
		b := buf[:min(size, uint64(len(buf)))]
		n, err := mem.ReadVirt(b, addr)
		for _, x := range b[:n] {
			if x != 0 {
				return false, nil
			}
		}
		if err != nil {
			return false, err
		}
		addr, size = addr+vmem.VirtAddr(n), size-uint64(n)
	}
	return true, nil
}
