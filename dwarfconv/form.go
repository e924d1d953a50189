package dwarfconv

import (
	"debug/dwarf"
	"errors"
	"fmt"
)

// A form says how an attribute's value is encoded (DWARF 5, section 7.5.6).
type form uint64

// The forms of DWARF 2 to 5 and GNU's own.
const (
	formAddr          form = 0x01
	formBlock2        form = 0x03
	formBlock4        form = 0x04
	formData2         form = 0x05
	formData4         form = 0x06
	formData8         form = 0x07
	formString        form = 0x08
	formBlock         form = 0x09
	formBlock1        form = 0x0a
	formData1         form = 0x0b
	formFlag          form = 0x0c
	formSdata         form = 0x0d
	formStrp          form = 0x0e
	formUdata         form = 0x0f
	formRefAddr       form = 0x10
	formRef1          form = 0x11
	formRef2          form = 0x12
	formRef4          form = 0x13
	formRef8          form = 0x14
	formRefUdata      form = 0x15
	formIndirect      form = 0x16
	formSecOffset     form = 0x17
	formExprloc       form = 0x18
	formFlagPresent   form = 0x19
	formStrx          form = 0x1a
	formAddrx         form = 0x1b
	formRefSup4       form = 0x1c
	formStrpSup       form = 0x1d
	formData16        form = 0x1e
	formLineStrp      form = 0x1f
	formRefSig8       form = 0x20
	formImplicitConst form = 0x21
	formLoclistx      form = 0x22
	formRnglistx      form = 0x23
	formRefSup8       form = 0x24
	formStrx1         form = 0x25
	formStrx2         form = 0x26
	formStrx3         form = 0x27
	formStrx4         form = 0x28
	formAddrx1        form = 0x29
	formAddrx2        form = 0x2a
	formAddrx3        form = 0x2b
	formAddrx4        form = 0x2c
	formGNUAddrIndex  form = 0x1f01
	formGNUStrIndex   form = 0x1f02
	formGNURefAlt     form = 0x1f20
	formGNUStrpAlt    form = 0x1f21
)

// An encoding is what the length of values depends on besides their form.
type encoding struct {
	version  uint8
	addrSize uint8 // in bytes: 4 or 8
	offSize  uint8 // in bytes: 4 in the 32-bit DWARF format, 8 in the 64-bit one
}

// A class is what an attribute's value means.
type class uint8

const (
	classNone      class = iota // no such form
	classOther                  // of no use here: lists, ranges, wide constants
	classConst                  // a number or a flag
	classOffset                 // an offset in another section
	className                   // a nameRef
	classRef                    // a typeRef
	classBlock                  // a block or an expression
	classAddr                   // an address
	classAddrx                  // an index into .debug_addr
	classElsewhere              // something in another file
	classes
)

// A layout says how the bytes of a form's value are laid out.
type layout uint8

const (
	layFixed    layout = iota // size bytes, the value
	layInPlace                // size bytes, of which the position is the value
	layImplicit               // nothing; the value is in the abbreviation
	layULEB                   // an unsigned LEB128 number
	laySLEB                   // a signed LEB128 number
	layCStr                   // bytes up to a NUL
	layBlock                  // a length of size bytes (0: an unsigned LEB128 number), and as many bytes
	layIndirect               // the form itself as an unsigned LEB128 number, and the value
)

type formInfo struct {
	class  class
	layout layout
	size   uint8
	tag    uint8 // what kind of nameRef or typeRef the value becomes
}

var errForm = errors.New("unknown form")

// fixedForms are the forms whose layout depends on nothing.
var fixedForms = [formAddrx4 + 1]formInfo{
	formBlock1:        {class: classBlock, layout: layBlock, size: 1},
	formBlock2:        {class: classBlock, layout: layBlock, size: 2},
	formBlock4:        {class: classBlock, layout: layBlock, size: 4},
	formBlock:         {class: classBlock, layout: layBlock},
	formExprloc:       {class: classBlock, layout: layBlock},
	formData1:         {class: classConst, size: 1},
	formData2:         {class: classConst, size: 2},
	formData4:         {class: classConst, size: 4},
	formData8:         {class: classConst, size: 8},
	formData16:        {class: classOther, size: 16},
	formSdata:         {class: classConst, layout: laySLEB},
	formUdata:         {class: classConst, layout: layULEB},
	formImplicitConst: {class: classConst, layout: layImplicit},
	formFlag:          {class: classConst, size: 1},
	formFlagPresent:   {class: classConst, layout: layImplicit},
	formString:        {class: className, layout: layCStr, tag: nameInline},
	formStrx:          {class: className, layout: layULEB, tag: nameIndex},
	formStrx1:         {class: className, size: 1, tag: nameIndex},
	formStrx2:         {class: className, size: 2, tag: nameIndex},
	formStrx3:         {class: className, size: 3, tag: nameIndex},
	formStrx4:         {class: className, size: 4, tag: nameIndex},
	formRef1:          {class: classRef, size: 1, tag: refLocal},
	formRef2:          {class: classRef, size: 2, tag: refLocal},
	formRef4:          {class: classRef, size: 4, tag: refLocal},
	formRef8:          {class: classRef, size: 8, tag: refLocal},
	formRefUdata:      {class: classRef, layout: layULEB, tag: refLocal},
	formRefSig8:       {class: classRef, layout: layInPlace, size: 8, tag: refSignature},
	formAddrx:         {class: classAddrx, layout: layULEB},
	formAddrx1:        {class: classAddrx, size: 1},
	formAddrx2:        {class: classAddrx, size: 2},
	formAddrx3:        {class: classAddrx, size: 3},
	formAddrx4:        {class: classAddrx, size: 4},
	formLoclistx:      {class: classOther, layout: layULEB},
	formRnglistx:      {class: classOther, layout: layULEB},
	formIndirect:      {class: classOther, layout: layIndirect},
	formRefSup4:       {class: classElsewhere, size: 4},
	formRefSup8:       {class: classElsewhere, size: 8},
}

