package dwarfconv

import (
	"bytes"
	"context"
	"debug/dwarf"
	"debug/elf"
	"os"
	"path/filepath"
	"testing"
)

// FuzzConvert changes whole small kernels and modules: their ELF headers, abbreviations,
// forms and references. What comes out must be as it was once written and read again.
func FuzzConvert(f *testing.F) {
	for _, name := range sampleNames(f) {
		f.Add(unpacked(f, name))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		file, err := Convert(t.Context(), bytes.NewReader(b), int64(len(b)), &Options{Workers: 1, TempDir: t.TempDir(), Warn: func(error) {}})
		if (file == nil) == (err == nil) {
			t.Fatalf("file %v, error %v", file, err)
		}
		if err != nil {
			return
		}
		for u := range file.UserTypes() {
			for _, m := range u.Fields {
				_, _ = file.SizeOf(m.Type)
				_ = m.Type.String()
			}
		}
		roundTrip(t, file)
	})
}

// FuzzPackage changes packages, and files that are compressed as a whole. What is
// unpacked is gone afterwards.
func FuzzPackage(f *testing.F) {
	names := []string{"xz.deb", "gzip.deb", "zstd.deb", "link.deb", "empty.deb", "gcc5.elf.zst", filepath.Join(rpmTestdata, "zstd.rpm"), filepath.Join(rpmTestdata, "plain.rpm")}
	for _, name := range names {
		b, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		c := &conversion{ctx: t.Context(), opts: Options{TempDir: t.TempDir()}}
		in, err := c.openInput(bytes.NewReader(b), int64(len(b)))
		if (in == nil) == (err == nil) {
			t.Fatalf("input %v, error %v", in, err)
		}
		if err != nil {
			return
		}
		in.close()
		if left, err := os.ReadDir(c.opts.TempDir); err != nil || len(left) > 0 {
			t.Fatalf("left behind: %v, %v", left, err)
		}
	})
}

// FuzzAbbrevs compiles tables of abbreviations for units of all encodings, compares
// them with a plain reading of them, and reads a unit by them.
func FuzzAbbrevs(f *testing.F) {
	for _, name := range sampleNames(f) {
		if s := sections(f, name); len(s[".debug_abbrev"]) > 0 {
			f.Add(s[".debug_abbrev"], uint8(5), false, true)
			f.Add(s[".debug_abbrev"], uint8(2), true, false)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte, version uint8, wide, long bool) {
		e := encoding{version: 2 + version%4, addrSize: 4, offSize: 4}
		if wide {
			e.offSize = 8
		}
		if long {
			e.addrSize = 8
		}
		table, end, err := compileAbbrevs(padded(data), 0, e)
		if (table == nil) == (err == nil) {
			t.Fatalf("table %v, error %v", table, err)
		}
		if err != nil {
			return
		}
		if end > len(data) || len(table.steps) > len(data) || len(table.consts) > len(data) {
			t.Fatalf("%d steps and %d constants of %d of %d bytes", len(table.steps), len(table.consts), end, len(data))
		}
		for code, want := range plainAbbrevs(data) {
			got := table.lookup(code)
			if got == nil || got.kind != want.kind || got.children != want.children || got.first > got.last || int(got.last) > len(table.steps) {
				t.Fatalf("abbreviation %d: %+v, want %+v", code, got, want)
			}
		}
		d := &debugFile{abbrev: padded(data)}
		d.abbrevBudget.Store(1 << 40)
		readUnit(t, d, e, data)
	})
}

// plainAbbrevs reads a sound table: kinds and children by code.
func plainAbbrevs(data []byte) map[uint64]abbrev {
	all := map[uint64]abbrev{}
	pos := 0
	next := func() (v uint64) {
		for shift := 0; ; shift += 7 {
			c := data[pos]
			pos++
			if shift < 64 {
				v |= uint64(c&0x7f) << shift
			}
			if c < 0x80 {
				return v
			}
		}
	}
	for {
		code := next()
		if code == 0 {
			return all
		}
		a := abbrev{kind: kindOf(dwarf.Tag(min(next(), 1<<31)))}
		a.children = data[pos] != 0
		pos++
		for attr, f := next(), next(); attr != 0 || f != 0; attr, f = next(), next() {
			if form(f) == formImplicitConst {
				next()
			}
		}
		all[code] = a
	}
}

