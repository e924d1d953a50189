package dwarfconv

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/nodelens/nodelens/isf"
)

// TestDwarfdump compares all structs, unions and enumerations with what llvm-dwarfdump
// prints of the same file: names, sizes, and the members' places and sizes in bits.
func TestDwarfdump(t *testing.T) {
	if testing.Short() {
		t.Skip("takes minutes for each kernel")
	}
	program, err := exec.LookPath("llvm-dwarfdump-16")
	if err != nil {
		if program, err = exec.LookPath("llvm-dwarfdump"); err != nil {
			t.Skip(err)
		}
	}
	onKernels(t, func(t *testing.T, k kernel) {
		compareDump(t, convertKernel(t, k), dwarfdump(t, program, k.vmlinux, false))
	})
}

// TestDwarfdumpSamples is TestDwarfdump for the samples.
func TestDwarfdumpSamples(t *testing.T) {
	program, err := exec.LookPath("llvm-dwarfdump-16")
	if err != nil {
		t.Skip(err)
	}
	for _, s := range samples {
		if strings.HasPrefix(s.name, "types") || strings.Contains(s.name, "dwz") || strings.Contains(s.name, "zlib-gnu") {
			continue // types are not in the units that name them, which the test does not follow; LLVM does not know .zdebug_info
		}
		t.Run(s.name, func(t *testing.T) {
			compareDump(t, convertSample(t, s.name), dwarfdump(t, program, writeSample(t, s.name), s.big))
		})
	}
}

// dwarfdump returns what the program prints of a file, which may be big-endian.
func dwarfdump(t *testing.T, program, name string, big bool) *dump {
	t.Helper()
	cmd := exec.Command(program, "--debug-info", name)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	d := newDump()
	d.big = big
	if err := d.read(out); err != nil {
		t.Error(err)
		_, _ = io.Copy(io.Discard, out) // or the program waits for a reader
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	return d
}

// compareDump compares the types of a file with those that units define. Where units
// disagree it must be one of theirs.
func compareDump(t *testing.T, f *isf.File, want *dump) {
	t.Helper()
	got := map[string]bool{}
	disputed := 0
	check := func(name, text string) {
		kind, _, _ := strings.Cut(text, " ")
		if isUnnamed(name) {
			if got["unnamed "+text] = true; !want.unnamed[text] {
				t.Errorf("no unit has %s", text)
			}
			return
		}
		key := spaceOf(kind) + " " + name
		got[key] = true
		if !want.named[key][text] {
			t.Errorf("%s: got %s, want one of %q", key, text, slices.Sorted(maps.Keys(want.named[key])))
		}
		if len(want.named[key]) > 1 {
			disputed++
		}
	}
	for u := range f.UserTypes() {
		check(u.Name, userLayout(f, u))
	}
	for e := range f.Enums() {
		if len(e.Constants) > 0 || !want.declared[e.Name] {
			check(e.Name, enumLayout(e))
		}
	}
	for key := range want.named {
		if !got[key] {
			t.Errorf("%s is missing", key)
		}
	}
	for text := range want.unnamed {
		if !got["unnamed "+text] {
			t.Errorf("missing: %s", text)
		}
	}
	t.Logf("%d units, %d definitions: %d types and %d without a name; units disagree about %d", want.units, want.definitions, len(want.named), len(want.unnamed), disputed)
}

// userLayout writes a user type as dump.text does.
func userLayout(f *isf.File, u *isf.UserType) string {
	fields := make([]dumpField, len(u.Fields))
	for i, m := range u.Fields {
		d := &fields[i]
		d.name, d.offset = m.Name, 8*m.Offset
		if strings.HasPrefix(m.Name, unnamedPrefix) {
			d.name = ""
		}
		switch inner := m.Type; {
		case inner.Kind == isf.KindBitfield:
			d.offset += uint64(inner.BitPosition)
			d.bits = uint64(inner.BitLength)
			if bigEndian(f) {
				// Both count from the start, but one of them from the other end.
				size, _ := f.SizeOf(inner.Elem)
				d.offset = 8*m.Offset + 8*size - uint64(inner.BitPosition) - d.bits
			}
		case isUser(inner) && isUnnamed(inner.Name):
			if v, err := f.UserType(inner.Name); err == nil {
				d.inner = userLayout(f, v)
			}
		}
	}
	return writeLayout(kindNames[u.Kind], u.Size, fields)
}

func bigEndian(f *isf.File) bool {
	b, err := f.BaseType("int")
	return err == nil && b.BigEndian
}

func enumLayout(e *isf.Enum) string {
	var constants []string
	for _, c := range e.Constants {
		constants = append(constants, fmt.Sprintf("%s=%d", c.Name, c.Value))
	}
	return writeEnum(e.Size, constants)
}

type dumpField struct {
	name   string
	offset uint64 // in bits
	bits   uint64 // of a bit field, otherwise 0
	inner  string // the type if it is an unnamed struct or union
}

func writeLayout(kind string, size uint64, fields []dumpField) string {
	slices.SortFunc(fields, func(a, b dumpField) int {
		return cmp.Or(cmp.Compare(a.offset, b.offset), cmp.Compare(a.name, b.name), cmp.Compare(a.inner, b.inner), cmp.Compare(a.bits, b.bits))
	})
	b := append([]byte(kind), ' ')
	b = append(strconv.AppendUint(b, size, 10), " {"...)
	for _, f := range fields {
		b = append(b, ' ')
		b = append(append(b, f.name...), '@')
		b = strconv.AppendUint(b, f.offset, 10)
		if f.bits != 0 {
			b = strconv.AppendUint(append(b, ':'), f.bits, 10)
		}
		b = append(b, f.inner...)
	}
	return string(append(b, " }"...))
}

func writeEnum(size uint64, constants []string) string {
	slices.Sort(constants)
	return fmt.Sprintf("enum %d %v", size, constants)
}

// A dump is what llvm-dwarfdump prints of .debug_info, as far as types go.
type dump struct {
	named       map[string]map[string]bool // by kind and name: what units define it as
	unnamed     map[string]bool
	declared    map[string]bool // enumerations
	units       int
	definitions int
	big         bool // fields are counted from the highest bit

	// of the unit at hand
	skip    bool // not in C
	entries map[uint64]*dumpEntry
	order   []*dumpEntry
	parents []*dumpEntry // by depth, nil where of no interest
	entry   *dumpEntry   // whose attributes come
	spare   []dumpEntry
}

// A dumpEntry is a struct, union, enumeration, typedef, qualifier, member or enumerator.
type dumpEntry struct {
	tag      string
	name     string
	size     uint64
	typ      uint64
	declared bool
	place    uint64 // of a member, in bytes
	bits     uint64
	bitAt    int64 // from the start of the struct; -1: none
	fromHigh int64 // DW_AT_bit_offset, of DWARF 2 and 3; -1: none
	value    string
	children []*dumpEntry
	text     string
}

func newDump() *dump {
	return &dump{named: map[string]map[string]bool{}, unnamed: map[string]bool{}, declared: map[string]bool{}, entries: map[uint64]*dumpEntry{}}
}

// dumpTags are the tags of interest.
var dumpTags = map[string]string{
	"structure_type": "struct", "union_type": "union", "class_type": "class", "enumeration_type": "enum", "typedef": "typedef",
	"const_type": "qualifier", "volatile_type": "qualifier", "restrict_type": "qualifier", "atomic_type": "qualifier",
	"member": "member", "enumerator": "enumerator", "compile_unit": "unit",
}

// read reads the whole output.
func (d *dump) read(r io.Reader) error {
	b := bufio.NewReaderSize(r, 1<<20)
	for {
		line, err := b.ReadSlice('\n')
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			return fmt.Errorf("line of a megabyte")
		case err == io.EOF && len(line) == 0:
			return d.flush()
		case err != nil && err != io.EOF:
			return err
		}
		if err := d.line(bytes.TrimSuffix(line, []byte{'\n'})); err != nil {
			return fmt.Errorf("%.200q: %w", line, err)
		}
	}
}

