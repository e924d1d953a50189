package kstruct

import (
	"fmt"
	"iter"

	"github.com/nodelens/nodelens/vmem"
)

// Entries yields the structures of type typ whose member is each of the nodes:
// list_for_each_entry and its like, with container_of of include/linux/container_of.h.
//
//	modules := w.Entries(w.List(head), "module", "list")
//
// The path of the member is that of [isf.File.Field]. Errors are passed on. Where typ has
// no such member, the only thing yielded is an error that wraps [ErrUnsupported].
func (w *Walk) Entries(nodes iter.Seq2[vmem.VirtAddr, error], typ, member string) iter.Seq2[vmem.VirtAddr, error] {
	return func(yield func(vmem.VirtAddr, error) bool) {
		f, err := w.space.types.Field(typ, member)
		if err != nil {
			yield(0, newGap(w.object, 0, fmt.Errorf("%w: %w", ErrUnsupported, err)))
			return
		}
		for n, err := range nodes {
			if err == nil {
				n -= vmem.VirtAddr(f.Offset)
			}
			if !yield(n, err) {
				return
			}
		}
	}
}
