package linux

import (
	"fmt"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// maxStrangers is how many nodes of a list, from its first one on, may be something else
// than the list is of. Such a list was overwritten, and leads through anything.
const maxStrangers = 64

// losses counts the objects of one walk that could not be read, by reason, and says which
// of them are told.
type losses struct {
	limit     int // for each reason
	by        []lossesFor
	strangers int // objects lost before the first sound one
	sound     bool
}

// lossesFor are those for one reason.
type lossesFor struct {
	reason vmem.Reason
	n      int
	at     vmem.Place // of the first one that is not told
}

// losses returns what counts the losses of one walk.
func (k *Kernel) losses() losses { return losses{limit: k.limits.Gaps} }

// found counts an object that could be read.
func (l *losses) found() { l.sound = true }

// tell counts a loss and reports whether it is told.
func (l *losses) tell(g vmem.Gap) bool {
	if !l.sound {
		l.strangers++
	}
	reason := g.Reason()
	for i := range l.by {
		if of := &l.by[i]; of.reason == reason {
			if of.n++; of.n == l.limit+1 {
				of.at = g.Place
			}
			return of.n <= l.limit
		}
	}
	l.by = append(l.by, lossesFor{reason: reason, n: 1})
	return true
}

// hopeless returns an error where the objects of a list are none: the list is left then.
func (l *losses) hopeless() error {
	if l.sound || l.strangers < maxStrangers {
		return nil
	}
	return fmt.Errorf("%w: none of the first %d nodes is what the list is of, and those that follow are not read", kstruct.ErrTooMany, l.strangers)
}

// rest returns a Gap of object for each reason for which losses were not told.
func (l *losses) rest(object string) (gaps []vmem.Gap) {
	for _, of := range l.by {
		if more := of.n - l.limit; more > 0 {
			gaps = append(gaps, vmem.Gap{Object: object, Place: of.at, Err: fmt.Errorf("%w: and %d more losses, each %s", kstruct.ErrTooMany, more, of.reason)})
		}
	}
	return gaps
}
