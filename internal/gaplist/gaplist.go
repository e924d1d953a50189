// Package gaplist keeps the gaps of an image, so many that a hostile or badly damaged one
// can't make a list that is longer than anyone can use.
package gaplist

import (
	"fmt"
	"slices"

	"github.com/nodelens/nodelens/vmem"
)

// Limit is how many gaps are listed one by one.
const Limit = 4096

// errMore is the reason that stands for all gaps behind the limit.
var errMore = vmem.NewReason("too-many", "more is lost than is listed")

// A List is a list of gaps of one image. The zero List is empty. It is not safe for
// concurrent use.
type List struct {
	gaps []vmem.Gap
	more uint64
}

// Add adds a gap, or counts it if the list is full.
func (l *List) Add(place vmem.Place, err error) {
	if l.Full() {
		l.more++
		return
	}
	l.gaps = append(l.gaps, vmem.Gap{Object: "image", Place: place, Err: err})
}

// Count counts n gaps that are not listed.
func (l *List) Count(n uint64) { l.more += n }

// Full reports whether what is added now is only counted.
func (l *List) Full() bool { return len(l.gaps) >= Limit }

// Gaps returns what was added, and a last gap that says how many more there are, if there
// are any. The caller may change the slice.
func (l *List) Gaps() []vmem.Gap {
	gaps := slices.Clone(l.gaps)
	if l.more > 0 {
		gaps = append(gaps, vmem.Gap{Object: "image", Err: fmt.Errorf("%w: %d gaps more", errMore, l.more)})
	}
	return gaps
}
