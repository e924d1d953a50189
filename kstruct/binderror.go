package kstruct

import (
	"fmt"
	"strings"

	"github.com/nodelens/nodelens/isf"
)

// A BindError lists what keeps the views of a [Binder] from being read. It wraps
// [ErrUnsupported] where the kernel's types are the cause, and all that it lists.
type BindError struct {
	// Missing are the types and members that the kernel's types don't have, in the order
	// in which they were asked for.
	Missing []*isf.LookupError
	// Mismatches are the members that are of another type than the view reads.
	Mismatches []*MismatchError
	// Tags are the mistakes in Go types, which no kernel fits.
	Tags []*TagError
}

// Error returns all that is listed, in one line.
func (e *BindError) Error() string {
	var all []string
	if len(e.Missing) > 0 {
		missing := isf.MissingError{Missing: e.Missing}
		all = append(all, strings.TrimPrefix(missing.Error(), "isf: "))
	}
	for _, m := range e.Mismatches {
		all = append(all, m.message())
	}
	for _, t := range e.Tags {
		all = append(all, t.message())
	}
	return "kstruct: " + strings.Join(all, "; ")
}

// Unwrap returns [ErrUnsupported] unless only Tags has elements, an [*isf.MissingError]
// where Missing has, and the elements of the other lists.
func (e *BindError) Unwrap() []error {
	var all []error
	if len(e.Missing)+len(e.Mismatches) > 0 {
		all = append(all, ErrUnsupported)
	}
	if len(e.Missing) > 0 {
		all = append(all, &isf.MissingError{Missing: e.Missing})
	}
	for _, m := range e.Mismatches {
		all = append(all, m)
	}
	for _, t := range e.Tags {
		all = append(all, t)
	}
	return all
}

// A MismatchError says that a view reads a member as something that it is not, or that
// does not hold all its values. It wraps [ErrUnsupported].
type MismatchError struct {
	Type   string // the kernel's type, such as "task_struct"
	Member string // the path of the member in it, such as "pid" or "numbers[0].nr"
	Kernel string // what the member is, such as "unsigned int"
	Go     string // what the view reads it as, such as "int32"
	View   string // the Go type of the view
	Note   string // why that does not fit
}

// Error returns the member, its type, the type that the view has for it, and why the two
// don't fit.
func (e *MismatchError) Error() string { return "kstruct: " + e.message() }

func (e *MismatchError) message() string {
	return fmt.Sprintf("%s.%s: the kernel has %s, %s reads it as %s: %s", e.Type, e.Member, e.Kernel, e.View, e.Go, e.Note)
}

// Unwrap returns ErrUnsupported.
func (e *MismatchError) Unwrap() error { return ErrUnsupported }

// A TagError is a mistake in a Go type that was to be bound: in a tag, or in a field that
// has one.
type TagError struct {
	View  string // the Go type of the view
	Field string // the Go field, by its path such as "Outer.Inner"; may be empty
	Note  string // what is wrong
}

// Error returns the field and what is wrong with it.
func (e *TagError) Error() string { return "kstruct: " + e.message() }

func (e *TagError) message() string {
	if e.Field == "" {
		return fmt.Sprintf("%s: %s", e.View, e.Note)
	}
	return fmt.Sprintf("%s.%s: %s", e.View, e.Field, e.Note)
}
