package kstruct

import "iter"

// List yields the objects of a struct type in the list whose head v is, a list_head: each
// node is the named member of one, as with [Walk.Entries].
//
//	for module, err := range space.Object("modules").List(w, "module", "list") {
//
// Errors are those of [Walk.List], and do not end the list; the Value beside one is
// erroneous with it. An erroneous v is the only thing yielded.
func (v Value) List(w *Walk, typ, member string) iter.Seq2[Value, error] {
	return func(yield func(Value, error) bool) {
		if err := v.Err(); err != nil {
			yield(v, err)
			return
		}
		if first := v.Cast("list_head").ContainerOf(typ, member); first.err != nil {
			yield(first, first.err)
			return
		}
		for node, err := range w.List(v.addr) {
			entry := Value{err: err}
			if err == nil {
				entry = v.space.Struct("list_head", node).ContainerOf(typ, member)
				err = entry.err
			}
			if !yield(entry, err) {
				return
			}
		}
	}
}
