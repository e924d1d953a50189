package dwarfconv

import "debug/dwarf"

// A kind is what a debugging information entry is, as far as it matters here.
type kind uint8

const (
	kindOther  kind = iota // not recorded, its children are looked at
	kindSkip               // not recorded, and jumped over where its end is known
	kindUnit               // a compilation, partial or type unit
	kindStruct             // the next three in the order of isf.Kind
	kindUnion
	kindClass
	kindEnum
	kindEnumerator
	kindMember
	kindBase
	kindTypedef
	kindPointer
	kindArray
	kindDimension // of an array
	kindQualifier // const, volatile, restrict, atomic, ...
	kindFunction  // a function's type
	kindVoid      // an unspecified type
	kindVariable
	kindSubprogram
	kinds
)

// kindOf returns the kind of entries tagged t. Types that C does not have are
// kindOther, so that a reference to one of them is an error.
func kindOf(t dwarf.Tag) kind {
	if t < dwarf.Tag(len(tagKinds)) {
		return tagKinds[t]
	}
	if t == tagGNUCallSite {
		return kindSkip
	}
	return kindOther
}

// tagGNUCallSite is DW_TAG_call_site before DWARF 5.
const tagGNUCallSite dwarf.Tag = 0x4109

// Nothing inside a function type, a call site or an inlined function is ever a
// definition, so these are skipped whole.
var tagKinds = [dwarf.TagImmutableType + 1]kind{
	dwarf.TagCompileUnit:         kindUnit,
	dwarf.TagPartialUnit:         kindUnit,
	dwarf.TagTypeUnit:            kindUnit,
	dwarf.TagSkeletonUnit:        kindUnit,
	dwarf.TagStructType:          kindStruct,
	dwarf.TagUnionType:           kindUnion,
	dwarf.TagClassType:           kindClass,
	dwarf.TagEnumerationType:     kindEnum,
	dwarf.TagEnumerator:          kindEnumerator,
	dwarf.TagMember:              kindMember,
	dwarf.TagBaseType:            kindBase,
	dwarf.TagTypedef:             kindTypedef,
	dwarf.TagPointerType:         kindPointer,
	dwarf.TagReferenceType:       kindPointer,
	dwarf.TagRvalueReferenceType: kindPointer,
	dwarf.TagArrayType:           kindArray,
	dwarf.TagSubrangeType:        kindDimension,
	dwarf.TagConstType:           kindQualifier,
	dwarf.TagVolatileType:        kindQualifier,
	dwarf.TagRestrictType:        kindQualifier,
	dwarf.TagAtomicType:          kindQualifier,
	dwarf.TagPackedType:          kindQualifier,
	dwarf.TagImmutableType:       kindQualifier,
	dwarf.TagSubroutineType:      kindFunction,
	dwarf.TagUnspecifiedType:     kindVoid,
	dwarf.TagVariable:            kindVariable,
	dwarf.TagSubprogram:          kindSubprogram,
	dwarf.TagCallSite:            kindSkip,
	dwarf.TagInlinedSubroutine:   kindSkip,
}

// wanted holds, for each kind, the slots that are read of its entries.
var wanted = [kinds]uint32{
	kindSkip:       1 << slotSibling,
	kindUnit:       1<<slotLanguage | 1<<slotStrOffsets | 1<<slotAddrBase | 1<<slotSplit,
	kindStruct:     wantedOfUser,
	kindUnion:      wantedOfUser,
	kindClass:      wantedOfUser,
	kindEnum:       wantedOfUser | 1<<slotType,
	kindEnumerator: 1<<slotName | 1<<slotValue | 1<<slotSplit,
	kindMember: 1<<slotName | 1<<slotType | 1<<slotByteSize | 1<<slotBitSize | 1<<slotBitOffset | 1<<slotDataBitOffset |
		1<<slotMember | 1<<slotMemberExpr | 1<<slotSplit,
	kindBase:      1<<slotName | 1<<slotByteSize | 1<<slotEncoding | 1<<slotSplit,
	kindTypedef:   1<<slotName | 1<<slotType | 1<<slotSplit,
	kindPointer:   1<<slotType | 1<<slotSplit,
	kindArray:     1<<slotType | 1<<slotSplit,
	kindDimension: 1<<slotCount | 1<<slotUpper,
	kindQualifier: 1<<slotType | 1<<slotSplit,
	kindFunction:  1 << slotSibling,
	kindVariable: 1<<slotName | 1<<slotType | 1<<slotOrigin | 1<<slotDeclaration | 1<<slotExternal |
		1<<slotLocation | 1<<slotSplit,
	kindSubprogram: 1<<slotName | 1<<slotOrigin | 1<<slotLowPC | 1<<slotLowPCx,
}

const wantedOfUser = 1<<slotName | 1<<slotByteSize | 1<<slotDeclaration | 1<<slotSignature | 1<<slotSplit
