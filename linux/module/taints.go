package module

import (
	"fmt"
	"math/bits"
	"strconv"
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

// UnmarshalText takes what MarshalText gives.
func (t *Taints) UnmarshalText(b []byte) error {
	*t = 0
	for rest := string(b); rest != ""; {
		bit := strings.IndexByte(taintLetters, rest[0])
		if number, more, ok := strings.Cut(rest[1:], ">"); rest[0] == '<' && ok {
			n, err := strconv.ParseUint(number, 10, 6)
			if err != nil {
				return fmt.Errorf("module: taint %q: %w", number, err)
			}
			bit, rest = int(n), "<"+more
		}
		if bit < 0 {
			return fmt.Errorf("module: unknown taint in %q", b)
		}
		*t |= 1 << bit
		rest = rest[1:]
	}
	return nil
}
