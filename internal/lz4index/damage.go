package lz4index

import (
	"cmp"
	"fmt"

	"github.com/nodelens/nodelens/vmem"
)

// A Damage is a part of the content that can't be had. As an error it wraps
// [vmem.ErrNotCaptured]: what an image has lost is not in it.
type Damage struct {
	Offset int64 // in the LZ4 file: of the block's data, or where the file makes no sense
	Start  int64 // in the content: the first byte lost
	Size   int64 // of the content; 0 where it is unknown, or where Err is only a doubt
	Err    error // the reason
}

func (d *Damage) Error() string {
	return fmt.Sprintf("lz4: file offset %#x: %v", d.Offset, d.Err)
}

// Unwrap returns vmem.ErrNotCaptured and the reason.
func (d *Damage) Unwrap() []error { return []error{vmem.ErrNotCaptured, d.Err} }

func compareDamage(a, b Damage) int {
	return cmp.Or(cmp.Compare(a.Start, b.Start), cmp.Compare(a.Offset, b.Offset))
}
