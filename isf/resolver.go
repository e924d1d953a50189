package isf

import (
	"errors"
	"slices"
)

// Absent is the offset and the address of something optional that a database does
// not have. Added to a kernel address it makes one that is not canonical, so that
// a caller who forgets to ask gets a fault and not another field's bytes.
const Absent uint64 = 1 << 63

// A Resolver looks up all that a program needs of a database and remembers what is
// missing, so that one error names it all. Where a method takes other names, they
// are what other kernels call the same thing; the first one there is counts.
//
// A Resolver is not safe for concurrent use.
type Resolver struct {
	file    *File
	missing []*LookupError
}

// NewResolver returns a Resolver that looks in f.
func NewResolver(f *File) *Resolver { return &Resolver{file: f} }

// Err returns a [*MissingError] with all that was asked for and is missing, nil
// where nothing is.
func (r *Resolver) Err() error {
	if len(r.missing) == 0 {
		return nil
	}
	return &MissingError{Missing: r.missing}
}

// Type starts the look-ups in a user type. Where the type is missing, that alone
// is reported, and not its fields.
func (r *Resolver) Type(name string, others ...string) *TypeResolver {
	u, err := firstOf(name, others, r.file.UserType)
	r.note(err)
	return &TypeResolver{resolver: r, typ: u}
}

// OptionalType is Type for a user type that need not exist. Where it does not,
// its offsets are Absent.
func (r *Resolver) OptionalType(name string, others ...string) *TypeResolver {
	u, err := firstOf(name, others, r.file.UserType)
	t := &TypeResolver{resolver: r, typ: u}
	if err != nil {
		t.none = Absent
	}
	return t
}

// Symbol returns the address of a symbol, 0 where it is missing.
func (r *Resolver) Symbol(name string, others ...string) uint64 {
	s, err := firstOf(name, others, r.file.Symbol)
	if err != nil {
		r.note(err)
		return 0
	}
	return s.Address
}

// OptionalSymbol returns the address of a symbol, Absent where there is none.
func (r *Resolver) OptionalSymbol(name string, others ...string) uint64 {
	s, err := firstOf(name, others, r.file.Symbol)
	if err != nil {
		return Absent
	}
	return s.Address
}

// Constant returns the value of an enumerator, 0 where it is missing.
func (r *Resolver) Constant(enum, name string, others ...string) int64 {
	v, err := firstOf(name, others, func(name string) (int64, error) { return r.file.Constant(enum, name) })
	r.note(err)
	return v
}

func (r *Resolver) note(err error) {
	e, ok := errors.AsType[*LookupError](err)
	if ok && !slices.ContainsFunc(r.missing, func(m *LookupError) bool { return *m == *e }) {
		r.missing = append(r.missing, e)
	}
}

// firstOf returns what look finds for the first of the names. The error tells of
// all of them.
func firstOf[T any](name string, others []string, look func(string) (T, error)) (T, error) {
	v, err := look(name)
	if err == nil {
		return v, nil
	}
	for _, other := range others {
		if v, err := look(other); err == nil {
			return v, nil
		}
	}
	if e, ok := errors.AsType[*LookupError](err); ok && len(others) > 0 {
		all := *e
		for _, other := range others {
			all.Object += " or " + other
		}
		err = &all
	}
	return v, err
}

// A TypeResolver looks up members of one user type for a [Resolver]. Paths are
// those of [File.Field].
type TypeResolver struct {
	resolver *Resolver
	typ      *UserType // nil where it is missing
	none     uint64    // the offset of all members where the type is missing
}

// Exists reports whether the type does.
func (t *TypeResolver) Exists() bool { return t.typ != nil }

// Has reports whether the type has a member. It is no request: what is not there is
// not reported.
func (t *TypeResolver) Has(path string) bool {
	_, err := t.look(path)
	return err == nil
}

// Size returns the size of the type in bytes, 0 where it is missing.
func (t *TypeResolver) Size() uint64 {
	if t.typ == nil {
		return 0
	}
	return t.typ.Size
}

// Field returns a member; where it is missing, one of type void at offset 0, or
// at Absent in an optional type.
func (t *TypeResolver) Field(path string, others ...string) Field {
	m, err := firstOf(path, others, t.look)
	if err != nil {
		t.resolver.note(err)
		return Field{Offset: t.none, Type: &Type{}}
	}
	return m
}

// Offset returns the offset of a member in bytes, 0 where it is missing.
func (t *TypeResolver) Offset(path string, others ...string) uint64 {
	return t.Field(path, others...).Offset
}

// OptionalOffset returns the offset of a member in bytes, Absent where there is
// none.
func (t *TypeResolver) OptionalOffset(path string, others ...string) uint64 {
	m, err := firstOf(path, others, t.look)
	if err != nil {
		return Absent
	}
	return m.Offset
}

// FieldSize returns the size of a member in bytes, 0 where it is missing.
func (t *TypeResolver) FieldSize(path string, others ...string) uint64 {
	size, err := t.resolver.file.SizeOf(t.Field(path, others...).Type)
	t.resolver.note(err)
	return size
}

// errNoType is what look gives where the type is missing, which was told already.
var errNoType = errors.New("no type")

func (t *TypeResolver) look(path string) (Field, error) {
	if t.typ == nil {
		return Field{}, errNoType
	}
	return t.resolver.file.FieldOf(t.typ, path)
}
