package kstruct

import (
	"io"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/vmem"
)

// A View reads structures of one type of the kernel into values of the Go struct T. It is
// bound by [Bind], and is immutable and safe for concurrent use.
//
// # Tags
//
// Each field of T that has a tag is read from the member that the tag names:
//
//	Family uint16        `kernel:"skc_family"`
//	Net    vmem.VirtAddr `kernel:"skc_net.net"`
//	State  int64         `kernel:"__state|state"`
//	NR     int32         `kernel:"numbers[0].nr"`
//	Idle   bool          `kernel:"sched_task_idle,optional"`
//	Tasks  vmem.VirtAddr `kernel:"&tasks"`
//	Port   uint16        `kernel:"skc_dport,be"`
//
// A path is that of [isf.File.Field]: members joined by dots, elements of arrays by
// their index, members of unnamed structures as those of what surrounds them. Pointers
// are not followed. Paths that are separated by | are what other kernels call the same
// member, the newest layout first; the first that the kernel has counts. & stands for the
// address of the member, and alone for that of the structure. A comma begins the options:
//
//	optional  the kernel need not have the member; the field is zero then, see Has
//	be        the member is in network order (big endian)
//
// A field without a tag, or with the tag "-", is left as it is; but an embedded struct
// without a tag has fields that are read as if they were T's own.
//
// # Types
//
// The Go type has to hold every value that the kernel's type has, which is checked when
// the view is bound: an integer of the same size and sign, or a wider one that loses
// nothing.
//
//	sized integers  integers, enumerations, bit fields (shifted and masked), _Bool
//	bool            _Bool, and bit fields of one bit
//	vmem.VirtAddr   pointers, and unsigned integers of 8 bytes
//	[N]byte         arrays of bytes up to N long, zeros behind them; N bytes of anything
//	[N]E            arrays up to N long, zero elements behind them
//	struct          embedded structures and unions, with tags of its own
type View[T any] struct{ program program }

// A program is a view without its Go type.
type program struct {
	ok     bool
	size   uint64 // of the structure
	span   uint64 // to the end of the last member that is read
	ops    []op
	fields []viewField
}

// Ok reports whether the view was bound. One that was not reads nothing.
func (v *View[T]) Ok() bool { return v != nil && v.program.ok }

// Read reads the structure at addr in mem into out: all fields of T that have a tag. It
// allocates nothing. The error is a [*vmem.Fault] for the first byte needed that can't be
// read, and out is then read in part; of a view that is not Ok it is [ErrUnsupported].
func (v *View[T]) Read(mem *vmem.AddressSpace, addr vmem.VirtAddr, out *T) error {
	if !v.Ok() {
		return ErrUnsupported
	}
	return readInto(v.program.ops, mem, addr, out)
}

// Load returns the structure at addr in mem. Errors are those of Read, and the value is
// then zero.
func (v *View[T]) Load(mem *vmem.AddressSpace, addr vmem.VirtAddr) (T, error) {
	var out, zero T
	if err := v.Read(mem, addr, &out); err != nil {
		return zero, err
	}
	return out, nil
}

// Decode decodes a structure out of data, which is what the memory at addr holds, into out,
// as Read does. It is for structures that were read by other means, such as many at once.
// The error is [io.ErrUnexpectedEOF] where data ends before the last member: see Span.
func (v *View[T]) Decode(data []byte, addr vmem.VirtAddr, out *T) error {
	if !v.Ok() {
		return ErrUnsupported
	}
	if uint64(len(data)) < v.program.span {
		return io.ErrUnexpectedEOF
	}
	decodeInto(v.program.ops, data, addr, out)
	return nil
}

// Span returns the number of bytes from the start of the structure to the end of the last
// member that is read.
func (v *View[T]) Span() uint64 {
	if !v.Ok() {
		return 0
	}
	return v.program.span
}

// Size returns the size of the kernel's structure in bytes, 0 where the view is not Ok.
func (v *View[T]) Size() uint64 {
	if !v.Ok() {
		return 0
	}
	return v.program.size
}

// Has reports whether the kernel has the member that a field of T is read from. The
// fields of a struct in T are named by their path, such as "Outer.Inner" or
// "Elements[1].Inner".
func (v *View[T]) Has(field string) bool {
	_, ok := v.Offset(field)
	return ok
}

// Offset returns the offset in bytes of the member that a field of T is read from, and
// false where the kernel has no such member or T no such field.
func (v *View[T]) Offset(field string) (uint64, bool) {
	if !v.Ok() {
		return 0, false
	}
	return v.program.offset(field)
}

func (p *program) offset(field string) (uint64, bool) {
	for i := range p.fields {
		if f := &p.fields[i]; f.name == field && f.offset != isf.Absent {
			return f.offset, true
		}
	}
	return 0, false
}
