package kstruct

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/vmem"
)

// At returns the member that path names. A path is written as in C: members joined by
// dots, "->" where a pointer is followed, and indexes in brackets, of arrays and of
// pointers: "name.nodename", "real_cred->uid.val", "files->fdt->fd[3]->f_inode". Members
// of unnamed structs and unions are members of what surrounds them. A path may begin with
// "->" or an index.
//
// A dot does not follow pointers, so that a path says where memory is read. At allocates
// only where it is not the first step from an object.
func (v Value) At(path string) Value {
	if v.Err() != nil {
		return v.failed(v.Err())
	}
	w, err := v.walk(path)
	w.path = join(v.path, path)
	if err != nil {
		return w.failed(err)
	}
	return w
}

// joint returns what stands before a path that continues another one.
func joint(path string) string {
	if path == "" || path[0] == '[' || strings.HasPrefix(path, "->") {
		return ""
	}
	return "."
}

// join returns the path that leads on from another one.
func join(path, more string) string {
	switch {
	case path == "":
		return more
	case strings.HasSuffix(path, "->"):
		return path + more
	}
	return path + joint(more) + more
}

// walk takes the steps of a path. With an error it returns where it came to.
func (v Value) walk(path string) (Value, error) {
	if path == "" {
		return v, fmt.Errorf("%w: empty path", ErrType)
	}
	rest, err := path, error(nil)
	if joint(path) != "" {
		v, rest, err = v.named(path)
	}
	for rest != "" && err == nil {
		switch {
		case rest[0] == '[':
			v, rest, err = v.bracket(rest)
		case rest[0] == '.':
			v, rest, err = v.named(rest[1:])
		case strings.HasPrefix(rest, "->"):
			if v, err = v.deref(); err == nil {
				v, rest, err = v.named(rest[2:])
			}
		default:
			err = fmt.Errorf("%w: path goes on with %q", ErrType, rest)
		}
	}
	return v, err
}

// named takes the member whose name path begins with, and returns what follows.
func (v Value) named(path string) (_ Value, rest string, _ error) {
	end := strings.IndexAny(path, ".[-")
	if end < 0 {
		end = len(path)
	}
	if end == 0 {
		return v, path, fmt.Errorf("%w: path lacks a name before %q", ErrType, path)
	}
	w, err := v.member(path[:end])
	return w, path[end:], err
}

// bracket takes the element whose index path begins with, and returns what follows.
func (v Value) bracket(path string) (_ Value, rest string, _ error) {
	index, rest, closed := strings.Cut(path[1:], "]")
	n, err := strconv.ParseUint(index, 0, 63)
	if err != nil || !closed {
		return v, path, fmt.Errorf("%w: bad index %q", ErrType, path)
	}
	w, err := v.element(n)
	return w, rest, err
}

// member returns the member of a struct or union.
func (v Value) member(name string) (Value, error) {
	switch v.typ.Kind {
	case isf.KindStruct, isf.KindUnion, isf.KindClass:
	case isf.KindPointer:
		return v, fmt.Errorf("%w: %s of %s: pointers are followed by ->", ErrType, name, v.typ)
	default:
		return v, fmt.Errorf("%w: %s of %s, which has no members", ErrType, name, v.typ)
	}
	f, err := v.space.types.Field(v.typ.Name, name)
	if err != nil {
		return v, unknown(err)
	}
	return v.displaced(f.Type, f.Offset)
}

// element returns the element of an array, or the object that many objects behind the one
// that a pointer leads to.
func (v Value) element(n uint64) (Value, error) {
	var err error
	t := v.typ
	switch {
	case t.Kind == isf.KindArray && t.Count != 0 && n >= t.Count:
		return v, fmt.Errorf("%w: element %d of %s", ErrRange, n, t)
	case t.Kind == isf.KindPointer:
		if v, err = v.deref(); err != nil {
			return v, err
		}
	case t.Kind != isf.KindArray:
		return v, fmt.Errorf("%w: element of %s", ErrType, t)
	}
	size, err := v.space.types.SizeOf(t.Elem)
	if err != nil {
		return v, err
	}
	if n != 0 && size > (1<<64-1)/n {
		return v, fmt.Errorf("%w: element %d of %s", ErrRange, n, t)
	}
	return v.displaced(t.Elem, n*size)
}

// displaced returns the object of type t that lies offset bytes behind v.
func (v Value) displaced(t *isf.Type, offset uint64) (Value, error) {
	at := v.addr + vmem.VirtAddr(offset)
	if at < v.addr {
		return v, fmt.Errorf("%w: %#x bytes behind %v", ErrRange, offset, v.addr)
	}
	v.addr, v.typ = at, t
	return v, nil
}

// deref returns what a pointer leads to. It reads the pointer.
func (v Value) deref() (Value, error) {
	if v.typ.Kind != isf.KindPointer {
		return v, fmt.Errorf("%w: %s is no pointer", ErrType, v.typ)
	}
	p, err := v.integer()
	if err != nil {
		return v, err
	}
	if p == 0 {
		return v, fmt.Errorf("%w of type %s", ErrNull, v.typ)
	}
	v.addr, v.typ, v.bigEndian = vmem.VirtAddr(p), v.typ.Elem, false
	return v, nil
}
