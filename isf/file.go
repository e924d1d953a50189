package isf

import (
	"bytes"
	"iter"
	"slices"
	"strings"
)

// A File is a database of types and symbols. It does not change, and is safe for
// concurrent use. What its methods point to must not be changed.
type File struct {
	metadata  Metadata
	bases     []BaseType
	types     []UserType
	enums     []Enum
	symbols   []Symbol
	malformed []*DecodeError
	lost      []error
	origins   []Origin
	usage     *Usage // nil: look-ups are not remembered
	under     *File  // what has all that is not here; nil: nothing. See NewOver
}

// Metadata says where the database comes from.
func (f *File) Metadata() Metadata { return f.metadata }

// Malformed lists what Decode left out for being no valid ISF, in the order of
// the file. It is empty for nearly every file there is, and always for what New
// returns.
func (f *File) Malformed() []*DecodeError {
	if f.under == nil {
		return f.malformed
	}
	return append(slices.Clone(f.malformed), f.under.Malformed()...)
}

// Lost lists what the source of the database has and the database lacks, as the producer
// told New. An ISF file does not say it, so that it is empty for what Decode returns.
func (f *File) Lost() []error {
	if f.under == nil {
		return f.lost
	}
	return append(slices.Clone(f.lost), f.under.Lost()...)
}

// WithLost returns f with more that its source had and it lacks, or has from elsewhere.
func (f *File) WithLost(lost ...error) *File {
	r := *f
	r.lost = append(slices.Clone(f.lost), lost...)
	return &r
}

// BaseType returns the base type called name. The error is a [*LookupError].
func (f *File) BaseType(name string) (*BaseType, error) {
	for layer := f; layer != nil; layer = layer.under {
		if i, ok := layer.findBase(name); ok {
			return &layer.bases[i], nil
		}
	}
	return nil, f.missing("base type", sectionBases, name)
}

func (f *File) findBase(name string) (i int, found bool) {
	return slices.BinarySearchFunc(f.bases, name, func(b BaseType, s string) int { return strings.Compare(b.Name, s) })
}

// UserType returns the struct, union or class called name. The error is a
// [*LookupError].
func (f *File) UserType(name string) (*UserType, error) {
	if u := f.userType(name); u != nil {
		f.usage.addType(name, "")
		return u, nil
	}
	return nil, f.missing("user type", sectionTypes, name)
}

// userType returns nil where there is no such type.
func (f *File) userType(name string) *UserType {
	for ; f != nil; f = f.under {
		i, ok := slices.BinarySearchFunc(f.types, name, func(u UserType, s string) int { return strings.Compare(u.Name, s) })
		if ok {
			return &f.types[i]
		}
	}
	return nil
}

// Enum returns the enumeration called name. The error is a [*LookupError].
func (f *File) Enum(name string) (*Enum, error) {
	if e := f.findEnum(name); e != nil {
		if f.usage != nil {
			f.usage.addEnum(name)
		}
		return e, nil
	}
	return nil, f.missing("enum", sectionEnums, name)
}

// findEnum returns nil where there is no such enumeration.
func (f *File) findEnum(name string) *Enum {
	for ; f != nil; f = f.under {
		i, ok := slices.BinarySearchFunc(f.enums, name, func(e Enum, s string) int { return strings.Compare(e.Name, s) })
		if ok {
			return &f.enums[i]
		}
	}
	return nil
}

// Symbol returns the symbol called name. The error is a [*LookupError].
func (f *File) Symbol(name string) (*Symbol, error) {
	for layer := f; layer != nil; layer = layer.under {
		i, ok := layer.findSymbol(name)
		if ok && f.usage != nil {
			f.usage.addSymbol(name)
		}
		if ok {
			return &layer.symbols[i], nil
		}
	}
	return nil, f.missing("symbol", sectionSymbols, name)
}

func (f *File) findSymbol(name string) (i int, found bool) {
	return slices.BinarySearchFunc(f.symbols, name, func(s Symbol, n string) int { return strings.Compare(s.Name, n) })
}

// Constant returns the value of the enumerator called name. The error is a
// [*LookupError].
func (f *File) Constant(enum, name string) (int64, error) {
	e, err := f.Enum(enum)
	if err != nil {
		return 0, err
	}
	for _, c := range e.Constants {
		if c.Name == name {
			return c.Value, nil
		}
	}
	note := f.malformedNote(sectionEnums, enum, "constants", name)
	return 0, &LookupError{In: "enum " + enum, Object: "constant " + name, Note: note}
}

// Banner returns the kernel's version banner, which begins with "Linux version"
// and ends with a newline, or "" where the database does not keep it.
func (f *File) Banner() string {
	s, err := f.Symbol("linux_banner")
	if err != nil {
		return ""
	}
	text, _, _ := bytes.Cut(s.ConstantData, []byte{0})
	return string(text)
}

// BaseTypes yields the base types by name.
func (f *File) BaseTypes() iter.Seq[*BaseType] { return pointers(f.whole().bases) }

// UserTypes yields the structs, unions and classes by name.
func (f *File) UserTypes() iter.Seq[*UserType] { return pointers(f.whole().types) }

// Enums yields the enumerations by name.
func (f *File) Enums() iter.Seq[*Enum] { return pointers(f.whole().enums) }

// Symbols yields the symbols by name.
func (f *File) Symbols() iter.Seq[*Symbol] { return pointers(f.whole().symbols) }

func pointers[T any](s []T) iter.Seq[*T] {
	return func(yield func(*T) bool) {
		for i := range s {
			if !yield(&s[i]) {
				return
			}
		}
	}
}

// missing returns the error for an entry that is not there.
func (f *File) missing(kind, section, name string) *LookupError {
	return &LookupError{Object: kind + " " + name, Note: f.malformedNote(section, name)}
}

// malformedNote tells of what is missing because it was left out in decoding.
func (f *File) malformedNote(keys ...string) string {
	path := joinPath(keys)
	for ; f != nil; f = f.under {
		for _, m := range f.malformed {
			if m.Path == path {
				return "left out: " + m.Err.Error()
			}
		}
	}
	return ""
}
