package kstruct

import (
	"fmt"
	"iter"
	"math"

	"github.com/nodelens/nodelens/isf"
)

// maxFields is how many members of one object are visited, those of unnamed structs and
// unions included. The largest type of the kernel has some three hundred.
const maxFields = 100_000

// Len returns the number of elements of an array: 0 for a flexible one, for what is no
// array, and for an erroneous Value. It comes from the symbols, so it sizes no allocation.
func (v Value) Len() int {
	if v.Err() != nil || v.typ.Kind != isf.KindArray {
		return 0
	}
	return int(min(v.typ.Count, math.MaxInt))
}

// Fields yields the members of a struct or union with their names, by offset. Members of
// unnamed structs and unions stand where those are. Of an erroneous Value, and of what has
// no members, it yields one erroneous Value without a name.
func (v Value) Fields() iter.Seq2[string, Value] {
	return func(yield func(string, Value) bool) {
		if v.Err() != nil {
			yield("", v.failed(v.Err()))
			return
		}
		u, err := v.userType()
		if err != nil {
			yield("", v.failed(err))
			return
		}
		left := maxFields
		v.fields(u, &left, isf.MaxTypeDepth, yield)
	}
}

// userType returns the struct or union that v is.
func (v Value) userType() (*isf.UserType, error) {
	switch v.typ.Kind {
	case isf.KindStruct, isf.KindUnion, isf.KindClass:
		return v.space.types.UserType(v.typ.Name)
	}
	return nil, fmt.Errorf("%w: %s has no members", ErrType, v.typ)
}

// fields yields the members of v, a u, and reports whether to go on.
func (v Value) fields(u *isf.UserType, left *int, depth int, yield func(string, Value) bool) bool {
	for i := range u.Fields {
		f := &u.Fields[i]
		w, err := v.displaced(f.Type, f.Offset)
		if *left--; *left < 0 || depth == 0 {
			err = fmt.Errorf("%w: members of %s", ErrTooLong, v.typ)
		}
		if inner, isUser := w.userType(); err == nil && f.Anonymous && isUser == nil {
			w.path = v.path
			if !w.fields(inner, left, depth-1, yield) {
				return false
			}
			continue
		}
		w.path = join(v.path, f.Name)
		if err != nil {
			yield(f.Name, w.failed(err))
			return false
		}
		if !yield(f.Name, w) {
			return false
		}
	}
	return true
}
