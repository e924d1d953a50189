package isf

import (
	"errors"
	"fmt"
	"strings"
)

var (
	// ErrNotFound is the reason that a [LookupError] wraps.
	ErrNotFound = errors.New("not found")
	// ErrSyntax is the reason for input that is no valid JSON, or nests or stretches
	// beyond the limits of this package.
	ErrSyntax = errors.New("invalid JSON")
	// ErrMalformed is the reason for JSON that is not what ISF has in that place.
	ErrMalformed = errors.New("malformed")
	// ErrVersion is the reason for a version of ISF that is not supported.
	ErrVersion = errors.New("unsupported ISF version")
	// ErrFormat is the reason for input that is neither a JSON object nor compressed
	// in a known way.
	ErrFormat = errors.New("not an ISF file")
	// ErrTooLarge is the reason for input that is larger, once decompressed, than
	// [Decode] takes.
	ErrTooLarge = errors.New("too large")
)

// A DecodeError says where in an ISF file something is wrong. It wraps the
// reason: [ErrSyntax], [ErrMalformed], [ErrVersion], [ErrTooLarge], [ErrFormat], or
// the error of the reader or the decompressor.
type DecodeError struct {
	Path   string // the keys down to the place, such as user_types.task_struct.fields.pid; may be empty
	Offset int64  // in bytes from the start of the decompressed JSON
	Err    error
}

func (e *DecodeError) Error() string {
	if e.Path == "" {
		return fmt.Sprintf("isf: offset %d: %v", e.Offset, e.Err)
	}
	return fmt.Sprintf("isf: %s: offset %d: %v", e.Path, e.Offset, e.Err)
}

// Unwrap returns the reason.
func (e *DecodeError) Unwrap() error { return e.Err }

// A LookupError says what a database does not have. It wraps [ErrNotFound].
type LookupError struct {
	In     string // the type it was sought in, such as "struct task_struct"; "" for the whole database
	Object string // what was sought, such as "field pid" or "symbol init_task"
	Note   string // what is there instead; may be empty
}

func (e *LookupError) Error() string { return "isf: " + e.message() }

func (e *LookupError) message() string {
	s := "no " + e.Object
	if e.In != "" {
		s = e.In + " has no " + e.Object
	}
	if e.Note != "" {
		s += " (" + e.Note + ")"
	}
	return s
}

// Unwrap returns ErrNotFound.
func (e *LookupError) Unwrap() error { return ErrNotFound }

// A MissingError lists everything that a [Resolver] did not find.
type MissingError struct {
	Missing []*LookupError // in the order of the requests; at least one
}

func (e *MissingError) Error() string {
	all := make([]string, len(e.Missing))
	for i, m := range e.Missing {
		all[i] = m.message()
	}
	return "isf: " + strings.Join(all, "; ")
}

// Unwrap returns the elements of Missing.
func (e *MissingError) Unwrap() []error {
	all := make([]error, len(e.Missing))
	for i, m := range e.Missing {
		all[i] = m
	}
	return all
}
