// Package query is how commands name objects of the kernel.
package query

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// A Query is what is to be printed.
type Query struct {
	root    string   // a symbol, or with an address a type
	members []string // paths from there; none for the whole
	addr    vmem.VirtAddr
	typed   bool
}

// Parse takes a variable or type with members behind it.
func Parse(arg string) Query {
	end := len(arg)
	for _, mark := range []string{".", "->"} {
		if i := strings.Index(arg, mark); i >= 0 {
			end = min(end, i)
		}
	}
	q := Query{root: arg[:end]}
	if rest := strings.TrimPrefix(arg[end:], "."); rest != "" {
		q.members = strings.Split(rest, ",")
	}
	return q
}

// At takes the address of what has the type.
func (q *Query) At(arg string) error {
	a, err := strconv.ParseUint(strings.TrimPrefix(arg, "0x"), 16, 64)
	if err != nil {
		return fmt.Errorf("%q is no hexadecimal address", arg)
	}
	q.addr, q.typed = vmem.VirtAddr(a), true
	return nil
}

// Value returns the object.
func (q *Query) Value(s *kstruct.Space, cpu int) kstruct.Value {
	switch {
	case q.typed:
		return s.Struct(q.root, q.addr)
	case cpu >= 0:
		return s.ObjectOn(q.root, cpu)
	}
	return s.Object(q.root)
}

// Print prints the members, or the whole. lost is the first error of what could not be
// read.
func (q *Query) Print(w io.Writer, p *kstruct.Printer, v kstruct.Value) (lost, err error) {
	values := []kstruct.Value{v}
	if len(q.members) > 0 {
		values = values[:0]
	}
	for _, path := range q.members {
		values = append(values, v.At(path))
	}
	for i, v := range values {
		var out strings.Builder
		if len(q.members) > 0 {
			out.WriteString(q.members[i] + " = ")
		}
		lost = errors.Join(lost, p.Print(&out, v))
		if _, err := fmt.Fprintln(w, out.String()); err != nil {
			return lost, err
		}
	}
	return lost, nil
}
