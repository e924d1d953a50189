package btfconv

import (
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/nodelens/nodelens/vmem"
)

// This package reads BTF itself. The one kept library in Go, cilium/ebpf/btf, is
// made for loading BPF programs: it decodes a type when it is asked for, so that
// damage shows only then, takes some 70 ms to build an object for each of the
// 95,000 types of a kernel before a conversion could start, and stops at kinds that
// are newer than it. Reading the records in place, checking them all, and making
// isf's types of them at once, takes less than half of that.

// A btfKind is the kind of a type record: BTF_KIND_* in include/uapi/linux/btf.h.
type btfKind uint8

const (
	kindUnknown btfKind = iota
	kindInt
	kindPtr
	kindArray
	kindStruct
	kindUnion
	kindEnum
	kindFwd
	kindTypedef
	kindVolatile
	kindConst
	kindRestrict
	kindFunc
	kindFuncProto
	kindVar
	kindDatasec
	kindFloat
	kindDeclTag
	kindTypeTag
	kindEnum64
	numKinds
)

const (
	btfMagic      = 0xeb9f
	btfVersion    = 1
	btfHeaderSize = 24 // up to str_len; 7.1 and later may have a layout section, and 32
	btfRecordSize = 12 // struct btf_type, before what its kind adds
	maxBTFSize    = 64 << 20
)

// A btfLayout is what follows a type record: struct btf_layout in
// include/uapi/linux/btf.h of 7.1 and later. BTF with a layout section says it
// for each kind, so that a reader can step over kinds that are newer than it.
type btfLayout struct{ info, elem uint8 }

var knownLayouts = [numKinds]btfLayout{
	kindInt: {4, 0}, kindArray: {12, 0}, kindStruct: {0, 12}, kindUnion: {0, 12}, kindEnum: {0, 8},
	kindFuncProto: {0, 8}, kindVar: {4, 0}, kindDatasec: {0, 12}, kindDeclTag: {4, 0}, kindEnum64: {0, 12},
}

// btfHeader is struct btf_header, with offsets from the end of the header.
type btfHeader struct {
	size                                                   uint32 // of the header itself
	typeOff, typeLen, strOff, strLen, layoutOff, layoutLen uint32
}

// total returns the size of the whole BTF, header and sections, in bytes.
func (h *btfHeader) total() uint64 {
	end := max(uint64(h.typeOff)+uint64(h.typeLen), uint64(h.strOff)+uint64(h.strLen),
		uint64(h.layoutOff)+uint64(h.layoutLen))
	return uint64(h.size) + end
}

// parseBTFHeader reads the header from b, which may end with it. It accepts
// version 1 in little-endian order; the order of the sections is free.
func parseBTFHeader(b []byte) (btfHeader, error) {
	le := binary.LittleEndian
	if len(b) < btfHeaderSize || le.Uint16(b) != btfMagic {
		return btfHeader{}, damaged("header", 0, "no BTF magic")
	}
	if b[2] != btfVersion || b[3] != 0 {
		return btfHeader{}, damaged("header", 2, "version %d, flags %#x", b[2], b[3])
	}
	h := btfHeader{
		size: le.Uint32(b[4:]), typeOff: le.Uint32(b[8:]), typeLen: le.Uint32(b[12:]),
		strOff: le.Uint32(b[16:]), strLen: le.Uint32(b[20:]),
	}
	if h.size >= btfHeaderSize+8 && len(b) >= btfHeaderSize+8 {
		h.layoutOff, h.layoutLen = le.Uint32(b[24:]), le.Uint32(b[28:])
	}
	if h.size < btfHeaderSize || h.size > 4096 || h.total() > maxBTFSize || h.typeOff%4 != 0 {
		return btfHeader{}, damaged("header", 4, "impossible sizes")
	}
	return h, nil
}

// A btfTypes is parsed BTF: an index over records that stay where they are. It
// is immutable once parsed.
type btfTypes struct {
	base    *btfTypes // of split BTF; nil for the kernel's own
	first   uint32    // the id of the first record
	strBase uint32    // the offset of the first string
	data    []byte    // the type section
	offsets []uint32  // of each record in data, or lostRecord or oddRecord
	strs    string    // the string section
	layouts []btfLayout

	limit   uint32 // the id after the last that there can be, lost ones included
	badStrs []span // of strs: no names, in order

	// Of damaged BTF:
	recovered bool        // records were searched for
	headless  bool        // the first record is not known
	firstLost uint32      // the first id of which nothing is known
	place     int64       // of the type section, from the start of the BTF
	phase     int         // of the type section in its page
	strPhase  int         // of the string section in its page
	holes     []span      // of data: not captured
	badData   []span      // of data: overwritten or not captured
	copies    map[int]int // pages of data that are there twice, and where else
	losses    []vmem.Gap  // the first of them
	lost      int         // how many there are
	work      int64       // steps that the search for records may still take
}

