package isf

import (
	"encoding/base64"
	"fmt"
	"io"
	"slices"
	"strings"
)

// The sections of an ISF file.
const (
	sectionBases   = "base_types"
	sectionTypes   = "user_types"
	sectionEnums   = "enums"
	sectionSymbols = "symbols"
)

// A decoder reads an ISF file in one pass. Strings and types that repeat, as most do,
// are kept once.
type decoder struct {
	scanner
	names     map[string]string
	types     map[Type]*Type
	arena     strings.Builder // names of late
	fields    []Field         // those of one user type, for reuse
	constants []Constant      // those of one enumeration, for reuse
	contents  Contents
	malformed []*DecodeError
}

func newDecoder(src io.Reader) *decoder {
	return &decoder{scanner: newScanner(src), names: map[string]string{}, types: map[Type]*Type{}}
}

func (d *decoder) decode() (*File, error) {
	for ok := d.object("the file"); ok; ok = d.more('{') {
		switch section := string(d.member()); section {
		case "metadata":
			d.contents.Metadata = Metadata{}
			d.metadata()
		case sectionBases:
			d.contents.Bases = nil
			d.entries(section, d.base)
		case sectionTypes:
			d.contents.Types = nil
			d.entries(section, d.userType)
		case sectionEnums:
			d.contents.Enums = nil
			d.entries(section, d.enum)
		case sectionSymbols:
			d.contents.Symbols = nil
			d.entries(section, d.symbol)
		default:
			d.skip()
		}
	}
	d.end()
	if d.err == nil && d.bad != nil {
		d.fail(d.bad)
	}
	if d.err != nil {
		return nil, d.err
	}
	if err := checkVersion(d.contents.Metadata.Format); err != nil {
		return nil, &DecodeError{Path: "metadata.format", Offset: d.offset(), Err: err}
	}
	d.trim()
	f := build(d.contents, func(string, string) {})
	f.malformed = d.malformed
	return f, nil
}

// trim gives back the room that the sections did not need.
func (d *decoder) trim() {
	c := &d.contents
	c.Bases, c.Types, c.Enums, c.Symbols = clone(c.Bases), clone(c.Types), clone(c.Enums), clone(c.Symbols)
}

func checkVersion(v string) error {
	major, _, _ := strings.Cut(v, ".")
	switch major {
	case "2", "3", "4", "5", "6":
		return nil
	}
	return fmt.Errorf("%w: %q", ErrVersion, v)
}

// intern returns a string of b, the same for equal bytes.
func (d *decoder) intern(b []byte) string {
	if s, ok := d.names[string(b)]; ok {
		return s
	}
	s := d.keep(b)
	d.names[s] = s
	return s
}

// arenaSize is how many bytes of names share an allocation.
const arenaSize = 64 << 10

// keep returns a string of b, in an allocation that it shares with others.
func (d *decoder) keep(b []byte) string {
	if d.arena.Cap()-d.arena.Len() < len(b) {
		d.arena = strings.Builder{}
		d.arena.Grow(max(arenaSize, len(b)))
	}
	start := d.arena.Len()
	_, _ = d.arena.Write(b)
	return d.arena.String()[start:]
}

// entries decodes the members of a section by entry, which gets their names.
func (d *decoder) entries(section string, entry func(name string)) {
	if d.peek() == 'n' { // null, where a writer had none
		d.skip()
		return
	}
	d.path = append(d.path, section)
	for ok := d.object(section); ok; ok = d.more('{') {
		name := d.keep(d.member())
		d.path = append(d.path, name)
		entry(name)
		d.path = d.path[:len(d.path)-1]
	}
	d.sound() // what is no section costs that one
	d.path = d.path[:len(d.path)-1]
}

// maxMalformed is how many complaints are taken. Files have none or a few; the limit
// keeps what is noted of a hostile one in bounds.
const maxMalformed = 10_000

// sound reports whether nothing was complained of since the last call. Otherwise what
// was just decoded is to be left out, which it notes.
func (d *decoder) sound() bool {
	if d.bad == nil {
		return true
	}
	if len(d.malformed) == maxMalformed {
		d.fail(fmt.Errorf("%w: so are %d entries before", d.bad, maxMalformed))
	}
	d.malformed = append(d.malformed, &DecodeError{Path: joinPath(d.path), Offset: d.offset(), Err: d.bad})
	d.bad = nil
	return false
}

// uint decodes a number without sign; what names it in a complaint.
func (d *decoder) uint(what string) uint64 {
	n := d.integer(what)
	if n.negative {
		d.complain("%s is negative", what)
	}
	return n.magnitude
}

func (d *decoder) integer(what string) integer {
	if c := d.peek(); c != '-' && !isDigit(c) {
		d.mismatch(what, "a number")
		return integer{}
	}
	n := d.number()
	if n.err != nil {
		d.complain("%s %w", what, n.err)
	}
	return n
}

func (d *decoder) base(name string) {
	b := BaseType{Name: name}
	kind, signed, sized := "", false, false
	for ok := d.object("base type"); ok; ok = d.more('{') {
		switch string(d.member()) {
		case "size":
			b.Size, sized = d.uint("size"), true
		case "kind":
			kind = string(d.text("kind"))
		case "signed":
			b.Signed, signed = d.boolean("signed"), true
		case "endian":
			b.BigEndian = string(d.text("endian")) == "big"
		default:
			d.skip()
		}
	}
	if !sized {
		d.complain("base type without size")
	}
	b.infer(kind, signed)
	if d.sound() {
		d.contents.Bases = push(d.contents.Bases, b)
	}
}

