package kstruct

import (
	"errors"
	"fmt"
	"io"

	"github.com/nodelens/nodelens/vmem"
)

// A Printer writes objects as C initializers with their types, in the layout of drgn:
//
//	(struct uts_namespace){
//		.name = (struct new_utsname){
//			.sysname = (char [65])"Linux",
//
// Of an array the zeros at its end are left out. A pointer into the kernel's image has the
// symbol before it, as [Space.SymbolAt] gives it, and one that is printed by itself is
// followed once. Text is quoted as in C, and every byte that is not printable ASCII is
// escaped, so that it is safe on a terminal. What can't be read is told in angle brackets,
// and the rest is printed.
//
// It differs from drgn where the symbols know less: they have no typedefs and no
// signatures of functions, an array of unsigned char is shown as text only if it is
// printable (drgn tells it from an array of u8), and members of equal offset come by name.
//
// The zero value has drgn's defaults, and so has a nil pointer.
type Printer struct {
	// OmitTypes leaves the types out.
	OmitTypes bool
	// OmitTargets leaves out what pointers lead to, texts included.
	OmitTargets bool
	// OmitSymbols leaves out the symbols that pointers lead to.
	OmitSymbols bool
	// OmitZeros leaves members out that are zero.
	OmitZeros bool
	// AllElements prints the zeros at the end of arrays.
	AllElements bool
	// MaxDepth is how many levels of structures are printed; those below are "...".
	// 0 means all.
	MaxDepth int
	// MaxBytes is how long the text can become, about. 0 means 1 MiB.
	MaxBytes int
}

// Print writes v. The error is that of w, of an erroneous Value, or [ErrTooLong] for what
// is longer than MaxBytes, or the first one of memory that could not be read; in all cases
// but the first what can be told is written.
func (p *Printer) Print(w io.Writer, v Value) error {
	text, err := p.format(v)
	if _, err := io.WriteString(w, text); err != nil {
		return err
	}
	return err
}

// String returns the object as a zero [Printer] prints it, or the error of an erroneous
// Value in angle brackets. It reads memory.
func (v Value) String() string {
	text, _ := (*Printer)(nil).format(v)
	return text
}

func (p *Printer) format(v Value) (string, error) {
	if err := v.Err(); err != nil {
		return lossText(err), err
	}
	s := printing{left: p.limit()}
	if p != nil {
		s.Printer = *p
	}
	text := s.top(v)
	if s.left < 0 && s.err == nil {
		s.err = v.lost(fmt.Errorf("%w: text of more than %d bytes", ErrTooLong, p.limit()))
	}
	return text, s.err
}

// limit returns how long the text can become.
func (p *Printer) limit() int {
	if p == nil || p.MaxBytes <= 0 {
		return maxBytes
	}
	return p.MaxBytes
}

// lossText tells in a text that something could not be read.
func lossText(err error) string {
	if f, ok := errors.AsType[*vmem.Fault](err); ok {
		err = f.Err
	}
	text := quoteC(err.Error())
	return "<" + text[1:len(text)-1] + ">"
}
