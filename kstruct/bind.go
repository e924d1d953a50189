package kstruct

import (
	"errors"
	"reflect"
	"slices"

	"github.com/nodelens/nodelens/isf"
)

// A Binder resolves views and members against the types of one kernel, and remembers what
// is missing, so that one error names it all:
//
//	b := kstruct.NewBinder(types)
//	tasks := kstruct.Bind[task](b, "task_struct")
//	links := kstruct.BindMember(b, "task_struct", "tasks")
//	if err := b.Err(); err != nil {
//		return err
//	}
//
// An artefact has a Binder of its own, so that what it lacks costs nothing else.
// A Binder is not safe for concurrent use; what it bound is.
type Binder struct {
	types *isf.File
	err   BindError
}

// NewBinder returns a Binder that looks in types.
func NewBinder(types *isf.File) *Binder { return &Binder{types: types} }

// Err returns a [*BindError] that lists all that was asked for and that the types don't
// have or have otherwise, nil where there is nothing to list.
func (b *Binder) Err() error {
	if len(b.err.Missing) == 0 && len(b.err.Mismatches) == 0 && len(b.err.Tags) == 0 {
		return nil
	}
	e := b.err
	return &e
}

// Bind binds a view of T to the structure or union called typ. others are names that the
// same structure has in other kernels; the first that the types have counts. Where it
// has no such structure, or one that does not fit, the Binder's error says so. See
// [View] for what T may be.
func Bind[T any](b *Binder, typ string, others ...string) *View[T] {
	u, err := b.userType(typ, others)
	b.note(err)
	return &View[T]{bind(b, reflect.TypeFor[T](), u, err == nil)}
}

// BindOptional is [Bind] for a structure that need not exist. Where it does not, the view
// is not Ok. Where it exists, T has to fit.
func BindOptional[T any](b *Binder, typ string, others ...string) *View[T] {
	u, err := b.userType(typ, others)
	return &View[T]{bind(b, reflect.TypeFor[T](), u, err == nil)}
}

// bind compiles the view of t for u, which is nil where there is no such type.
func bind(b *Binder, t reflect.Type, u *isf.UserType, found bool) program {
	c := compiler{binder: b, view: t.String()}
	c.compile(t, u)
	p := program{ok: found && !c.failed, ops: joinOps(c.ops), fields: c.fields}
	if u != nil {
		p.size = u.Size
	}
	for _, o := range p.ops {
		if !o.kind.local() {
			p.span = max(p.span, o.from+uint64(o.size))
		}
	}
	return p
}

// userType returns the first type there is of the names.
func (b *Binder) userType(name string, others []string) (*isf.UserType, error) {
	return firstOf(name, others, b.types.UserType)
}

// member returns the first member there is of the paths.
func (b *Binder) member(u *isf.UserType, path string, others []string) (isf.Field, error) {
	return firstOf(path, others, func(path string) (isf.Field, error) { return b.types.FieldOf(u, path) })
}

// firstOf returns what look finds for the first of the names. The error tells of all of
// them.
func firstOf[T any](name string, others []string, look func(string) (T, error)) (T, error) {
	v, first := look(name)
	if first == nil {
		return v, nil
	}
	for _, other := range others {
		if v, err := look(other); err == nil {
			return v, nil
		}
	}
	if e, ok := errors.AsType[*isf.LookupError](first); ok && len(others) > 0 {
		all := *e
		for _, other := range others {
			all.Object += " or " + other
		}
		first = &all
	}
	return v, first
}

// note remembers an error of firstOf.
func (b *Binder) note(err error) {
	e, ok := errors.AsType[*isf.LookupError](err)
	if ok && !slices.ContainsFunc(b.err.Missing, func(m *isf.LookupError) bool { return *m == *e }) {
		b.err.Missing = append(b.err.Missing, e)
	}
}
