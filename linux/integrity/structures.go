package integrity

import (
	"fmt"
	"slices"
	"strings"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/vmem"
	"github.com/nodelens/nodelens/vmem/x86"
)

// A slot is a pointer to a function in a structure.
type slot struct {
	name   string // the path to it
	offset uint64
}

// maxSlotDepth is how deep structures in structures are looked into.
const maxSlotDepth = 4

// slotsOf returns the pointers to functions that a structure has, also in what it embeds. Of unions it takes those that
// hold nothing but pointers to functions: others may hold something else.
func slotsOf(types *isf.File, typ string) []slot {
	u, err := types.UserType(typ)
	if err != nil {
		return nil
	}
	slots, _ := slotsIn(types, u, "", 0, maxSlotDepth)
	return slots
}

// slotsIn adds what is in a type at an offset. whole says that it has nothing else.
func slotsIn(types *isf.File, u *isf.UserType, prefix string, offset uint64, depth int) (slots []slot, whole bool) {
	whole = true
	for i := range u.Fields {
		f := &u.Fields[i]
		name := prefix + f.Name
		if f.Anonymous {
			name = strings.TrimSuffix(prefix, ".")
		}
		more, all := slotsAt(types, f.Type, name, offset+f.Offset, depth)
		slots = append(slots, more...)
		whole = whole && all
	}
	return slots, whole
}

// slotsAt returns what is in a member.
func slotsAt(types *isf.File, t *isf.Type, name string, offset uint64, depth int) (slots []slot, whole bool) {
	switch {
	case t == nil || depth == 0:
		return nil, false
	case isFunction(t):
		return []slot{{name, offset}}, true
	case t.Kind == isf.KindArray && isFunction(t.Elem):
		for i := range min(t.Count, 64) {
			slots = append(slots, slot{fmt.Sprintf("%s[%d]", name, i), offset + 8*i})
		}
		return slots, true
	case t.Kind == isf.KindStruct, t.Kind == isf.KindUnion:
		inner, err := types.UserType(t.Name)
		if err != nil {
			return nil, false
		}
		if name != "" {
			name += "."
		}
		slots, whole = slotsIn(types, inner, name, offset, depth-1)
		if t.Kind == isf.KindUnion {
			if !whole {
				return nil, false
			}
			slots = oncePerPlace(slots)
		}
		return slots, whole
	}
	return nil, false
}

// isFunction reports whether a type is a pointer to a function.
func isFunction(t *isf.Type) bool {
	return t != nil && t.Kind == isf.KindPointer && t.Elem != nil && t.Elem.Kind == isf.KindFunction
}

// oncePerPlace takes the first of those that are at one place.
func oncePerPlace(slots []slot) (once []slot) {
	seen := map[uint64]bool{}
	for _, s := range slots {
		if !seen[s.offset] {
			seen[s.offset] = true
			once = append(once, s)
		}
	}
	return once
}

// slots returns the pointers to functions of a type.
func (r *reader) slots(typ string) []slot {
	s, ok := r.types[typ]
	if !ok {
		if r.types == nil {
			r.types = map[string][]slot{}
		}
		s = slotsOf(r.k.Symbols(), typ)
		r.types[typ] = s
	}
	return s
}

// structure yields the functions of a structure. Many objects share theirs: a structure is told once, under
// the first that has it, and again only what does not belong to another.
func (r *reader) structure(table, entry, typ string, at vmem.VirtAddr) bool {
	again := r.told[at]
	if again && r.home == "" {
		return !r.over
	}
	if r.told == nil {
		r.told, r.doubted = map[vmem.VirtAddr]bool{}, map[vmem.VirtAddr]bool{}
	}
	r.told[at] = true
	for _, s := range r.slots(typ) {
		place := at + vmem.VirtAddr(s.offset)
		target, err := r.k.Space().Uint64(place)
		switch {
		case err != nil:
			return r.lost(table+" "+entry, place, err)
		case target != 0:
			h := r.owned(table, strings.TrimSpace(entry+" "+s.name), place, at, vmem.VirtAddr(target))
			if !again || h.Suspect && !r.doubted[place] { // where it was told, it may have belonged
				r.doubted[place] = r.doubted[place] || h.Suspect
				r.found(h)
			}
		}
		if r.over {
			return false
		}
	}
	return true
}

// call yields a function of a structure.
func (r *reader) call(table, entry string, at, structure, target vmem.VirtAddr) bool {
	return r.found(r.owned(table, entry, at, structure, target))
}

// theKernel is what structures are of that are not of a module.
const theKernel = "the kernel"

// owned returns the hook of a function of a structure. It belongs to whom the structure belongs to, to a module that this one uses, or to
// the kernel: modules have structures of their own.
func (r *reader) owned(table, entry string, at, structure, target vmem.VirtAddr) Hook {
	h := r.Hook(table, entry, at, target)
	home := theKernel
	var uses []string
	if m := r.modules.At(structure); m != nil {
		home, uses = m.Name, m.Uses
	} else if plausible(structure) && structure < x86.StartKernelMap {
		home = "" // of the heap
	}
	if r.home != "" && !h.Suspect && h.Verdict.Kind != Kernel && !r.related(h.Verdict.Name, r.home) {
		h.suspect("it is of %s, and this is not", r.home)
	}
	if !h.Suspect && h.Verdict.Kind != Kernel && home != "" && home != h.Verdict.Name && !slices.Contains(uses, h.Verdict.Name) {
		h.suspect("the structure is of %s, and this is not", home)
	}
	return h
}

// related reports whether two modules are one, or one uses the other: parts of a driver are in several, such as nfs and nfsv4.
func (r *reader) related(a, b string) bool {
	if a == b {
		return true
	}
	for _, m := range r.modules.Modules() {
		if m.Name == a && slices.Contains(m.Uses, b) || m.Name == b && slices.Contains(m.Uses, a) {
			return true
		}
	}
	return false
}
