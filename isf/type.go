package isf

import (
	"strconv"
	"strings"
)

// MaxTypeDepth is how deep types nest in one another, by Elem: that of a char is 1,
// of a pointer to it 2. The kernel has less than ten levels; the limit keeps
// recursion and cycles in bounds. New and Decode refuse what is deeper.
const MaxTypeDepth = 100

var kindNames = [...]string{
	KindVoid: "void", KindBase: "base", KindPointer: "pointer", KindArray: "array", KindStruct: "struct", KindUnion: "union",
	KindClass: "class", KindEnum: "enum", KindFunction: "function", KindBitfield: "bitfield",
}

// String returns the kind as ISF spells it, and "void" for the base type void.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "Kind(" + strconv.Itoa(int(k)) + ")"
}

// aggregate reports whether types of the kind have members.
func (k Kind) aggregate() bool { return k == KindStruct || k == KindUnion || k == KindClass }

var baseKindNames = [...]string{BaseVoid: "void", BaseInt: "int", BaseChar: "char", BaseBool: "bool", BaseFloat: "float"}

// String returns the kind as ISF spells it.
func (k BaseKind) String() string {
	if int(k) < len(baseKindNames) {
		return baseKindNames[k]
	}
	return "BaseKind(" + strconv.Itoa(int(k)) + ")"
}

// depth returns how many types t nests, itself included: more than MaxTypeDepth
// where they are more, or have no end.
func (t *Type) depth() (n int) {
	for ; t != nil && n <= MaxTypeDepth; n++ {
		t = t.Elem
	}
	return n
}

// String returns the type much as C writes it, read from left to right:
// "struct list_head", "char *[4]", "unsigned int:3".
func (t *Type) String() string { return t.describe(MaxTypeDepth) }

func (t *Type) describe(depth int) string {
	if t == nil || depth == 0 {
		return "?"
	}
	switch t.Kind {
	case KindBase:
		return t.Name
	case KindStruct, KindUnion, KindClass, KindEnum:
		return t.Kind.String() + " " + t.Name
	case KindPointer:
		elem := t.Elem.describe(depth - 1)
		if !strings.HasSuffix(elem, "*") {
			elem += " "
		}
		return elem + "*"
	case KindArray:
		return t.Elem.describe(depth-1) + "[" + strconv.FormatUint(t.Count, 10) + "]"
	case KindBitfield:
		return t.Elem.describe(depth-1) + ":" + strconv.Itoa(int(t.BitLength))
	}
	return t.Kind.String()
}
