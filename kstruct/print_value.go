package kstruct

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/vmem"
)

// A printing is one object on its way to text.
type printing struct {
	Printer
	left int   // how many bytes of text may still come; below 0 where it was not enough
	err  error // the first of memory that could not be read
}

// elided stands for what was left out.
const elided = "..."

// lose notes that something could not be read, and returns what is printed for it.
func (s *printing) lose(v Value, err error) string {
	err = v.lost(err)
	if s.err == nil {
		s.err = err
	}
	return s.spend(lossText(err))
}

// spend takes text from what may still come.
func (s *printing) spend(text string) string {
	s.left -= len(text)
	return text
}

// top returns an object with its type, and what a pointer leads to.
func (s *printing) top(v Value) string {
	if target, ok := s.target(v); ok {
		at := s.address(v.space, target.addr)
		if strings.Contains(at, " ") {
			at = "(" + at + ")"
		}
		return "*" + s.spend(s.typeName(v.typ, v.space)+at) + " = " + s.value(target, 0)
	}
	return s.typed(v, 0)
}

// target returns what a pointer leads to that is to be followed.
func (s *printing) target(v Value) (Value, bool) {
	if v.typ.Kind != isf.KindPointer || s.OmitTargets || v.space.isChar(v.typ.Elem) {
		return v, false
	}
	w := v.Deref()
	size, err := w.size()
	if err != nil || size == 0 {
		return v, false
	}
	_, err = v.space.mem.Uint8(w.addr)
	return w, err == nil
}

// typed returns an object with its type before it.
func (s *printing) typed(v Value, depth int) string {
	name := s.spend(s.typeName(v.typ, v.space))
	return name + s.value(v, depth)
}

// typeName returns a type in parentheses.
func (s *printing) typeName(t *isf.Type, in *Space) string {
	if s.OmitTypes {
		return ""
	}
	return "(" + in.cType(t) + ")"
}

// value returns an object without its type. depth is how many braces surround it.
func (s *printing) value(v Value, depth int) string {
	switch v.typ.Kind {
	case isf.KindStruct, isf.KindUnion, isf.KindClass:
		return s.structure(v, depth)
	case isf.KindArray:
		return s.array(v, depth)
	case isf.KindPointer:
		return s.pointer(v)
	case isf.KindVoid, isf.KindFunction:
		return s.spend(lossText(fmt.Errorf("%s at %v", v.typ.Kind, v.addr)))
	}
	return s.spend(s.number(v))
}

// structure returns the members of a struct or union, one a line.
func (s *printing) structure(v Value, depth int) string {
	if s.tooDeep(depth) {
		return "{ " + elided + " }"
	}
	var b strings.Builder
	indent := strings.Repeat("\t", depth+1)
	for name, m := range v.Fields() {
		if s.left < 0 {
			b.WriteString(indent + elided + "\n")
			break
		}
		if m.err != nil {
			b.WriteString(indent + s.lose(m, m.err) + ",\n")
			continue
		}
		if s.OmitZeros && s.isZero(m, 0) {
			continue
		}
		b.WriteString(s.spend(indent + "." + plain(name) + " = "))
		b.WriteString(s.typed(m, depth+1) + ",\n")
	}
	if b.Len() == 0 {
		return "{}"
	}
	return "{\n" + b.String() + strings.Repeat("\t", depth) + "}"
}

// tooDeep reports whether structures at a depth are left out.
func (s *printing) tooDeep(depth int) bool {
	return depth > isf.MaxTypeDepth || s.MaxDepth > 0 && depth >= s.MaxDepth
}

// number returns an integer, an enumeration or a floating-point number.
func (s *printing) number(v Value) string {
	if name, err := v.Enum(); err == nil {
		return plain(name)
	}
	k, err := v.scalar()
	if err != nil {
		return s.other(v, err)
	}
	x, err := v.read(k)
	switch {
	case err != nil:
		return s.lose(v, err)
	case k.signed:
		return strconv.FormatInt(int64(x), 10)
	}
	return strconv.FormatUint(x, 10)
}

// other returns a number that is no integer of at most 64 bits.
func (s *printing) other(v Value, reason error) string {
	size, err := v.size()
	b, baseErr := v.space.types.BaseType(v.typ.Name)
	if err != nil || baseErr != nil || v.typ.Kind != isf.KindBase {
		return s.lose(v, reason)
	}
	if b.Kind != isf.BaseFloat && size != 16 || size > 16 {
		return s.lose(v, reason)
	}
	words := make([]uint64, 0, 2)
	for at := v; uint64(len(words))*8 < size; at.addr += 8 {
		x, err := at.word(uint32(min(size, 8)))
		if err != nil {
			return s.lose(v, err)
		}
		words = append(words, x)
	}
	switch {
	case size == 16 && words[1] != 0:
		return fmt.Sprintf("0x%x%016x", words[1], words[0])
	case size == 16:
		return fmt.Sprintf("%#x", words[0])
	case size == 8:
		return strconv.FormatFloat(math.Float64frombits(words[0]), 'g', -1, 64)
	case size == 4:
		return strconv.FormatFloat(float64(math.Float32frombits(uint32(words[0]))), 'g', -1, 64)
	}
	return s.lose(v, reason)
}

// address returns an address with the symbol that it belongs to.
func (s *printing) address(in *Space, a vmem.VirtAddr) string {
	if s.OmitSymbols || a < 1<<63 {
		return a.String()
	}
	name, offset, ok := in.SymbolAt(a)
	if !ok {
		return a.String()
	}
	return fmt.Sprintf("%s+%#x = %v", plain(name), offset, a)
}

// pointer returns an address, and the text that a pointer to text leads to.
func (s *printing) pointer(v Value) string {
	p, err := v.integer()
	if err != nil {
		return s.lose(v, err)
	}
	text := s.spend(s.address(v.space, vmem.VirtAddr(p)))
	if s.OmitTargets || !v.space.isChar(v.typ.Elem) {
		return text
	}
	target, err := v.CString()
	if err != nil || !v.space.isPlainChar(v.typ.Elem) && !printable(target) {
		return text
	}
	return text + s.spend(" = "+quoteC(target))
}
