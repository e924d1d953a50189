package btfconv

import (
	"slices"

	"github.com/nodelens/nodelens/isf"
)

// abiBases are the scalars that every kernel for x86-64 has, as gcc calls them. What they are is
// fixed by the psABI, whatever is left of their records.
var abiBases = []isf.BaseType{
	{Name: "int", Size: 4, Kind: isf.BaseInt, Signed: true},
	{Name: "unsigned int", Size: 4, Kind: isf.BaseInt},
	{Name: "long int", Size: 8, Kind: isf.BaseInt, Signed: true},
	{Name: "long unsigned int", Size: 8, Kind: isf.BaseInt},
	{Name: "long long int", Size: 8, Kind: isf.BaseInt, Signed: true},
	{Name: "long long unsigned int", Size: 8, Kind: isf.BaseInt},
	{Name: "short int", Size: 2, Kind: isf.BaseInt, Signed: true},
	{Name: "short unsigned int", Size: 2, Kind: isf.BaseInt},
	{Name: "signed char", Size: 1, Kind: isf.BaseChar, Signed: true},
	{Name: "unsigned char", Size: 1, Kind: isf.BaseChar},
	{Name: "char", Size: 1, Kind: isf.BaseChar, Signed: true}, // unsigned since 6.2
	{Name: "_Bool", Size: 1, Kind: isf.BaseBool},
	{Name: "__int128", Size: 16, Kind: isf.BaseInt, Signed: true},
	{Name: "__int128 unsigned", Size: 16, Kind: isf.BaseInt},
}

// abiName returns the name of the first scalar that is like one whose name was lost.
func abiName(b isf.BaseType) string {
	if b.Kind == isf.BaseInt && b.Size == 1 {
		b.Kind = isf.BaseChar
	}
	for _, a := range abiBases {
		if a.Size == b.Size && a.Kind == b.Kind && a.Signed == b.Signed {
			return a.Name
		}
	}
	if b.Size == 8 {
		return "double"
	}
	return "float"
}

// lostName gives a scalar whose name was lost that of one like it.
func lostName(b isf.BaseType) isf.BaseType {
	if b.Name = abiName(b); b.Size == 1 && b.Kind == isf.BaseInt {
		b.Kind = isf.BaseChar
	}
	return b
}

// addABI adds the scalars that may be among what is lost. Those of clang, which has other
// names for them, are found under these.
func (c *typeConverter) addABI() {
	isClang := func(b isf.BaseType) bool { return b.Name == "long" || b.Name == "short" || b.Name == "unsigned long" }
	if c.btf.lost == 0 || slices.ContainsFunc(c.out.Bases, isClang) {
		return
	}
	for _, a := range abiBases {
		if !slices.ContainsFunc(c.out.Bases, func(b isf.BaseType) bool { return b.Name == a.Name }) {
			c.out.Bases = append(c.out.Bases, a)
		}
	}
}