func (d *dump) line(line []byte) error {
	switch {
	case bytes.HasPrefix(line, []byte("0x")):
		return d.begin(line)
	case d.entry != nil && len(line) > 0 && line[0] == ' ':
		attr := bytes.TrimLeft(line, " ")
		name, value, ok := bytes.Cut(attr, []byte("\t"))
		if ok && bytes.HasPrefix(name, []byte("DW_AT_")) {
			return d.attribute(string(name[len("DW_AT_"):]), value)
		}
	}
	return nil
}

// begin begins an entry, or a unit.
func (d *dump) begin(line []byte) error {
	d.entry = nil
	at, rest, ok := bytes.Cut(line, []byte(": "))
	if !ok {
		return fmt.Errorf("no colon")
	}
	tag, isEntry := bytes.CutPrefix(bytes.TrimLeft(rest, " "), []byte("DW_TAG_"))
	if !isEntry {
		if bytes.Contains(rest, []byte(" Unit: ")) {
			d.units++
			return d.flush()
		}
		return nil // NULL
	}
	depth := (len(rest) - len(tag) - len("DW_TAG_")) / 2
	d.parents = append(d.parents[:min(depth, len(d.parents))], make([]*dumpEntry, max(0, depth-len(d.parents)))...)
	kind := dumpTags[string(tag)]
	if kind == "" || d.skip {
		d.parents = append(d.parents, nil)
		return nil
	}
	off, err := strconv.ParseUint(string(at[2:]), 16, 64)
	if err != nil {
		return err
	}
	e := d.newEntry(kind)
	d.entry = e
	d.parents = append(d.parents, e)
	if kind == "member" || kind == "enumerator" {
		if depth > 0 && d.parents[depth-1] != nil {
			p := d.parents[depth-1]
			p.children = append(p.children, e)
		}
		return nil
	}
	d.entries[off] = e
	d.order = append(d.order, e)
	return nil
}

