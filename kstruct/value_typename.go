package kstruct

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/nodelens/nodelens/isf"
)

// maxTypeName is how long a type may be written, in bytes.
const maxTypeName = 1000

// parseType returns the type that is written in C: the name of a struct, union, class,
// enum or base type, then any number of asterisks, then array bounds. There are no
// typedefs in the symbols but those of types that have no other name; the kernel's own
// names of integers are known all the same.
func (s *Space) parseType(text string) (*isf.Type, error) {
	if len(text) > maxTypeName {
		return nil, fmt.Errorf("%w: a type of %d bytes", ErrType, len(text))
	}
	name, bounds, array := strings.Cut(text, "[")
	stars := strings.Count(name, "*")
	name = strings.TrimRight(name, "* ")
	t, err := s.namedType(strings.Fields(name))
	if err == nil && stars+strings.Count(bounds, "[") >= isf.MaxTypeDepth-1 {
		err = fmt.Errorf("%w: it nests too deep", ErrType)
	}
	if err != nil {
		return nil, err
	}
	for range stars {
		t = &isf.Type{Kind: isf.KindPointer, Elem: t}
	}
	if !array {
		return t, nil
	}
	return arrays(t, strings.Split(bounds, "["))
}

// arrays returns the array of t with the given bounds, each with its closing bracket.
func arrays(t *isf.Type, bounds []string) (*isf.Type, error) {
	for _, b := range slices.Backward(bounds) {
		digits, closed := strings.CutSuffix(strings.TrimSpace(b), "]")
		n, err := strconv.ParseUint("0"+digits, 10, 64)
		if err != nil || !closed {
			return nil, fmt.Errorf("%w: bad bound [%s", ErrType, b)
		}
		t = &isf.Type{Kind: isf.KindArray, Count: n, Elem: t}
	}
	return t, nil
}

// namedType returns the type that words name.
func (s *Space) namedType(words []string) (*isf.Type, error) {
	name := strings.Join(words, " ")
	if len(words) == 0 || strings.Contains(name, "*") {
		return nil, fmt.Errorf("%w: no type %q", ErrType, name)
	}
	switch {
	case len(words) == 2 && (words[0] == "struct" || words[0] == "union" || words[0] == "class"):
		return s.userType(words[1])
	case len(words) == 2 && words[0] == "enum":
		if _, err := s.types.Enum(words[1]); err != nil {
			return nil, unknown(err)
		}
		return &isf.Type{Kind: isf.KindEnum, Name: words[1]}, nil
	case name == "void":
		return &isf.Type{}, nil
	}
	t, err := s.userType(name)
	if err == nil {
		return t, nil
	}
	if t := s.baseType(words); t != nil {
		return t, nil
	}
	if _, err := s.types.Enum(name); err == nil {
		return &isf.Type{Kind: isf.KindEnum, Name: name}, nil
	}
	return nil, err
}

func (s *Space) userType(name string) (*isf.Type, error) {
	u, err := s.types.UserType(name)
	if err != nil {
		return nil, unknown(err)
	}
	return &isf.Type{Kind: u.Kind, Name: u.Name}, nil
}

// baseType returns the base type that words name, by its own name, in another order of
// words, or as an integer of that size; nil if there is none.
func (s *Space) baseType(words []string) *isf.Type {
	name := strings.Join(words, " ")
	if _, err := s.types.BaseType(name); err == nil {
		return &isf.Type{Kind: isf.KindBase, Name: name}
	}
	spelled := canonicalBase(name)
	size, signed, sized := sizedInt(name)
	for b := range s.types.BaseTypes() {
		if b.Name == "pointer" {
			continue
		}
		if canonicalBase(b.Name) == spelled || sized && b.Size == size && b.Signed == signed && (b.Kind == isf.BaseInt || size == 1 && b.Kind == isf.BaseChar) {
			return &isf.Type{Kind: isf.KindBase, Name: b.Name}
		}
	}
	return nil
}

// canonicalBase returns the C name of a base type in the usual spelling, whatever order
// its words have: "unsigned long" for "long unsigned int".
func canonicalBase(name string) string {
	var unsigned, short, char bool
	var long int
	for word := range strings.FieldsSeq(name) {
		switch word {
		case "unsigned":
			unsigned = true
		case "short":
			short = true
		case "long":
			long++
		case "char":
			char = true
		case "int":
		case "signed":
		default:
			return boolName(name)
		}
	}
	spelled := "int"
	switch {
	case char:
		spelled = "char"
	case short:
		spelled = "short"
	case long > 0:
		spelled = strings.TrimSuffix(strings.Repeat("long ", min(long, 2)), " ")
	}
	if char && !unsigned && strings.Contains(name, "signed") {
		return "signed char"
	}
	if unsigned {
		return "unsigned " + spelled
	}
	return spelled
}

func boolName(name string) string {
	if name == "bool" {
		return "_Bool"
	}
	return name
}

// sizedInt returns the size and the sign of the integers that the kernel names by their
// size: u8, __s32, uint64_t, __be16, __le32.
func sizedInt(name string) (size uint64, signed, ok bool) {
	n := strings.TrimSuffix(strings.TrimPrefix(name, "__"), "_t")
	for _, p := range []string{"uint", "int", "be", "le", "u", "s"} {
		digits, found := strings.CutPrefix(n, p)
		if !found {
			continue
		}
		bits, err := strconv.ParseUint(digits, 10, 8)
		if err != nil || bits != 8 && bits != 16 && bits != 32 && bits != 64 {
			return 0, false, false
		}
		return bits / 8, p == "int" || p == "s", true
	}
	return 0, false, false
}
