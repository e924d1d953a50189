package dwarfconv

import (
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

// staticAddress evaluates the expression in a block, as s.long packs it, if it
// gives an address that does not depend on where the program is.
func (u *unit) staticAddress(block uint64) (uint64, bool) {
	pos, n := int(block>>32), int(uint32(block))
	expr := u.data[pos : pos+n]
	if n == 0 {
		return 0, false
	}
	switch expr[0] {
	case byte(op.DW_OP_addr):
		if n == 1+int(u.addrSize) {
			return u.word(pos + 1), true
		}
	case opAddrx, opGNUAddrIndex:
		index, end := uleb(u.data, pos+1)
		addr, err := u.address(index)
		if err != nil || end > pos+n {
			return 0, false
		}
		if end == pos+n {
			return addr, true
		}
		expr = u.withAddress(addr, expr[end-pos:])
	default:
		return 0, false
	}
	addr, err := evaluate(expr, int(u.addrSize))
	return addr, err == nil
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

// evaluate runs an expression that needs neither registers nor memory.
func evaluate(expr []byte, addrSize int) (addr uint64, err error) {
	defer func() {
		// The interpreter trusts the stack to be deep enough.
		if recover() != nil {
			err = errLocation
		}
	}()
	v, pieces, err := op.ExecuteStackProgram(op.DwarfRegisters{}, expr, addrSize, nil)
	if err != nil {
		return 0, fmt.Errorf("%w: %w", errLocation, err)
	}
	if pieces != nil {
		return 0, errLocation
	}
	return uint64(v), nil
}
