package dwarfconv

import (
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync/atomic"
)

// A debugFile is the debug information of one file. It does not change while
// workers read it, but for the budgets.
type debugFile struct {
	order      byteOrder
	abbrev     []byte // followed by slack, as are the next two
	strOffsets []byte
	addr       []byte
	str        string
	lineStr    string
	info       *infoSection
	types      *infoSection // nil where there is none
	signatures map[uint64]typeUnit

	abbrevBudget  atomic.Int64 // bytes of abbreviations that may still be compiled
	foreignBudget atomic.Int64 // bytes of units that may still be scanned for the sake of others
}

// A typeUnit is where the type with a signature is.
type typeUnit struct {
	section *infoSection
	off     uint64 // of the unit
	typeOff uint64 // of the type in it
}

// An infoSection is .debug_info or .debug_types.
type infoSection struct {
	name   string
	size   uint64
	r      io.ReaderAt // from the section's start on; nil if mem holds all of it
	mem    []byte      // followed by slack
	order  byteOrder
	relocs []reloc // ascending by offset
	types  bool
	starts []uint64 // of the units, ascending
}

// maxSection bounds what is held in memory of one section.
const maxSection = 1 << 30

var errSection = errors.New("section outside the file")

// read returns the n bytes at off, followed by slack. It may use buf for them.
func (s *infoSection) read(off, n uint64, buf *[]byte) ([]byte, error) {
	if off > s.size || n > s.size-off {
		return nil, errTruncated
	}
	if s.mem != nil && s.relocs == nil {
		return s.mem[off : off+n+slack], nil
	}
	if uint64(cap(*buf)) < n+slack {
		*buf = make([]byte, n+n/4+slack)
	}
	b := (*buf)[:n+slack]
	clear(b[n:])
	if s.mem != nil {
		copy(b, s.mem[off:off+n])
	} else if m, err := s.r.ReadAt(b[:n], int64(off)); uint64(m) < n {
		return nil, err
	}
	s.relocate(b, off, n)
	return b, nil
}

// enumerate finds the units of the section, and tells where the next one could not be found.
func (s *infoSection) enumerate(f *debugFile, lost func(*UnitError)) {
	var buf, chain []byte
	for off := uint64(0); off < s.size; {
		b, err := s.read(off, min(headerSize, s.size-off), &buf)
		if err != nil {
			lost(&UnitError{Section: s.name, Unit: off, Err: err})
			return
		}
		h, err := parseHeader(b, s.order, s.types)
		if h.size > s.size-off {
			err = errTruncated
		}
		unknown := errors.Is(err, errVersion) // but its length may be right
		if err != nil && (!unknown || off+h.size < s.size && !s.chained(f, off+h.size, &chain)) {
			from := off + 1
			if n := len(s.starts); n > 0 { // whose length may be what is wrong
				from = s.starts[n-1] + 1
			}
			next := s.resume(f, from)
			e := &UnitError{Section: s.name, Unit: off, Rest: next == s.size, Err: err}
			if !e.Rest {
				e.Next = next
			}
			lost(e)
			off = next
			continue
		}
		s.starts = append(s.starts, off)
		if h.isType && err == nil {
			f.signatures[h.signature] = typeUnit{s, off, h.typeOff}
		}
		off += h.size
	}
}

// unitAt returns the start of the unit that off lies in.
func (s *infoSection) unitAt(off uint64) (uint64, bool) {
	i, found := slices.BinarySearch(s.starts, off)
	if !found {
		i--
	}
	if i < 0 {
		return 0, false
	}
	return s.starts[i], true
}

// openDebug opens the debug information of f, a file of size bytes. Without a section
// that can't be read, the units that need it will be damaged.
func openDebug(f *elf.File, size int64, lost *damage) (*debugFile, error) {
	d := &debugFile{order: f.ByteOrder == elfBigEndian, signatures: make(map[uint64]typeUnit)}
	o := opener{relocator: newRelocator(f, size), order: d.order}
	var err error
	if d.info, err = o.openInfo(".debug_info"); err != nil {
		return nil, fmt.Errorf("section .debug_info: %w", err)
	}
	if d.info == nil {
		return d, nil
	}
	if d.types, err = o.openInfo(".debug_types"); err != nil {
		lost.loss("section .debug_types", err)
	}
	load := func(name string) []byte {
		b, err := o.load(name)
		if err != nil {
			lost.loss("section "+name, err)
		}
		return b
	}
	d.abbrev, d.strOffsets, d.addr = load(".debug_abbrev"), load(".debug_str_offsets"), load(".debug_addr")
	d.str, d.lineStr = text(load(".debug_str")), text(load(".debug_line_str"))
	d.abbrevBudget.Store(64*int64(len(d.abbrev)) + 1<<26)
	d.foreignBudget.Store(8*int64(d.info.size) + 1<<26)
	return d, nil
}

