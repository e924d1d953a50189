package dwarfconv

import (
	"cmp"
	"fmt"
	"slices"
	"sync"
)

// maxDamage is how many damages of a kind are kept; of others only the number is.
const maxDamage = 1 << 16

// A damage collects what was lost. Its zero value is ready for use.
type damage struct {
	mu     sync.Mutex // guards what follows
	units  []*UnitError
	losses []*LossError
	more   int // damages that there was no room for
}

// unit notes e; nil is nothing.
func (d *damage) unit(e *UnitError) {
	if e == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.units) == maxDamage {
		d.more++
		return
	}
	d.units = append(d.units, e)
}

// loss notes that something is wrong with an object.
func (d *damage) loss(object string, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.losses) == maxDamage {
		d.more++
		return
	}
	d.losses = append(d.losses, &LossError{Object: object, Err: err})
}

// first returns the damage to the unit that is the first in the file, nil where all
// units are whole.
func (d *damage) first() *UnitError {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.units) == 0 {
		return nil
	}
	return slices.MinFunc(d.units, compareUnits)
}

func compareUnits(a, b *UnitError) int {
	return cmp.Or(cmp.Compare(a.Section, b.Section), cmp.Compare(a.Unit, b.Unit))
}

// tell tells it all, the units in the order of the file. A nil warn is not told.
func (d *damage) tell(warn func(error)) {
	if warn == nil {
		return
	}
	slices.SortFunc(d.units, compareUnits)
	for _, e := range d.units {
		warn(e)
	}
	for _, e := range d.losses {
		warn(e)
	}
	if d.more > 0 {
		warn(fmt.Errorf("dwarfconv: %d more units, types and symbols lost", d.more))
	}
}
