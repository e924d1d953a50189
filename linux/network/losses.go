package network

import (
	"fmt"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// losses are those of all namespaces, so many of each reason.
type losses struct {
	limit int
	told  []error
	by    map[vmem.Reason]*lossesFor
	order []vmem.Reason
}

// lossesFor are those for one reason.
type lossesFor struct {
	n     int
	first vmem.Gap // that is not told
}

func newLosses(limit int) *losses {
	return &losses{limit: limit, by: map[vmem.Reason]*lossesFor{}}
}

// add tells a loss, or counts it where too many have been told for its reason.
func (l *losses) add(g vmem.Gap) {
	reason := g.Reason()
	of := l.by[reason]
	if of == nil {
		of = new(lossesFor)
		l.by[reason] = of
		l.order = append(l.order, reason)
	}
	switch of.n++; {
	case of.n <= l.limit:
		l.told = append(l.told, g)
	case of.n == l.limit+1:
		of.first = g
	}
}

// all returns the losses that are told, and one more for each reason for which some are not.
func (l *losses) all() []error {
	all := l.told
	for _, reason := range l.order {
		if of := l.by[reason]; of.n > l.limit {
			all = append(all, vmem.Gap{
				Object: of.first.Object, Place: of.first.Place,
				Err: fmt.Errorf("%w: and %d more losses, each %s", kstruct.ErrTooMany, of.n-l.limit, reason),
			})
		}
	}
	return all
}