// infer sets the kind by its name, and where a file does not give one, kind and sign by
// the type's name in C.
func (b *BaseType) infer(kind string, signed bool) {
	for k, name := range baseKindNames {
		if kind == name {
			b.Kind = BaseKind(k)
			return
		}
	}
	switch {
	case b.Size == 0 || b.Name == "void":
		b.Kind = BaseVoid
	case strings.Contains(b.Name, "char"):
		b.Kind = BaseChar
	case strings.Contains(b.Name, "ool"):
		b.Kind = BaseBool
	case b.Name == "float" || strings.HasSuffix(b.Name, "double"):
		b.Kind = BaseFloat
	default:
		b.Kind = BaseInt
	}
	if !signed {
		unsigned := strings.HasPrefix(b.Name, "unsigned") || strings.Contains(b.Name, " unsigned") || b.Name == "pointer"
		b.Signed = !unsigned && (b.Kind == BaseInt || b.Kind == BaseFloat || b.Kind == BaseChar)
	}
}

func (d *decoder) userType(name string) {
	u := UserType{Name: name}
	sized := false
	for ok := d.object("user type"); ok; ok = d.more('{') {
		switch string(d.member()) {
		case "size":
			u.Size, sized = d.uint("size"), true
		case "kind":
			if u.Kind = kindNamed(d.text("kind")); !u.Kind.aggregate() {
				d.complain("kind of a user type is none of struct, union, class")
			}
		case "fields":
			u.Fields = d.members()
		default:
			d.skip()
		}
	}
	if !sized || u.Kind == 0 {
		d.complain("user type without size or kind")
	}
	if d.sound() {
		d.contents.Types = push(d.contents.Types, u)
	}
}

func (d *decoder) members() []Field {
	d.fields = d.fields[:0]
	d.path = append(d.path, "fields")
	for ok := d.object("fields"); ok; ok = d.more('{') {
		name := d.intern(d.member())
		d.path = append(d.path, name)
		before := d.bad
		d.bad = nil
		f := d.field(name)
		if d.sound() {
			d.fields = append(d.fields, f)
		}
		d.bad = before
		d.path = d.path[:len(d.path)-1]
	}
	d.path = d.path[:len(d.path)-1]
	return clone(d.fields)
}

// push appends to what becomes large. It grows by more than append does, which copies
// less.
func push[T any](s []T, v T) []T {
	if len(s) == cap(s) {
		s = slices.Grow(s, max(16, 2*len(s)))
	}
	return append(s, v)
}

// clone returns a copy without room to spare, nil of nothing.
func clone[T any](s []T) []T {
	if len(s) == 0 {
		return nil
	}
	return slices.Clone(s)
}

func (d *decoder) field(name string) Field {
	f := Field{Name: name}
	placed, told := false, false
	for ok := d.object("field"); ok; ok = d.more('{') {
		switch string(d.member()) {
		case "offset":
			f.Offset, placed = d.uint("offset"), true
		case "type":
			f.Type = d.typ()
		case "anonymous":
			f.Anonymous, told = d.boolean("anonymous"), true
		default:
			d.skip()
		}
	}
	if !placed || f.Type == nil {
		d.complain("field without offset or type")
		return f
	}
	if !told {
		f.Anonymous = f.looksAnonymous()
	}
	return f
}

// looksAnonymous reports whether the member is one without a name as far as name and
// type tell: old versions of dwarf2json say no more.
func (f *Field) looksAnonymous() bool {
	return f.Type.Kind.aggregate() && strings.HasPrefix(f.Name, unnamedPrefix)
}

func (d *decoder) enum(name string) {
	e := Enum{Name: name}
	sized := false
	for ok := d.object("enum"); ok; ok = d.more('{') {
		switch string(d.member()) {
		case "size":
			e.Size, sized = d.uint("size"), true
		case "base":
			e.Base = d.intern(d.text("base"))
		case "constants":
			e.Constants = d.enumerators()
		default:
			d.skip()
		}
	}
	if !sized {
		d.complain("enum without size")
	}
	if d.sound() {
		d.contents.Enums = push(d.contents.Enums, e)
	}
}

func (d *decoder) enumerators() []Constant {
	d.constants = d.constants[:0]
	d.path = append(d.path, "constants")
	for ok := d.object("constants"); ok; ok = d.more('{') {
		name := d.keep(d.member())
		d.path = append(d.path, name)
		before := d.bad
		d.bad = nil
		v := d.constant()
		if d.sound() {
			d.constants = append(d.constants, Constant{Name: name, Value: v})
		}
		d.bad = before
		d.path = d.path[:len(d.path)-1]
	}
	d.path = d.path[:len(d.path)-1]
	return clone(d.constants)
}

// constant decodes the value of an enumerator. One above the int64 range wraps.
func (d *decoder) constant() int64 {
	n := d.integer("constant")
	if !n.negative {
		return int64(n.magnitude)
	}
	if n.magnitude > 1<<63 {
		d.complain("constant %w", errTooWide)
	}
	return -int64(n.magnitude)
}

func (d *decoder) symbol(name string) {
	y := Symbol{Name: name}
	placed := false
	for ok := d.object("symbol"); ok; ok = d.more('{') {
		switch string(d.member()) {
		case "address":
			y.Address, placed = d.uint("address"), true
		case "type":
			y.Type = d.typ()
		case "constant_data":
			data, err := base64.StdEncoding.DecodeString(string(d.text("constant_data")))
			if err != nil {
				d.complain("constant_data: %w", err)
			}
			if y.ConstantData = nil; len(data) > 0 {
				y.ConstantData = data
			}
		default:
			d.skip()
		}
	}
	if !placed {
		d.complain("symbol without address")
	}
	if d.sound() {
		d.contents.Symbols = push(d.contents.Symbols, y)
	}
}
