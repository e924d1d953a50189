package kstruct

import (
	"encoding/binary"
	"math/bits"
	"unsafe"

	"github.com/nodelens/nodelens/vmem"
)

// This file is the only one of the package that uses unsafe: it writes into a Go value
// whose type only reflection knows, without reflection's cost. It is safe because of what
// the compiler sees to:
//
//   - out points to a value of the type T that the operations were compiled for: View[T]
//     and Field[T] are the only callers, and their operations and their *T have the same T.
//   - an operation writes room bytes at offset to, and those are one field of T, or one
//     element of one, or several that follow each other without a byte between them
//     (joinOps): to is the sum of the offsets that package reflect gives for fields and
//     elements, room is the size of these types.
//   - these types are integers, bool and arrays of bytes (checkGo), so no pointer is ever
//     written, and every pattern of bits is a value of them; of a bool none but 0 and 1 is
//     written.
//   - what is written in one go is one field or element, so it is aligned, or bytes.
//
// out does not escape: nothing keeps it.

// An opKind says how an operation reads.
type opKind uint8

const (
	opZero    opKind = iota // nothing is read: zeros
	opAddress               // nothing is read: the address itself
	opCopy1                 // a value that has the same size in Go
	opCopy2
	opCopy4
	opCopy8
	opLoad  // a value that is widened, swapped, or part of its unit
	opBool  // whether any bit is set
	opBytes // bytes as they are, then zeros
	opRun   // bytes as they are, of several fields that lie side by side
)

// littleEndian says that numbers stand in this machine's memory as in the kernel's.
var littleEndian = binary.NativeEndian.Uint16([]byte{1, 0}) == 1

// joinOps makes one operation of neighbours that copy what lies side by side in the kernel's
// structure and in the Go value, such as the members of a list_head: their bytes are then
// copied in one go. What comes of them is the same.
func joinOps(ops []op) []op {
	if !littleEndian {
		return ops
	}
	joined := ops[:0]
	for _, o := range ops {
		if n := len(joined); n > 0 && joined[n-1].copies() && o.copies() {
			last := &joined[n-1]
			if last.from+uint64(last.size) == o.from && last.to+uintptr(last.room) == o.to {
				last.kind, last.size, last.room = opRun, last.size+o.size, last.room+o.room
				continue
			}
		}
		joined = append(joined, o)
	}
	return joined
}

// copies reports whether the operation copies bytes as they are, and nothing else.
func (o *op) copies() bool {
	return o.kind >= opCopy1 && o.kind <= opCopy8 || o.kind == opBytes && o.size == o.room || o.kind == opRun
}

// local reports whether the operation reads no memory.
func (k opKind) local() bool { return k <= opAddress }

// An op reads one scalar or one run of bytes.
type op struct {
	from        uint64  // offset in the kernel's structure
	to          uintptr // offset in the Go value
	size        uint32  // bytes that are read
	room        uint32  // bytes that are written
	kind        opKind
	shift, bits uint8 // of opLoad
	signed, big bool  // of opLoad
}

// read reads the structure at addr by ops, those that read no memory first and the others
// ascending by offset, into the value at out. The error is a *vmem.Fault.
//
// What of the structure lies in one page is looked up once, and decoded where it lies.
func read(ops []op, mem *vmem.AddressSpace, addr vmem.VirtAddr, out unsafe.Pointer) error {
	var data []byte // of the structure, from offset at on
	var at uint64
	for i := range ops {
		o := &ops[i]
		to := unsafe.Add(out, o.to)
		if o.kind.local() {
			o.fill(addr, to)
			continue
		}
		skip := o.from - at
		if end := skip + uint64(o.size); end > uint64(len(data)) {
			va := addr + vmem.VirtAddr(o.from)
			if va < addr { // beyond the last address
				return &vmem.Fault{Virt: va, Err: vmem.ErrNonCanonical}
			}
			var err error
			if data, err = mem.View(va, vmem.PageSize); err != nil {
				return err
			}
			at, skip = o.from, 0
			if uint64(o.size) > uint64(len(data)) {
				if err := o.readApart(mem, va, to); err != nil {
					return err
				}
				continue
			}
		}
		o.decode(data[skip:skip+uint64(o.size)], to)
	}
	return nil
}

