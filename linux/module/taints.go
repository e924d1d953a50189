package module

import (
	"fmt"
	"math/bits"
	"strings"
)

// Taints are what a module did to the kernel's support: the bits of taint_flags in
// kernel/panic.c.
type Taints uint64

// taintLetters are the letters of taint_flags, by bit.
const taintLetters = "PFSRMBUDAWCIOELKXTNJ"

// String returns the letters as /proc/modules has them in parentheses: P proprietary, O out of tree, E unsigned,
// C staging, F forced, K livepatch, and so on. It is empty for a module that taints nothing.
func (t Taints) String() string {
	var b strings.Builder
	for rest := uint64(t); rest != 0; rest &= rest - 1 {
		if bit := bits.TrailingZeros64(rest); bit < len(taintLetters) {
			b.WriteByte(taintLetters[bit])
		} else {
			fmt.Fprintf(&b, "<%d>", bit)
		}
	}
	return b.String()
}

// MarshalText returns what String does.
func (t Taints) MarshalText() ([]byte, error) { return []byte(t.String()), nil }
