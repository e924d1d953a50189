package vmem

import (
	"cmp"
	"context"
	"errors"
	"io"
)

// A Reason is a stable code for why something could not be read: what a program asks for
// in a report, where the text of an error may change. Codes are lower-case words joined by
// hyphens. Sentinels of different packages that say the same have the same code.
//
//	code            says
//	not-captured    the memory is not in the image
//	not-present     no page is mapped at the address
//	non-canonical   the address is none that page tables could translate
//	swapped         the page was swapped out
//	not-cached      a part of a file is on its disk only, or swapped out
//	migrating       the page was being migrated
//	special-entry   the page is none in the memory of the CPU
//	bad-entry       a page-table entry is malformed
//	corrupt         a structure contradicts itself or its neighbours
//	cycle           a walk came back to where it had been
//	too-long        a walk, a string or an area goes over a limit
//	unsupported     the kernel's types lack what is needed
//	per-cpu         a per-CPU variable was asked for as if it were one
//	disagree        two views of the same set differ
//	hidden          a task is in none of the views that every process is in
//	not-searched    memory was not searched for what is missing
//	borrowed        what was lost was taken from elsewhere, and verified
//	conflict        sources that should say the same do not
//	ambiguous       there are several answers, and none is better than the others
//	ended           a process ended while it was read
//	truncated       the image file ends early
//	short           a record of the image ends early, and another follows
//	damaged         a part of the image makes no sense
//	overlap         parts of the image have the same memory, of which the first is read
//	no-header       a record of the image has no header
//	no-address      the image does not say which memory a part of it is
//	excluded        whoever wrote the image left the memory out on purpose
//	split           the memory is in another file of the same image
//	not-written     whoever wrote the image did not get to write the memory
//	erased          some of the memory was overwritten on purpose
//	too-many        there are more parts or losses than are kept track of
//	input-output    reading the image failed
//	canceled        the work was ended before it was done
//	other           none of these
//
// The codes of loss in compressed image files are damaged, truncated and input-output.
type Reason string

// The reasons that no sentinel of this module stands for.
const (
	inputOutput Reason = "input-output"
	canceled    Reason = "canceled"
	other       Reason = "other"
	notCaptured Reason = "not-captured"
)

// A reasoned error has a code. Sentinels have one.
type reasoned interface {
	error
	Reason() Reason
}

// A sentinel is an error with a code and a text of its own.
type sentinel struct {
	code Reason
	text string
}

// NewReason returns a new sentinel: an error that stands for one reason, with its code
// and its text. Each call returns an error of its own, as with [errors.New].
func NewReason(code Reason, text string) error { return &sentinel{code, text} }

func (s *sentinel) Error() string  { return s.text }
func (s *sentinel) Reason() Reason { return s.code }

// ReasonOf returns the code of the first sentinel in the tree of err, in the order in
// which [errors.Is] looks. not-captured gives way to any code behind it, which says why
// the memory is not in the image. An error without a sentinel is input-output if it comes
// from the operating system or is the end of a file, canceled if a context ended, and
// other otherwise. The reason of nil is empty.
func ReasonOf(err error) Reason {
	if err == nil {
		return ""
	}
	code := coded(err)
	if code == "" || code == notCaptured {
		return cmp.Or(uncoded(err), code, other)
	}
	return code
}

// coded returns the code that ReasonOf gives, as far as sentinels tell.
func coded(err error) Reason {
	if r, ok := err.(reasoned); ok { //nolint:errorlint // walks the chain itself
		return r.Reason()
	}
	var below []error
	switch e := err.(type) { //nolint:errorlint // walks the chain itself
	case interface{ Unwrap() error }:
		below = []error{e.Unwrap()}
	case interface{ Unwrap() []error }:
		below = e.Unwrap()
	}
	var found Reason
	for _, e := range below {
		if e == nil {
			continue
		}
		if code := coded(e); code != "" && code != notCaptured {
			return code
		} else if code != "" {
			found = code
		}
	}
	return found
}

// uncoded returns the reason of errors of the standard library.
func uncoded(err error) Reason {
	var system interface{ Timeout() bool } // as syscall.Errno, *fs.PathError and net.Error are
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return canceled
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.As(err, &system):
		return inputOutput
	}
	return ""
}

// A recorded error is one that was read back: its text, and its code.
type recorded struct{ sentinel }

// RecordedError returns an error that was written down as a code and a text. [errors.Is]
// reports that it is every sentinel that has this code.
func RecordedError(code Reason, text string) error { return &recorded{sentinel{code, text}} }

// Is reports whether target is a sentinel with the same code.
func (r *recorded) Is(target error) bool {
	s, ok := target.(*sentinel)
	return ok && s.code == r.code
}