// FuzzForms reads a unit of any attributes in any forms. Where debug/dwarf reads it too,
// it must see the same. Whatever is wrong with the unit, the one beside it is there.
func FuzzForms(f *testing.F) {
	for _, name := range sampleNames(f) {
		s := sections(f, name)
		info := append(bytes.Clone(s[".debug_info"]), make([]byte, slack)...)
		if len(info) == slack || s["big"] != nil {
			continue
		}
		h, err := parseHeader(info, false, false)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(s[".debug_abbrev"][h.abbrevs:], info[h.first:h.size], s[".debug_str"], s[".debug_str_offsets"], h.version, h.offSize == 8)
	}
	f.Fuzz(func(t *testing.T, abbrevs, entries, str, offsets []byte, version uint8, wide bool) {
		e := encoding{version: 2 + (version-2)%4, addrSize: 8, offSize: 4}
		if wide {
			e.offSize = 8
		}
		d := &debugFile{abbrev: padded(abbrevs), strOffsets: padded(offsets), addr: padded(offsets), str: string(str), lineStr: string(str)}
		d.abbrevBudget.Store(1 << 40)
		if u := readUnit(t, d, e, entries); u != nil {
			compareUnit(t, u, abbrevs, str, offsets)
		}

		all := append(soundUnit(), unitOf(e, uint64(len(handmadeAbbrevs())), entries)...)
		file := handmadeELF(elf.ET_EXEC,
			handmadeSection{name: ".debug_abbrev", data: append(handmadeAbbrevs(), abbrevs...)},
			handmadeSection{name: ".debug_info", data: all},
			handmadeSection{name: ".debug_str", data: str},
			handmadeSection{name: ".debug_str_offsets", data: offsets},
		)
		got, err := Convert(context.Background(), bytes.NewReader(file), int64(len(file)), &Options{Workers: 1, Warn: func(error) {}})
		if err != nil {
			t.Fatal(err)
		}
		checkSound(t, got)
		roundTrip(t, got)
	})
}

func padded(b []byte) []byte { return append(bytes.Clone(b), make([]byte, slack)...) }

// sections returns the contents of the sections of a sample, by name, and something
// called big if that is what its byte order is.
func sections(t testing.TB, name string) map[string][]byte {
	t.Helper()
	file, err := elf.NewFile(bytes.NewReader(unpacked(t, name)))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]byte{}
	for _, s := range file.Sections {
		if b, err := s.Data(); err == nil {
			all[s.Name] = b
		}
	}
	if file.ByteOrder == elfBigEndian {
		all["big"] = []byte{1}
	}
	return all
}

// unitOf returns a unit of the given entries.
func unitOf(e encoding, abbrevs uint64, entries []byte) []byte {
	var body assembler
	body.u16(uint16(e.version))
	if e.version >= 5 {
		body.u8(1, e.addrSize)
	}
	if e.offSize == 8 {
		body.u64(abbrevs)
	} else {
		body.u32(uint32(abbrevs))
	}
	if e.version < 5 {
		body.u8(e.addrSize)
	}
	body.b = append(body.b, entries...)
	var u assembler
	if e.offSize == 8 {
		u.u32(0xffffffff).u64(uint64(len(body.b)))
	} else {
		u.u32(uint32(len(body.b)))
	}
	return append(u.b, body.b...)
}

// readUnit scans a unit of the given entries, and returns nil where it is damaged.
func readUnit(t *testing.T, d *debugFile, e encoding, entries []byte) *unit {
	t.Helper()
	info := unitOf(e, 0, entries)
	d.info = &infoSection{name: ".debug_info", size: uint64(len(info)), mem: padded(info)}
	s := &scanner{file: d, tables: make(tableCache), wantFunctions: true}
	u := new(unit)
	if err := u.load(d, d.info, 0); err != nil {
		t.Fatal(err) // there is nothing wrong with the header
	}
	if err := s.scan(u); err != nil {
		return nil
	}
	return u
}

