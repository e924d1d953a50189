package isf

import (
	"encoding/base64"
	"fmt"
	"io"
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
			d.metadata()
		case sectionBases:
			d.entries(section, d.base)
		case sectionTypes:
			d.entries(section, d.userType)
		case sectionEnums:
			d.entries(section, d.enum)
		case sectionSymbols:
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
	f := build(d.contents, func(string, string) {})
	f.malformed = d.malformed
	return f, nil
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
	s := string(b)
	d.names[s] = s
	return s
}

// entries decodes the members of a section by entry, which gets their names.
func (d *decoder) entries(section string, entry func(name string)) {
	d.path = append(d.path, section)
	for ok := d.object(section); ok; ok = d.more('{') {
		name := string(d.member())
		d.path = append(d.path, name)
		entry(name)
		d.path = d.path[:len(d.path)-1]
	}
	d.sound()
	d.path = d.path[:len(d.path)-1]
}

// sound reports whether nothing was complained of since the last call. Otherwise what
// was just decoded is to be left out, which it notes.
func (d *decoder) sound() bool {
	if d.bad == nil {
		return true
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
		d.complain("%s: %w", what, n.err)
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
		d.contents.Bases = append(d.contents.Bases, b)
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
			u.Fields = d.fields()
		default:
			d.skip()
		}
	}
	if !sized || u.Kind == 0 {
		d.complain("user type without size or kind")
	}
	if d.sound() {
		d.contents.Types = append(d.contents.Types, u)
	}
}

func (d *decoder) fields() []Field {
	var fields []Field
	d.path = append(d.path, "fields")
	for ok := d.object("fields"); ok; ok = d.more('{') {
		name := d.intern(d.member())
		d.path = append(d.path, name)
		before := d.bad
		d.bad = nil
		f := d.field(name)
		if d.sound() {
			fields = append(fields, f)
		}
		d.bad = before
		d.path = d.path[:len(d.path)-1]
	}
	d.path = d.path[:len(d.path)-1]
	return fields
}

func (d *decoder) field(name string) Field {
	f := Field{Name: name}
	placed := false
	for ok := d.object("field"); ok; ok = d.more('{') {
		switch string(d.member()) {
		case "offset":
			f.Offset, placed = d.uint("offset"), true
		case "type":
			f.Type = d.typ()
		case "anonymous":
			f.Anonymous = d.boolean("anonymous")
		default:
			d.skip()
		}
	}
	if !placed || f.Type == nil {
		d.complain("field without offset or type")
		return f
	}
	if f.Type.Kind.aggregate() && strings.HasPrefix(name, unnamedPrefix) {
		f.Anonymous = true
	}
	return f
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
			e.Constants = d.constants()
		default:
			d.skip()
		}
	}
	if !sized {
		d.complain("enum without size")
	}
	if d.sound() {
		d.contents.Enums = append(d.contents.Enums, e)
	}
}

func (d *decoder) constants() []Constant {
	var constants []Constant
	d.path = append(d.path, "constants")
	for ok := d.object("constants"); ok; ok = d.more('{') {
		name := string(d.member())
		d.path = append(d.path, name)
		before := d.bad
		d.bad = nil
		n := d.integer("constant")
		v := int64(n.magnitude)
		if n.negative {
			v = -v
		}
		if d.sound() {
			constants = append(constants, Constant{Name: name, Value: v})
		}
		d.bad = before
		d.path = d.path[:len(d.path)-1]
	}
	d.path = d.path[:len(d.path)-1]
	return constants
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
			y.ConstantData = data
		default:
			d.skip()
		}
	}
	if !placed {
		d.complain("symbol without address")
	}
	if d.sound() {
		d.contents.Symbols = append(d.contents.Symbols, y)
	}
}