// info returns how values of form f are laid out in a unit encoded as e.
func (f form) info(e encoding) (formInfo, error) {
	if f < form(len(fixedForms)) && fixedForms[f].class != classNone {
		return fixedForms[f], nil
	}
	switch f {
	case formAddr:
		return formInfo{class: classAddr, size: e.addrSize}, nil
	case formStrp:
		return formInfo{class: className, size: e.offSize, tag: nameStr}, nil
	case formLineStrp:
		return formInfo{class: className, size: e.offSize, tag: nameLineStr}, nil
	case formSecOffset:
		return formInfo{class: classOffset, size: e.offSize}, nil
	case formGNUStrIndex:
		return fixedForms[formStrx], nil
	case formGNUAddrIndex:
		return fixedForms[formAddrx], nil
	case formStrpSup, formGNUStrpAlt, formGNURefAlt:
		return formInfo{class: classElsewhere, size: e.offSize}, nil
	case formRefAddr:
		if e.version == 2 { // as long as an address in DWARF 2, as an offset since
			return formInfo{class: classRef, size: e.addrSize, tag: refGlobal}, nil
		}
		return formInfo{class: classRef, size: e.offSize, tag: refGlobal}, nil
	}
	return formInfo{}, fmt.Errorf("%w %#x", errForm, uint64(f))
}

// A slot is where the value of an attribute of interest is put.
type slot uint8

const (
	slotNone slot = iota
	slotSibling
	slotName
	slotType
	slotOrigin // DW_AT_specification or DW_AT_abstract_origin
	slotByteSize
	slotBitSize
	slotBitOffset     // from the most significant bit of the storage unit (DWARF 2 and 3)
	slotDataBitOffset // from the start of the enclosing type (since DWARF 4)
	slotMember        // DW_AT_data_member_location, a number
	slotMemberExpr    // the same, an expression
	slotDeclaration
	slotExternal
	slotSignature
	slotEncoding
	slotValue
	slotCount
	slotUpper
	slotLocation
	slotLowPC
	slotLowPCx
	slotLanguage
	slotStrOffsets
	slotAddrBase
	slotSplit // the name of the file that has the rest of the unit
	slots
)

// GNU's attributes of split units before DWARF 5.
const (
	attrGNUDwoName  dwarf.Attr = 0x2130
	attrGNUAddrBase dwarf.Attr = 0x2133
)

// slotOf returns where the value of attribute a goes if it is of class c, and
// slotNone where it is of no use.
func slotOf(a dwarf.Attr, c class) slot {
	switch {
	case a < dwarf.Attr(len(attrSlots[0])):
		return attrSlots[c][a]
	case a == attrGNUDwoName:
		return slotSplit
	case a == attrGNUAddrBase && c == classOffset:
		return slotAddrBase
	}
	return slotNone
}

var attrSlots = [classes][dwarf.AttrLoclistsBase]slot{
	classConst: {
		dwarf.AttrByteSize:      slotByteSize,
		dwarf.AttrBitSize:       slotBitSize,
		dwarf.AttrBitOffset:     slotBitOffset,
		dwarf.AttrDataBitOffset: slotDataBitOffset,
		dwarf.AttrDataMemberLoc: slotMember,
		dwarf.AttrDeclaration:   slotDeclaration,
		dwarf.AttrExternal:      slotExternal,
		dwarf.AttrEncoding:      slotEncoding,
		dwarf.AttrConstValue:    slotValue,
		dwarf.AttrCount:         slotCount,
		dwarf.AttrUpperBound:    slotUpper,
		dwarf.AttrLanguage:      slotLanguage,
	},
	classOffset: {
		dwarf.AttrStrOffsetsBase: slotStrOffsets,
		dwarf.AttrAddrBase:       slotAddrBase,
	},
	className: {
		dwarf.AttrName:    slotName,
		dwarf.AttrDwoName: slotSplit,
	},
	classRef: {
		dwarf.AttrSibling:        slotSibling,
		dwarf.AttrType:           slotType,
		dwarf.AttrSpecification:  slotOrigin,
		dwarf.AttrAbstractOrigin: slotOrigin,
		dwarf.AttrSignature:      slotSignature,
	},
	classBlock: {
		dwarf.AttrLocation:      slotLocation,
		dwarf.AttrDataMemberLoc: slotMemberExpr,
	},
	classAddr:  {dwarf.AttrLowpc: slotLowPC},
	classAddrx: {dwarf.AttrLowpc: slotLowPCx},
	classElsewhere: {
		dwarf.AttrName:          slotSplit,
		dwarf.AttrType:          slotSplit,
		dwarf.AttrSpecification: slotSplit,
	},
}