// compareUnit compares what was read of a unit with what debug/dwarf reads, if it does.
func compareUnit(t *testing.T, u *unit, abbrevs, str, offsets []byte) {
	t.Helper()
	entries, jumps := plainEntries(u, abbrevs, str, offsets)
	if entries == nil {
		return
	}
	top := entries[dwarf.Offset(u.first)]
	indexed := u.version >= 5 && top != nil && only(top, dwarf.AttrStrOffsetsBase) != nil
	for i := range u.dies {
		d := &u.dies[i]
		e := entries[dwarf.Offset(d.off)]
		if e == nil {
			if !jumps {
				t.Fatalf("no entry at %#x, got %+v", d.off, d)
			}
			continue
		}
		if kindOf(e.Tag) != d.kind {
			t.Fatalf("entry at %#x: kind %d, want %v", d.off, d.kind, e.Tag)
		}
		if d.kind == kindUnit {
			continue
		}
		// What indexes mean before DWARF 5, or where nothing says what they count from, is
		// a matter of taste.
		sure := (indexed || d.name>>refBits != nameIndex) && wanted[d.kind]&(1<<slotName) != 0
		if want, ok := only(e, dwarf.AttrName).(string); ok && sure && len(want) <= maxName {
			if got, err := u.optionalName(d.name); err != nil || got != want {
				t.Fatalf("entry at %#x: name %q, %v; want %q", d.off, got, err, want)
			}
		}
		if want, ok := only(e, dwarf.AttrType).(dwarf.Offset); ok && wanted[d.kind]&(1<<slotType) != 0 {
			if got := dwarf.Offset(uint64(d.typ) & refMask); got != want {
				t.Fatalf("entry at %#x: type at %#x, want %#x", d.off, got, want)
			}
		}
		want, ok := only(e, dwarf.AttrByteSize).(int64)
		if ok && e.AttrField(dwarf.AttrByteSize).Class == dwarf.ClassConstant && (d.isUser() || d.kind == kindBase) && d.val != uint64(want) {
			t.Fatalf("entry at %#x: %d bytes, want %d", d.off, d.val, want)
		}
	}
}

// only returns the value of an attribute that e has once.
func only(e *dwarf.Entry, attr dwarf.Attr) (v any) {
	n := 0
	for _, f := range e.Field {
		if f.Attr == attr {
			v = f.Val
			n++
		}
	}
	if n != 1 {
		return nil
	}
	return v
}

// plainEntries reads u with debug/dwarf: the entries by their offset, nil if it does not
// take them all, and whether any says where the next one is that is not its child.
func plainEntries(u *unit, abbrevs, str, offsets []byte) (entries map[dwarf.Offset]*dwarf.Entry, jumps bool) {
	defer func() {
		if recover() != nil { // it does on some
			entries = nil
		}
	}()
	d, err := dwarf.New(abbrevs, nil, nil, u.data[:u.end], nil, nil, nil, str)
	if err != nil {
		return nil, false
	}
	for name, b := range map[string][]byte{".debug_str_offsets": offsets, ".debug_addr": offsets, ".debug_line_str": str} {
		if err := d.AddSection(name, b); err != nil {
			return nil, false
		}
	}
	entries = map[dwarf.Offset]*dwarf.Entry{}
	r := d.Reader()
	for range u.end {
		e, err := r.Next()
		if err != nil {
			return nil, false
		}
		if e == nil {
			return entries, jumps
		}
		entries[e.Offset] = e
		if k := kindOf(e.Tag); (k == kindSkip || k == kindFunction) && e.Val(dwarf.AttrSibling) != nil {
			jumps = true
		}
	}
	return nil, false // some it reads for ever
}