// text returns what load returned without the slack.
func text(b []byte) string { return string(b[:max(len(b)-slack, 0)]) }

// An opener opens the sections of a file.
type opener struct {
	*relocator
	order byteOrder
}

// sections returns the indexes of the sections of the given name, which may go by the
// old name of compressed ones, .zdebug_*, but for those without data. There is one at
// most, save that each type unit of a relocatable object has one of its own.
func (o opener) sections(name string) []int {
	var found []int
	for i, s := range o.file.Sections {
		if (s.Name == name || s.Name == ".z"+name[1:]) && s.Type != elf.SHT_NOBITS && s.FileSize > 0 {
			found = append(found, i)
		}
	}
	return found
}

// load returns the bytes of a section, inflated and relocated and followed by
// slack, and nil where there is none.
func (o opener) load(name string) ([]byte, error) {
	found := o.sections(name)
	if len(found) == 0 {
		return nil, nil
	}
	b, err := inflateSection(o.file.Sections[found[0]], o.size)
	if err != nil {
		return nil, err
	}
	relocs, err := o.of(found[0])
	if err != nil {
		return nil, err
	}
	n := uint64(len(b) - slack)
	(&infoSection{relocs: relocs, order: o.order}).relocate(b, 0, n)
	return b, nil
}

// openInfo opens the sections of units with the given name, several as if they were
// one. Only then and if it is compressed it is held in memory.
func (o opener) openInfo(name string) (*infoSection, error) {
	found := o.sections(name)
	if len(found) == 0 {
		return nil, nil
	}
	info := &infoSection{name: name, types: name == ".debug_types", order: o.order}
	if s := o.file.Sections[found[0]]; len(found) == 1 && !isCompressed(s) {
		if !inFile(s, o.size) {
			return nil, errSection
		}
		info.r, info.size = s, s.Size
		var err error
		info.relocs, err = o.of(found[0])
		return info, err
	}
	for _, i := range found {
		if err := o.join(info, i); err != nil {
			return nil, err
		}
	}
	info.mem = append(info.mem, make([]byte, slack)...)
	return info, nil
}

// join appends the section with the given index to info.
func (o opener) join(info *infoSection, index int) error {
	b, err := inflateSection(o.file.Sections[index], o.size)
	if err != nil {
		return err
	}
	b = b[:len(b)-slack]
	relocs, err := o.of(index)
	if err != nil {
		return err
	}
	for _, r := range relocs {
		if r.off < uint64(len(b)) {
			r.off += info.size
			info.relocs = append(info.relocs, r)
		}
	}
	info.mem = append(info.mem, b...)
	info.size = uint64(len(info.mem))
	if info.size > bound(o.size) {
		return errLimit
	}
	return nil
}

func isCompressed(s *elf.Section) bool {
	return s.Flags&elf.SHF_COMPRESSED != 0 || len(s.Name) > 2 && s.Name[:2] == ".z"
}

// inFile reports whether all of s lies in the file of size bytes.
func inFile(s *elf.Section, size int64) bool {
	return s.Offset <= uint64(size) && s.FileSize <= uint64(size)-s.Offset
}

// Bounds of what a compressed section may hold. Debug information shrinks to a third
// or a tenth; what zlib can shrink to a thousandth is no such thing.
const (
	maxRatio = 64 // times the size of the file
	minBound = 16 << 20
)

// bound returns how many bytes a section of a file of size bytes may hold.
func bound(size int64) uint64 { return min(maxSection, maxRatio*uint64(size)+minBound) }

// inflateStep is how much room is made at first for what a section says to hold.
const inflateStep = 64 << 20

// inflateSection returns the bytes of a section, followed by slack.
func inflateSection(s *elf.Section, size int64) ([]byte, error) {
	if !inFile(s, size) {
		return nil, errSection
	}
	r := s.Open() // for .zdebug_*, sets Size
	if s.Size > bound(size) {
		return nil, fmt.Errorf("%d bytes: %w", s.Size, errLimit)
	}
	b := make([]byte, 0, min(s.Size, inflateStep)+slack)
	for n := uint64(0); n < s.Size; n = uint64(len(b)) {
		more := min(s.Size-n, max(n, inflateStep))
		b = slices.Grow(b, int(more)+slack)[:n+more]
		if _, err := io.ReadFull(r, b[n:]); err != nil {
			return nil, err
		}
	}
	return append(b, make([]byte, slack)...), nil
}
