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
// first for any sign of a kernel at all, in one pass that ends at the first sign; where it is gigabytes,
// it is also asked whether it can be memory.

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
	// leastStored is what a file counts as at least: the kernel alone takes more.
	leastStored = 1 << 20
)

// muchUnpacked is from how much on, in bytes, it matters whether it can be memory.
const muchUnpacked = 1 << 30

// errRepeated says that pages repeat each other as no memory's do. Pages that are one word over and over
// do not count: free memory can be so, of zeros or of poison.
var errRepeated = fmt.Errorf("%w: it unpacks to more than %d times its size in pages that repeat each other, as memory has none; if it is memory, unpack it first",
	linux.ErrNoKernel, usualRatio)

// findSignIn returns errNoSign where memory that a file of a size unpacks to is unusually large for
// that, and has no sign of a kernel, and errRepeated where that is more than memory has for other reasons than
// that most of it is nothing.
func findSignIn(ctx context.Context, mem vmem.Memory, stored int64) error {
	return findSign(ctx, mem, stored, muchUnpacked)
}

// findSign is findSignIn with another idea of what is much.
func findSign(ctx context.Context, mem vmem.Memory, stored int64, much uint64) error {
	all := total(mem.Ranges())
	if all <= usualRatio*uint64(stored) {
		return nil
	}
	left := usualRatio * max(stored, leastStored)
	found := false
	buf := make([]byte, signChunk+signOverlap)
	for _, in := range mem.Ranges() {
		for off := uint64(0); off < in.Size; {
			if err := ctx.Err(); err != nil {
				return err
			}
			b := buf[:min(uint64(len(buf)), in.Size-off)]
			n, _ := mem.ReadAt(b, int64(in.Start)+int64(off)) // what can't be read has none
			found = found || hasSign(b[:n])
			if found && all < much {
				return nil
			}
			step := uint64(signChunk)
			if n < len(b) {
				step = min(step, uint64(n)&^(vmem.PageSize-1)+vmem.PageSize)
			}
			off += step
			if left -= meaning(b[:min(uint64(n), step)]); left < 0 && all >= much {
				return errRepeated
			}
		}
	}
	if !found {
		return errNoSign
	}
	return nil
}

func hasSign(b []byte) bool {
	for _, sign := range signs {
		if bytes.Contains(b, sign) {
			return true
		}
	}
	return false
}

// meaning returns how many bytes of b are of pages that are not one word over and over.
func meaning(b []byte) (n int64) {
	for ; len(b) > 0; b = b[min(len(b), vmem.PageSize):] {
		page := b[:min(len(b), vmem.PageSize)]
		if len(page) < 16 || !bytes.Equal(page[8:], page[:len(page)-8]) {
			n += int64(len(page))
		}
	}
	return n
}
