package dwarfconv

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/go-delve/delve/pkg/dwarf/op"
)

// GNU's DW_OP_addrx before DWARF 5, and the latter.
const (
	opAddrx        = 0xa1
	opGNUAddrIndex = 0xfb
)

var errLocation = errors.New("location that is no address")

// static evaluates the location in a block, as s.long packs it. If the variable
// has an address that does not depend on where the program is, static returns it
// and adds to the flags.
func (u *unit) static(block uint64, f flags) (uint64, flags) {
	pos, n := int(block>>32), int(uint32(block))
	if n == 0 {
		return 0, f
	}
	var addr uint64
	end := pos + 1
	switch u.data[pos] {
	case byte(op.DW_OP_addr):
		addr = u.word(end)
		end += int(u.addrSize)
	case opAddrx, opGNUAddrIndex:
		var index uint64
		var err error
		index, end = uleb(u.data, end)
		if addr, err = u.address(index); err != nil {
			return 0, f
		}
	default:
		return 0, f
	}
	switch {
	case end > pos+n:
		return 0, f
	case end == pos+n:
		return addr, f | isStatic
	}
	return u.computed(addr, u.data[end:pos+n], f)
}

// computed is static for a location that computes something of addr. Where that
// is no address it may be the variable's value: clang keeps only one bit of a
// variable that ever has but two values, and says how to compute them. If that
// bit is the value, memory has what the source says, at least in its first byte.
func (u *unit) computed(addr uint64, rest []byte, f flags) (uint64, flags) {
	if v, err := evaluate(u.withAddress(addr, rest), int(u.addrSize)); err == nil {
		return v, f | isStatic
	}
	if len(rest) < 2 || rest[0] != byte(op.DW_OP_deref_size) || rest[1] != 1 {
		return 0, f
	}
	for bit := range uint64(2) {
		expr := append([]byte{byte(op.DW_OP_lit0) + byte(bit)}, rest[2:]...)
		if v, err := evaluate(expr, int(u.addrSize)); !errors.Is(err, errValue) || v != bit {
			return 0, f
		}
	}
	return addr, f | isStatic | isByte
}

// word reads an address.
func (u *unit) word(pos int) uint64 {
	if u.addrSize == 8 {
		return u.order.u64(u.data, pos)
	}
	return u.order.u32(u.data, pos)
}

// withAddress returns the expression that pushes addr and goes on with rest.
func (u *unit) withAddress(addr uint64, rest []byte) []byte {
	expr := make([]byte, 1+int(u.addrSize), 1+int(u.addrSize)+len(rest))
	expr[0] = byte(op.DW_OP_addr)
	u.order.put(expr[1:], int(u.addrSize), addr)
	return append(expr, rest...)
}

// memberOffset evaluates the location of a member, given as the expression that
// computes its address from that of the whole.
func (u *unit) memberOffset(block uint64) (uint64, error) {
	pos, n := int(block>>32), int(uint32(block))
	expr := append([]byte{byte(op.DW_OP_lit0)}, u.data[pos:pos+n]...)
	return evaluate(expr, int(u.addrSize))
}

// errValue comes with the value of an expression that gives one, not an address.
var errValue = errors.New("value, not an address")

// evaluate runs an expression that needs neither registers nor memory.
func evaluate(expr []byte, addrSize int) (v uint64, err error) {
	// The interpreter allocates what DW_OP_implicit_value asks for. That can be
	// no part of a location in memory; as an operand the byte is too rare to
	// tell apart.
	operands := expr[min(1+addrSize, len(expr)):]
	if bytes.IndexByte(operands, byte(op.DW_OP_implicit_value)) >= 0 {
		return 0, errLocation
	}
	defer func() {
		if recover() != nil { // it also trusts the stack to be deep enough
			err = errLocation
		}
	}()
	addr, pieces, err := op.ExecuteStackProgram(op.DwarfRegisters{}, expr, addrSize, nil)
	switch {
	case err != nil:
		return 0, fmt.Errorf("%w: %w", errLocation, err)
	case len(pieces) == 1 && pieces[0].Kind == op.ImmPiece:
		return pieces[0].Val, errValue
	case pieces != nil:
		return 0, errLocation
	}
	return uint64(addr), nil
}
