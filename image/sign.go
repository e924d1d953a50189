package image

import (
	"bytes"
	"context"
	"fmt"

	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/vmem"
)

// A small file can unpack to very much that is no memory, and to look for a kernel in that takes
// several passes: for its notes, its tables of symbols, its banner. So what is unpacked is asked
// first for any sign of a kernel at all, in one pass that ends at the first sign.

// signs stand in the memory of every kernel, in many places each: in its banner, its log and
// those of programs; in the name of its idle task; in its note on itself.
var signs = [][]byte{[]byte("Linux version "), []byte("swapper"), []byte("OSRELEASE=")}

// errNoSign says that there is none of them.
var errNoSign = fmt.Errorf("%w: neither its banner, nor its idle task, nor its note on itself is anywhere in what is unpacked", linux.ErrNoKernel)

const (
	signChunk   = 1 << 20
	signOverlap = 16 // no sign is longer
	// usualRatio is how many times their size files of memory unpack to, unless most of it is
	// zeros.
	usualRatio = 64
)

// findSignIn returns errNoSign where memory that a file of a size unpacks to is unusually large for
// that, and has no sign of a kernel.
func findSignIn(ctx context.Context, mem vmem.Memory, stored int64) error {
	if total(mem.Ranges()) <= usualRatio*uint64(stored) {
		return nil
	}
	buf := make([]byte, signChunk+signOverlap)
	for _, in := range mem.Ranges() {
		for off := uint64(0); off < in.Size; {
			if err := ctx.Err(); err != nil {
				return err
			}
			b := buf[:min(uint64(len(buf)), in.Size-off)]
			n, _ := mem.ReadAt(b, int64(in.Start)+int64(off)) // what can't be read has none
			for _, sign := range signs {
				if bytes.Contains(b[:n], sign) {
					return nil
				}
			}
			step := uint64(signChunk)
			if n < len(b) {
				step = min(step, uint64(n)&^(vmem.PageSize-1)+vmem.PageSize)
			}
			off += step
		}
	}
	return errNoSign
}
