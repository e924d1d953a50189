package kstruct

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/vmem"
)

// Index returns element n of an array, or of the objects that a pointer leads to. n counts
// from 0. Of an array, n must be less than [Value.Len], except for flexible arrays.
func (v Value) Index(n int) Value {
	if v.Err() != nil {
		return v.failed(v.Err())
	}
	w, err := v, fmt.Errorf("%w: index %d", ErrRange, n)
	if n >= 0 {
		w, err = v.element(uint64(n))
		w.bigEndian = v.bigEndian
	}
	w.path = v.path + "[" + strconv.Itoa(n) + "]"
	if err != nil {
		return w.failed(err)
	}
	return w
}

// Deref returns what a pointer leads to. The Value is erroneous with [ErrNull] for a null
// pointer.
func (v Value) Deref() Value {
	if v.Err() != nil {
		return v.failed(v.Err())
	}
	w, err := v.deref()
	w.path = v.path + "->"
	if err != nil {
		return w.failed(err)
	}
	return w
}

// DerefCPU returns what a __percpu pointer stands for on one CPU, as [Space.PerCPUPtr]
// finds it.
func (v Value) DerefCPU(cpu int) Value {
	if v.Err() != nil {
		return v.failed(v.Err())
	}
	w, err := v.deref()
	if err != nil {
		return w.failed(err)
	}
	if w.addr, err = v.space.PerCPUPtr(w.addr, cpu); err != nil {
		return v.failed(err)
	}
	w.path = fmt.Sprintf("%s[cpu %d]->", v.path, cpu)
	return w
}

// Cast returns the same memory as an object of another type, written as [Space.Struct]
// takes it.
func (v Value) Cast(typ string) Value {
	if v.Err() != nil {
		return v.failed(v.Err())
	}
	t, err := v.space.parseType(typ)
	if err != nil {
		return v.failed(fmt.Errorf("cast to %s: %w", typ, err))
	}
	v.typ, v.bigEndian = t, false
	return v
}

// CastPointer returns a pointer, or an integer of a pointer's size, as a pointer to
// another type. The type is that of the object: a void *private_data is a pointer to a
// struct socket after CastPointer("struct socket").
func (v Value) CastPointer(typ string) Value {
	if v.Err() != nil {
		return v.failed(v.Err())
	}
	k, err := v.scalar()
	if err == nil && (k.size != 8 || !k.whole()) {
		err = fmt.Errorf("%w: %s is no pointer", ErrType, v.typ)
	}
	if err != nil {
		return v.failed(err)
	}
	return v.Cast(typ + " *")
}

// ContainerOf returns the object of a struct type whose member the Value is, as the
// kernel's container_of does: the module in whose list the Value is one node is
// ContainerOf("module", "list"). The member is a path without "->".
func (v Value) ContainerOf(typ, member string) Value {
	if v.Err() != nil {
		return v.failed(v.Err())
	}
	t, err := v.space.parseType(typ)
	if err == nil && t.Kind != isf.KindStruct && t.Kind != isf.KindUnion && t.Kind != isf.KindClass {
		err = fmt.Errorf("%w: %s has no members", ErrType, t)
	}
	if err != nil {
		return v.failed(fmt.Errorf("container_of: %w", err))
	}
	f, err := v.space.types.Field(t.Name, member)
	if err != nil {
		err = unknown(err)
	} else if f.Offset > uint64(v.addr) {
		err = fmt.Errorf("%w: %#x bytes before %v", ErrRange, f.Offset, v.addr)
	}
	if err != nil {
		return v.failed(fmt.Errorf("container_of: %w", err))
	}
	addr := v.addr - vmem.VirtAddr(f.Offset)
	return Value{space: v.space, typ: t, addr: addr, root: strings.TrimSpace(typ), rootAddr: addr}
}

// BigEndian returns an integer, or an array of them, that is read in network byte order,
// as the kernel's __be16 and __be32 are kept.
func (v Value) BigEndian() Value {
	v.bigEndian = true
	return v
}