func (d *dump) newEntry(kind string) *dumpEntry {
	if len(d.spare) == 0 {
		d.spare = make([]dumpEntry, 1024)
	}
	e := &d.spare[0]
	d.spare = d.spare[1:]
	e.tag, e.bitAt, e.fromHigh = kind, -1, -1
	return e
}

// attribute takes an attribute of the entry at hand, which is written as (value).
func (d *dump) attribute(name string, value []byte) (err error) {
	e := d.entry
	text := string(bytes.TrimSuffix(bytes.TrimPrefix(value, []byte("(")), []byte(")")))
	number := func() (v uint64) {
		var i int64
		if i, err = strconv.ParseInt(text, 0, 64); err == nil {
			return uint64(i)
		}
		v, err = strconv.ParseUint(text, 0, 64)
		return v
	}
	switch name {
	case "language":
		d.skip = e.tag == "unit" && text == "DW_LANG_Rust"
	case "name":
		e.name = strings.Trim(text, `"`)
	case "type":
		text, _, _ = strings.Cut(text, " ")
		e.typ = number()
	case "byte_size":
		e.size = number()
	case "declaration":
		e.declared = text == "true" || text == "0x01"
	case "data_member_location":
		if text, found := strings.CutPrefix(text, "DW_OP_plus_uconst "); found {
			e.place, err = strconv.ParseUint(text, 0, 64)
			return err
		}
		e.place = number()
	case "bit_size":
		e.bits = number()
	case "data_bit_offset":
		e.bitAt = int64(number())
	case "bit_offset":
		e.fromHigh = int64(number())
	case "const_value":
		e.value = strconv.FormatInt(int64(number()), 10)
	}
	return err
}

// flush ends a unit: now all that entries refer to is there.
func (d *dump) flush() error {
	for _, e := range d.order {
		switch e.tag {
		case "typedef":
			if target := d.entries[e.typ]; target != nil && target.isUser() && !target.declared {
				d.add(e.name, d.text(target))
			}
		case "enum":
			if e.declared {
				d.declared[e.name] = true
				continue
			}
			d.add(e.name, d.text(e))
		case "struct", "union", "class":
			if !e.declared {
				d.add(e.name, d.text(e))
			}
		}
	}
	clear(d.entries)
	d.order, d.parents, d.entry, d.skip, d.spare = d.order[:0], d.parents[:0], nil, false, nil
	return nil
}

func (e *dumpEntry) isUser() bool { return e.tag == "struct" || e.tag == "union" || e.tag == "class" }

// add adds a definition.
func (d *dump) add(name, text string) {
	d.definitions++
	if name == "" {
		d.unnamed[text] = true
		return
	}
	kind, _, _ := strings.Cut(text, " ")
	key := spaceOf(kind) + " " + name
	if d.named[key] == nil {
		d.named[key] = map[string]bool{}
	}
	d.named[key][text] = true
}

// text writes a type: kind, size, and members or constants.
func (d *dump) text(e *dumpEntry) string {
	if e.text != "" {
		return e.text
	}
	if e.tag == "enum" {
		var constants []string
		for _, c := range e.children {
			constants = append(constants, c.name+"="+c.value)
		}
		e.text = writeEnum(e.size, constants)
		return e.text
	}
	var fields []dumpField
	for _, m := range e.children {
		f := dumpField{name: m.name, offset: 8 * m.place, bits: m.bits}
		switch {
		case m.bitAt >= 0:
			f.offset = uint64(m.bitAt)
		case m.fromHigh >= 0 && d.big:
			f.offset += uint64(m.fromHigh)
		case m.fromHigh >= 0:
			f.offset += 8*m.size - uint64(m.fromHigh) - m.bits
		}
		if inner := d.unnamedType(m.typ); inner != nil && m.bits == 0 {
			f.inner = d.text(inner)
		}
		fields = append(fields, f)
	}
	e.text = writeLayout(e.tag, e.size, fields)
	return e.text
}

// unnamedType returns the struct or union without a name at off, or what the qualifiers
// and typedefs there are for, unless a typedef names it.
func (d *dump) unnamedType(off uint64) *dumpEntry {
	for range maxChain {
		e := d.entries[off]
		switch {
		case e == nil:
			return nil
		case e.isUser():
			if e.name != "" {
				return nil
			}
			return e
		case e.tag == "typedef":
			if target := d.entries[e.typ]; target != nil && target.isUser() {
				return nil
			}
		case e.tag != "qualifier":
			return nil
		}
		off = e.typ
	}
	return nil
}

// spaceOf returns the name space of a kind: C has one for all tags, ISF has two.
func spaceOf(kind string) string {
	if kind == "enum" {
		return "enum"
	}
	return "type"
}