// fill is decode for what needs no memory.
func (o *op) fill(addr vmem.VirtAddr, to unsafe.Pointer) {
	if o.kind == opAddress {
		*(*vmem.VirtAddr)(to) = addr + vmem.VirtAddr(o.from)
		return
	}
	clear(unsafe.Slice((*byte)(to), o.room))
}

// decode writes the value that the size bytes of data hold.
func (o *op) decode(data []byte, to unsafe.Pointer) {
	switch o.kind {
	case opCopy8:
		*(*uint64)(to) = binary.LittleEndian.Uint64(data)
	case opCopy4:
		*(*uint32)(to) = binary.LittleEndian.Uint32(data)
	case opCopy2:
		*(*uint16)(to) = binary.LittleEndian.Uint16(data)
	case opCopy1:
		*(*uint8)(to) = data[0]
	case opRun:
		copy(unsafe.Slice((*byte)(to), len(data)), data)
	case opLoad:
		o.store(o.load(data), to)
	case opBool:
		*(*bool)(to) = word(data) != 0
	case opBytes:
		field := unsafe.Slice((*byte)(to), o.room)
		clear(field[copy(field, data):])
	}
}

// readApart is decode for what crosses into another page, or into memory that is lost.
func (o *op) readApart(mem *vmem.AddressSpace, va vmem.VirtAddr, to unsafe.Pointer) error {
	if o.kind == opBytes || o.kind == opRun {
		field := unsafe.Slice((*byte)(to), o.room)
		clear(field[o.size:])
		return copyApart(mem, va, field[:o.size])
	}
	var unit [8]byte
	if err := copyApart(mem, va, unit[:o.size]); err != nil {
		return err
	}
	o.decode(unit[:o.size], to)
	return nil
}

// copyApart fills p with what is at va, a page at a time.
func copyApart(mem *vmem.AddressSpace, va vmem.VirtAddr, p []byte) error {
	for n := 0; n < len(p); {
		at := va + vmem.VirtAddr(n)
		if at < va {
			return &vmem.Fault{Virt: at, Err: vmem.ErrNonCanonical}
		}
		data, err := mem.View(at, len(p)-n)
		if err != nil {
			return err
		}
		n += copy(p[n:], data)
	}
	return nil
}

// word returns the little-endian number in data.
func word(data []byte) uint64 {
	switch len(data) {
	case 1:
		return uint64(data[0])
	case 2:
		return uint64(binary.LittleEndian.Uint16(data))
	case 4:
		return uint64(binary.LittleEndian.Uint32(data))
	}
	return binary.LittleEndian.Uint64(data)
}

// load returns the number in data, extended to 64 bits by its sign.
func (o *op) load(data []byte) uint64 {
	v := word(data)
	if o.big {
		v = bits.ReverseBytes64(v) >> (64 - 8*o.size)
	}
	v <<= 64 - o.bits - o.shift
	if o.signed {
		return uint64(int64(v) >> (64 - o.bits))
	}
	return v >> (64 - o.bits)
}

// store writes the low bytes of v.
func (o *op) store(v uint64, to unsafe.Pointer) {
	switch o.room {
	case 1:
		*(*uint8)(to) = uint8(v)
	case 2:
		*(*uint16)(to) = uint16(v)
	case 4:
		*(*uint32)(to) = uint32(v)
	case 8:
		*(*uint64)(to) = v
	}
}

// readInto is read for a value at hand, which ops were compiled for.
func readInto[T any](ops []op, mem *vmem.AddressSpace, addr vmem.VirtAddr, out *T) error {
	return read(ops, mem, addr, unsafe.Pointer(out))
}

// decodeInto decodes a structure that data holds, down to the last byte that ops read.
func decodeInto[T any](ops []op, data []byte, addr vmem.VirtAddr, out *T) {
	for i := range ops {
		o := &ops[i]
		to := unsafe.Add(unsafe.Pointer(out), o.to)
		if o.kind.local() {
			o.fill(addr, to)
			continue
		}
		o.decode(data[o.from:o.from+uint64(o.size)], to)
	}
}
