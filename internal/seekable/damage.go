package seekable

import (
	"cmp"
	"errors"
	"fmt"
	"io"

	"github.com/nodelens/nodelens/vmem"
)

// ErrTooLong says that a file unpacks to more than Options.ContentBytes: to more than memory
// does that a file of that size is an image of.
var ErrTooLong = vmem.NewReason("too-long", "the file unpacks to more than an image of its size has")

// A Damage is a part of the content of a compressed file that can't be had. As an error
// it wraps [vmem.ErrNotCaptured]: what an image has lost is not in it.
type Damage struct {
	Offset int64 // in the compressed file: of what is damaged, or where it makes no sense
	Start  int64 // in the content: the first byte lost
	Size   int64 // of the content; 0 where it is unknown, or where Err is only a doubt
	Err    error // the reason
}

func (d *Damage) Error() string {
	return fmt.Sprintf("compressed file, offset %#x: %v", d.Offset, d.Err)
}

// Unwrap returns vmem.ErrNotCaptured and the reason.
func (d *Damage) Unwrap() []error { return []error{vmem.ErrNotCaptured, d.Err} }

// Reason returns truncated or damaged where Err has no code of its own: see
// [vmem.ReasonOf].
func (d *Damage) Reason() vmem.Reason {
	code := vmem.ReasonOf(d.Err)
	switch {
	case errors.Is(d.Err, io.ErrUnexpectedEOF):
		return "truncated"
	case code == "other":
		return "damaged"
	}
	return code
}

// CompareDamage orders damage by its place in the content.
func CompareDamage(a, b Damage) int {
	return cmp.Or(cmp.Compare(a.Start, b.Start), cmp.Compare(a.Offset, b.Offset))
}
