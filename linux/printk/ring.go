package printk

import (
	"encoding/binary"
	"fmt"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// The states of a descriptor, the highest bits of its state_var (enum desc_state).
const (
	reserved  = iota // being written
	committed        // written, and may get more
	finalized
	reusable
)

// The bits of state_var.
const (
	stateShift = 62
	idMask     = 1<<stateShift - 1
)

// emptyLine is what both positions of a record without text are; those of one whose text did not fit are
// odd, too.
const emptyLine = 3

// The sizes of the rings, in bits, above which there is none: CONFIG_LOG_BUF_SHIFT is 25 at most, and the kernel takes
// 2 GiB from its command line.
const (
	maxCountBits = 26
	maxSizeBits  = 31
)

// blockID is the size of the descriptor's ID, which each block of text begins with.
const blockID = 8

// block returns where in the ring of text the block is that two positions mean, with the ID that it
// begins with, and its size (get_data of kernel/printk/printk_ringbuffer.c). A block does not wrap around
// the end: one that would is at the beginning.
func block(begin, next uint64, sizeBits uint32) (off, size uint64, err error) {
	ring := uint64(1) << sizeBits
	switch {
	case begin>>sizeBits == (next-1)>>sizeBits && begin < next:
		off, size = begin&(ring-1), next-begin
	case (begin+ring)>>sizeBits == (next-1)>>sizeBits:
		off, size = 0, next&(ring-1)
	default:
		return 0, 0, fmt.Errorf("%w: text from %#x to %#x", kstruct.ErrCorrupt, begin, next)
	}
	if begin%blockID != 0 || size <= blockID || size > ring {
		return 0, 0, fmt.Errorf("%w: text from %#x to %#x", kstruct.ErrCorrupt, begin, next)
	}
	return off, size, nil
}

// errOverwritten is the reason for which a record has no text any more.
var errOverwritten = fmt.Errorf("%w: the text is that of another record", kstruct.ErrCorrupt)

// decodeText returns the text of a block, which must be that of the descriptor with the ID. It is
// as long as the record says.
func decodeText(b []byte, id uint64, length int) (string, error) {
	if len(b) < blockID || binary.LittleEndian.Uint64(b) != id {
		return "", errOverwritten
	}
	b = b[blockID:]
	if length > len(b) {
		return string(b), fmt.Errorf("%w: a text of %d bytes in %d", kstruct.ErrCorrupt, length, len(b))
	}
	return string(b[:length]), nil
}

// text reads the text of a record.
func (l *log) text(d *descriptor, id uint64, length uint16) (string, error) {
	if d.Begin&1 != 0 && d.Next&1 != 0 {
		if d.Begin == emptyLine && d.Next == emptyLine || length == 0 {
			return "", nil
		}
		return "", fmt.Errorf("%w: there was no room for the text", kstruct.ErrTooLong)
	}
	off, size, err := block(d.Begin, d.Next, l.ring.SizeBits)
	if err != nil {
		return "", err
	}
	b := make([]byte, min(size, blockID+uint64(length)))
	n, err := l.space.ReadVirt(b, l.ring.Data+vmem.VirtAddr(off))
	if err != nil {
		partial, _ := decodeText(b[:n], id, max(0, n-blockID))
		return partial, err
	}
	return decodeText(b, id, int(length))
}