// A btfType is one type record.
type btfType struct {
	off   uint32 // in the type section
	name  uint32 // offset in the string section
	size  uint32 // in bytes, or the id of another type, as the kind has it
	vlen  uint32 // how many members, enumerators, parameters or variables
	kind  btfKind
	flag  bool   // kind_flag
	extra []byte // what follows the record
}

// A btfPlace is where BTF was read from, as far as it says how it may be damaged.
type btfPlace struct {
	phase int    // of its first byte in a page
	holes []span // what of it was not captured
}

// parseBTF indexes BTF and checks all of it: that the records fill the type
// section exactly, and every string offset and type id. Records that fail are lost,
// and listed. base is the kernel's BTF where b is a module's, else nil. Empty BTF, which
// modules without types of their own have, is accepted with a base.
func parseBTF(b []byte, base *btfTypes, place btfPlace) (*btfTypes, error) {
	h, err := parseBTFHeader(b)
	if err != nil {
		return nil, err
	}
	if uint64(len(b)) < h.total() {
		return nil, damaged("header", 4, "%d bytes of %d", len(b), h.total())
	}
	body := b[h.size:]
	t := &btfTypes{base: base, first: 1, data: body[h.typeOff:][:h.typeLen], strs: string(body[h.strOff:][:h.strLen])}
	if base != nil {
		t.first, t.strBase = base.end(), base.strEnd()
	}
	t.setPlace(place, int(h.size+h.typeOff), int(h.size+h.strOff))
	t.layouts = parseLayouts(body[h.layoutOff:][:h.layoutLen])
	t.checkStrings()
	if len(place.holes) == 0 && (base != nil || len(t.data) > 0) && t.index() == nil && t.twins() == nil {
		if t.limit = t.end(); t.check() {
			return t, nil
		}
	}
	t.recoverTypes()
	if base == nil && t.left() == 0 {
		return nil, damaged("type section", 0, "no types are left")
	}
	return t, nil
}

// left returns how many types are not lost.
func (t *btfTypes) left() (n int) {
	for _, off := range t.offsets {
		n += b2i(off < oddRecord)
	}
	return n
}

// setPlace notes where the sections are.
func (t *btfTypes) setPlace(p btfPlace, types, strs int) {
	t.place = int64(types)
	t.phase, t.strPhase = (p.phase+types)%vmem.PageSize, (p.phase+strs)%vmem.PageSize
	for _, hole := range p.holes {
		if from, to := max(int(hole.start), types), min(int(hole.end), types+len(t.data)); from < to {
			t.holes = append(t.holes, span{uint32(from - types), uint32(to - types)})
		}
	}
}

// twins returns pages of the type section that are there twice, both of them. Types are not; so
// one of the pages is a copy that overwrote another.
func (t *btfTypes) twins() map[int]int {
	const probe, at = 32, vmem.PageSize / 2
	var twins map[int]int
	seen := make(map[[probe]byte]int, len(t.data)/vmem.PageSize+1)
	for off := t.pageStart(vmem.PageSize); off+vmem.PageSize <= len(t.data); off += vmem.PageSize {
		page := t.data[off:][:vmem.PageSize]
		before, ok := seen[[probe]byte(page[at:])]
		if ok && string(page) == string(t.data[before:][:vmem.PageSize]) {
			if twins == nil {
				twins = map[int]int{}
			}
			twins[off], twins[before] = before, off
		}
		seen[[probe]byte(page[at:])] = off
	}
	return twins
}

// parseLayouts returns what follows the records of each kind, for the known
// kinds as this package knows it, for newer ones as the layout section says.
func parseLayouts(section []byte) []btfLayout {
	layouts := append([]btfLayout(nil), knownLayouts[:]...)
	for i := int(numKinds) * 4; i+4 <= len(section) && len(layouts) < 128; i += 4 {
		layouts = append(layouts, btfLayout{info: section[i], elem: section[i+1]})
	}
	return layouts
}

// index finds the start of each record.
func (t *btfTypes) index() error {
	t.offsets = make([]uint32, 0, len(t.data)/28+1)
	for off := 0; off < len(t.data); {
		if len(t.data)-off < btfRecordSize {
			return damaged("type section", off, "record cut short")
		}
		size, err := t.recordSize(off)
		if err != nil {
			return err
		}
		t.offsets = append(t.offsets, uint32(off))
		off += size
	}
	return nil
}

