package pagecache

import (
	"fmt"
	"slices"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// maxGaps bounds what is told of losses of one kind one by one.
const maxGaps = 100

// losses are what was lost of one thing: the first one by one, and of the others how many.
type losses struct {
	told []vmem.Gap
	more vmem.Gap // the first of the others
	n    int      // of the others
}

// add notes a loss.
func (l *losses) add(object string, addr vmem.VirtAddr, err error) {
	if len(l.told) < maxGaps {
		l.told = append(l.told, gap(object, addr, err))
		return
	}
	if l.n++; l.n == 1 {
		l.more = gap(object, addr, err)
	}
}

// rest returns one loss for those that are not told one by one, and whether there are any.
func (l *losses) rest() (vmem.Gap, bool) {
	if l.n == 0 {
		return vmem.Gap{}, false
	}
	return vmem.Gap{Object: l.more.Object, Place: l.more.Place, Err: fmt.Errorf("%w: and %d more losses from here on", kstruct.ErrTooMany, l.n)}, true
}

// gaps returns all that is told.
func (l *losses) gaps() []vmem.Gap {
	if g, ok := l.rest(); ok {
		return append(slices.Clip(l.told), g)
	}
	return l.told
}
