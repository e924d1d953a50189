// Package x86code decodes instructions of x86-64: with golang.org/x/arch/x86/x86asm, and by itself those that
// kernels use and that it does not know.
package x86code

import (
	"errors"

	"golang.org/x/arch/x86/x86asm"
)

// ErrUnknown is that of bytes that are no instruction, or none that is known.
var ErrUnknown = errors.New("unknown instruction")

// Decode returns the instruction that code begins with, and its name where x86asm has none: then the
// instruction is a NOP of that length, as which it counts for where code leads.
func Decode(code []byte) (in x86asm.Inst, name string, err error) {
	if n, name := more(code); n > 0 {
		return x86asm.Inst{Len: n, Op: x86asm.NOP, Mode: 64}, name, nil
	}
	in, err = x86asm.Decode(code, 64)
	if err == nil && (in.Len == 0 || in.Len > len(code)) {
		err = ErrUnknown
	}
	return in, "", err
}

// more knows the instructions that x86asm does not (Intel SDM volume 2).
func more(b []byte) (length int, name string) {
	if len(b) >= 4 && b[0] == 0xf3 && b[1] == 0x0f && b[2] == 0x1e {
		switch b[3] {
		case 0xfa:
			return 4, "endbr64"
		case 0xfb:
			return 4, "endbr32"
		}
	}
	if len(b) >= 3 && b[0] == 0x0f && b[1] == 0x01 {
		switch b[2] {
		case 0xca:
			return 3, "clac"
		case 0xcb:
			return 3, "stac"
		case 0xe8:
			return 3, "serialize"
		case 0xee:
			return 3, "rdpkru"
		case 0xef:
			return 3, "wrpkru"
		}
	}
	return 0, ""
}
