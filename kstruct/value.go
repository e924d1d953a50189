package kstruct

import (
	"errors"
	"fmt"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/vmem"
)

// The reasons for which a [Value] can't give what it is asked for, beside those of
// reading memory and [ErrUnsupported] for names that the symbols lack.
var (
	// ErrNull: a null pointer was to be followed.
	ErrNull = errors.New("null pointer")
	// ErrType: the type has no such thing, as a structure has no integer.
	ErrType = errors.New("wrong type")
	// ErrRange: an index or an address is out of range, or an integer does not fit.
	ErrRange = errors.New("out of range")
)

// A Value is an object in memory as a debugger has it: a type and an address. Its members
// are found by name when they are asked for, and memory is read by the methods that return
// an integer, a string and the like, and where a pointer is followed.
//
// An error sticks: where a step leads nowhere, the Value that it returns holds the error,
// all further steps pass it on, and whatever is asked of it in the end returns it. So the
// steps need no checks of their own. Errors are a [vmem.Gap] that says the whole path, and
// where memory could not be read.
//
// A Value is immutable, and safe for concurrent use. The zero Value is an erroneous one.
type Value struct {
	space     *Space
	typ       *isf.Type
	addr      vmem.VirtAddr
	bigEndian bool

	root     string        // the symbol or the type that the steps began with
	rootAddr vmem.VirtAddr // where, if it was a type
	path     string        // the steps from there
	err      error
}

// Object returns the variable that a symbol names, with its type, where it is in the
// running kernel. The Value is erroneous with [ErrPerCPU] for a per-CPU variable, which
// [Space.ObjectOn] gives, and with [ErrUnsupported] where the type of the symbol is not known, which is so for most
// variables of a kernel whose types come from its BTF: those need [Space.Struct] with the
// address that [Space.Symbol] gives.
func (s *Space) Object(symbol string) Value {
	v := Value{space: s, root: symbol}
	sym, err := s.types.Symbol(symbol)
	if err != nil {
		return v.failed(unknown(err))
	}
	if s.perCPUSymbol(sym) {
		return v.failed(fmt.Errorf("%w: see ObjectOn", ErrPerCPU))
	}
	v.addr, v.typ = vmem.VirtAddr(sym.Address+s.shift), sym.Type
	if v.typ == nil {
		return v.failed(fmt.Errorf("%w: the type of symbol %s; give it with Struct(type, %v)", ErrUnsupported, symbol, v.addr))
	}
	return v
}

// ObjectOn returns one CPU's copy of the per-CPU variable that a symbol names, such as
// ObjectOn("runqueues", 0). Errors are those of [Space.PerCPU], and [ErrUnsupported] where
// the type of the symbol is not known.
func (s *Space) ObjectOn(symbol string, cpu int) Value {
	v := Value{space: s, root: symbol}
	var err error
	if v.addr, v.typ, err = s.PerCPU(symbol, cpu); err != nil {
		return v.failed(err)
	}
	if v.typ == nil {
		return v.failed(fmt.Errorf("%w: the type of symbol %s; give it with Struct(type, %v)", ErrUnsupported, symbol, v.addr))
	}
	return v
}

// Struct returns the object of a type at addr. The type is written as in C, and the word
// struct may be left out: "struct task_struct", "task_struct", "unsigned long",
// "char *[4]", "u32".
func (s *Space) Struct(typ string, addr vmem.VirtAddr) Value {
	v := Value{space: s, addr: addr, root: typ, rootAddr: addr}
	t, err := s.parseType(typ)
	if err != nil {
		return v.failed(err)
	}
	v.typ = t
	return v
}

// unknown returns the error for what the types lack.
func unknown(err error) error { return fmt.Errorf("%w: %w", ErrUnsupported, err) }

// Err returns the error that the steps to the Value ended with, nil if there was none.
// That no memory could be read at its address is not among them.
func (v Value) Err() error {
	if v.err == nil && v.typ == nil {
		return v.lost(fmt.Errorf("%w: no value", ErrType))
	}
	return v.err
}

// Addr returns where the object is, 0 for an erroneous Value. A bit field is in the
// integer at this address.
func (v Value) Addr() vmem.VirtAddr {
	if v.err != nil {
		return 0
	}
	return v.addr
}

// Type returns the type of the object, nil for an erroneous Value.
func (v Value) Type() *isf.Type {
	if v.err != nil {
		return nil
	}
	return v.typ
}

// Size returns the size of the object in bytes: 0 for a flexible array, for void, and for
// an erroneous Value.
func (v Value) Size() uint64 {
	size, err := v.size()
	if err != nil {
		return 0
	}
	return size
}

func (v Value) size() (uint64, error) {
	if err := v.Err(); err != nil {
		return 0, err
	}
	return v.space.types.SizeOf(v.typ)
}

// name returns the Value as errors call it.
func (v Value) name() string {
	switch {
	case v.root == "":
		return "value"
	case v.rootAddr == 0 && v.path == "":
		return v.root
	case v.rootAddr == 0:
		return v.root + joint(v.path) + v.path
	case v.path == "":
		return fmt.Sprintf("%s %v", v.root, v.rootAddr)
	}
	return fmt.Sprintf("%s of %s %v", v.path, v.root, v.rootAddr)
}

// lost returns the error for what v was asked: a [vmem.Gap].
func (v Value) lost(err error) error {
	if v.err != nil {
		return v.err
	}
	var place vmem.Place
	if v.addr >= 1<<63 {
		place = vmem.KernelPlace(v.addr)
	}
	return vmem.NewGap(v.name(), place, err)
}

// failed returns v with the error of a step.
func (v Value) failed(err error) Value {
	v.err = v.lost(err)
	return v
}