// recordSize returns the size of the record at an offset.
func (t *btfTypes) recordSize(off int) (int, error) {
	if size, ok := t.sizeAt(off); ok {
		return size, nil
	}
	info := binary.LittleEndian.Uint32(t.data[off+4:])
	if kind := int(info >> 24 & 0x7f); kind == 0 || kind >= len(t.layouts) {
		return 0, damaged("type section", off, "kind %d", kind)
	}
	return 0, damaged("type section", off, "kind %d with %d elements passes the end", info>>24&0x7f, info&0xffffff)
}

// sizeAt is recordSize for searches, in which there is mostly none: there is no error to make.
func (t *btfTypes) sizeAt(off int) (int, bool) {
	info := binary.LittleEndian.Uint32(t.data[off+4:])
	kind := int(info >> 24 & 0x7f)
	if kind == 0 || kind >= len(t.layouts) {
		return 0, false
	}
	l := t.layouts[kind]
	size := btfRecordSize + int(l.info) + int(l.elem)*int(info&0xffffff)
	return size, size <= len(t.data)-off
}

// end returns the id after the last one.
func (t *btfTypes) end() uint32 { return t.first + uint32(len(t.offsets)) }

// strEnd returns the offset after the last string.
func (t *btfTypes) strEnd() uint32 { return t.strBase + uint32(len(t.strs)) }

// lookup returns the record of a type. Id 0 is void, of kindUnknown; what is lost is of
// kindLost.
func (t *btfTypes) lookup(id uint32) (btfType, bool) {
	if id == 0 {
		return btfType{}, true
	}
	if id < t.first {
		return t.base.lookup(id)
	}
	i := int(id - t.first)
	if i >= len(t.offsets) {
		return btfType{kind: kindLost}, false
	}
	return t.at(i), true
}

// at returns the i-th record of this BTF's own.
func (t *btfTypes) at(i int) btfType {
	off := t.offsets[i]
	switch off {
	case lostRecord:
		return btfType{kind: kindLost}
	case oddRecord:
		return btfType{kind: kindOdd}
	}
	if i+1 < len(t.offsets) && !t.recovered { // where off is of no use
		return recordAt(t.data[off:t.offsets[i+1]])
	}
	return t.record(off)
}

// record returns the record at an offset, where one is.
func (t *btfTypes) record(off uint32) btfType {
	size, err := t.recordSize(int(off))
	if err != nil {
		return btfType{kind: kindLost}
	}
	r := recordAt(t.data[off:][:size])
	r.off = off
	return r
}

// recordKind returns the kind of the record that b begins with.
func recordKind(b []byte) btfKind { return btfKind(binary.LittleEndian.Uint32(b[4:]) >> 24 & 0x7f) }

// recordAt returns the record that b is.
func recordAt(b []byte) btfType {
	info := binary.LittleEndian.Uint32(b[4:])
	return btfType{
		name: binary.LittleEndian.Uint32(b), size: binary.LittleEndian.Uint32(b[8:]),
		vlen: info & 0xffffff, kind: recordKind(b), flag: info>>31 != 0, extra: b[btfRecordSize:],
	}
}

// string returns the string at an offset that validName has accepted; "" at one that is
// outside of the section.
func (t *btfTypes) string(off uint32) string {
	if off < t.strBase {
		return t.base.string(off)
	}
	if off >= t.strEnd() {
		return ""
	}
	s := t.strs[off-t.strBase:]
	return s[:max(0, strings.IndexByte(s, 0))]
}

// name returns the string at an offset, "" if it is none.
func (t *btfTypes) name(off uint32) string {
	if t.recovered && !t.validName(off) {
		return ""
	}
	return t.string(off)
}

// validName reports whether off is 0, or the start of a string that is not
// empty. The strings of BTF are deduplicated whole, none is the tail of another.
func (t *btfTypes) validName(off uint32) bool {
	if off < t.strBase {
		return off == 0 || t.base.validName(off)
	}
	i := off - t.strBase
	if uint64(i) >= uint64(len(t.strs)) {
		return false
	}
	if off == 0 {
		return true
	}
	return (i == 0 || t.strs[i-1] == 0) && t.strs[i] != 0 && (len(t.badStrs) == 0 || !t.isAside(i))
}

// damaged returns an error that wraps ErrDamaged and says where in the BTF.
func damaged(section string, off int, format string, args ...any) error {
	return fmt.Errorf("BTF %s at %#x: %s: %w", section, off, fmt.Sprintf(format, args...), ErrDamaged)
}
