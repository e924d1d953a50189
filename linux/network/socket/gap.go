package socket

import (
	"errors"
	"fmt"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
	"github.com/nodelens/nodelens/vmem/x86"
)

// gap makes a Gap of err, at an address of the kernel unless err says where, and leaves
// alone what already is one.
func gap(object string, addr vmem.VirtAddr, err error) vmem.Gap {
	return vmem.NewGap(object, vmem.KernelPlace(addr), err)
}

// plausible reports whether a can be the address of a kernel object.
func plausible(a vmem.VirtAddr) bool { return x86.IsObject(a) }

// corrupt describes what contradicts itself.
func corrupt(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{kstruct.ErrCorrupt}, args...)...)
}

// cause returns err, and where it says no more than that something was not bound, what the
// types lack.
func cause(err, lacks error) error {
	if err != nil && lacks != nil && errors.Is(err, kstruct.ErrUnsupported) {
		return lacks
	}
	return err
}

// losses counts the losses of one kind of object, and tells so many.
type losses struct {
	limit, n int
	at       vmem.Place // of the first that is not told
}

// tell reports whether the next loss is told.
func (l *losses) tell(g vmem.Gap) bool {
	if l.n++; l.n == l.limit+1 {
		l.at = g.Place
	}
	return l.n <= l.limit
}

// rest returns a Gap for those that were not told.
func (l *losses) rest(object string) (vmem.Gap, bool) {
	more := l.n - l.limit
	return vmem.Gap{Object: object, Place: l.at, Err: fmt.Errorf("%w: and %d more losses", kstruct.ErrTooMany, more)}, more > 0
}
