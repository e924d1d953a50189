package btfconv

import (
	"slices"
	"strings"
)

// Names that many members have are first in the string section, so that one page there costs a
// member of each third struct. How long a lost name is follows from where the next begins, and
// which it is from the structs that have it in every kernel.

// repairNames writes the lost names of members into the string section that are certain: a name
// that no struct has that should, where just one lost name of its length is in all of them.
func (t *btfTypes) repairNames() {
	if len(t.badStrs) == 0 {
		return
	}
	lost := t.lostMembers()
	found := map[uint32]string{}
	for i := range nameWitnesses {
		w := &nameWitnesses[i]
		off, ok := lost.common(w)
		if !ok {
			continue
		}
		if _, twice := found[off]; twice {
			w = &nameWitness{}
		}
		found[off] = w.name
	}
	t.writeNames(found)
}

// writeNames puts names at offsets of the string section; those that are "" are not known.
func (t *btfTypes) writeNames(found map[uint32]string) {
	strs := []byte(t.strs)
	var bad []span
	for off, name := range found {
		if name == "" {
			continue
		}
		strs[off-1], strs[int(off)+len(name)] = 0, 0
		copy(strs[off:], name)
		bad = append(bad, span{off, off + uint32(len(name)) + 1})
	}
	t.strs = string(strs)
	slices.SortFunc(bad, func(a, b span) int { return int(int64(a.start) - int64(b.start)) })
	var rest []span
	for _, s := range t.badStrs {
		for len(bad) > 0 && bad[0].start < s.end {
			if s.start < bad[0].start {
				rest = append(rest, span{s.start, bad[0].start})
			}
			s.start, bad = max(s.start, bad[0].end), bad[1:]
		}
		if s.start < s.end {
			rest = append(rest, s)
		}
	}
	t.badStrs = rest
}

// lostMembers are the members whose names were lost, of the structs that are witnesses.
type lostMembers struct {
	has     map[string]bool     // struct.member of those that were not
	lost    map[string][]uint32 // the places of the others, by struct
	lengths map[uint32]int      // of the names at places
}

func (t *btfTypes) lostMembers() *lostMembers {
	l := &lostMembers{map[string]bool{}, map[string][]uint32{}, map[uint32]int{}}
	uses := t.nameUses()
	for i, off := range uses.offsets[:max(1, len(uses.offsets))-1] {
		if uses.wrong[i] {
			l.lengths[off] = int(uses.offsets[i+1]-off) - 1
		}
	}
	wanted := map[string]bool{}
	for i := range nameWitnesses {
		for s := range strings.SplitSeq(nameWitnesses[i].structs, " ") {
			wanted[s] = true
		}
	}
	for id := t.first; id < t.end(); id++ {
		r, _ := t.lookup(id)
		if r.kind != kindStruct || r.name == 0 {
			continue
		}
		if name := t.name(r.name); wanted[name] {
			l.addStruct(t, name, &r)
		}
	}
	return l
}

func (l *lostMembers) addStruct(t *btfTypes, name string, r *btfType) {
	for i := range r.vlen {
		if m := r.member(i); t.badMember(r, i) || m.name == 0 {
			continue
		} else if member := t.name(m.name); member != "" {
			l.has[name+"."+member] = true
		} else if m.name > t.strBase {
			l.lost[name] = append(l.lost[name], m.name-t.strBase)
		}
	}
	if l.lost[name] == nil {
		l.lost[name] = []uint32{} // it is there, and has all names
	}
}

// common returns the place of the lost name that may be that of a witness: the only one of its
// length that all structs have.
func (l *lostMembers) common(w *nameWitness) (uint32, bool) {
	var places []uint32
	structs := 0
	for s := range strings.SplitSeq(w.structs, " ") {
		lost, ok := l.lost[s]
		switch {
		case !ok:
			continue
		case l.has[s+"."+w.name]:
			return 0, false
		case structs == 0:
			for _, off := range lost {
				if n, ok := l.lengths[off]; ok && n == len(w.name) {
					places = append(places, off)
				}
			}
		default:
			places = slices.DeleteFunc(places, func(off uint32) bool { return !slices.Contains(lost, off) })
		}
		structs++
	}
	if structs < minWitnesses+1 || len(places) != 1 || places[0] == 0 {
		return 0, false
	}
	return places[0], true
}
