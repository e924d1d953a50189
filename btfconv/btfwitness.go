package btfconv

import (
	"slices"
	"strings"

	"github.com/nodelens/nodelens/isf"
)

// minWitnesses is how many members have to be of a type that is lost, and of no other.
const minWitnesses = 2

// witnessed returns the lost types that members tell of, by id.
func (t *btfTypes) witnessed() map[uint32]*witness {
	members := t.witnessIDs()
	found := map[uint32]*witness{}
	for i := range witnesses {
		w := &witnesses[i]
		id, votes := uint32(0), 0
		for m := range strings.SplitSeq(w.members, " ") {
			switch got, ok := members[m]; {
			case !ok:
			case votes > 0 && got != id:
				votes = -len(w.members) // they disagree
			default:
				id = got
				votes++
			}
		}
		if r, _ := t.lookup(id); votes < minWitnesses || r.kind != kindLost {
			continue
		}
		if other, ok := found[id]; ok && other.as != w.as {
			continue // the first is of more members
		}
		found[id] = w
	}
	return found
}

// witnessIDs returns the ids of the types of all members that witnesses name.
func (t *btfTypes) witnessIDs() map[string]uint32 {
	structs := map[string][]string{}
	for i := range witnesses {
		for m := range strings.SplitSeq(witnesses[i].members, " ") {
			name, member, _ := strings.Cut(m, ".")
			structs[name] = append(structs[name], member)
		}
	}
	ids := map[string]uint32{}
	for id := t.first; id < t.end(); id++ {
		r, _ := t.lookup(id)
		if r.kind != kindStruct || r.name == 0 {
			continue
		}
		name := t.name(r.name)
		for i := uint32(0); len(structs[name]) > 0 && i < r.vlen; i++ {
			if m := r.member(i); !t.badMember(&r, i) && slices.Contains(structs[name], t.name(m.name)) {
				ids[name+"."+t.name(m.name)] = m.typ
			}
		}
	}
	return ids
}

// abiStructs are structs that are the same in all kernels.
var abiStructs = map[string]isf.UserType{
	"list_head":     {Size: 16, Fields: []isf.Field{{Name: "next", Type: pointerTo(structType("list_head"))}, {Name: "prev", Offset: 8, Type: pointerTo(structType("list_head"))}}},
	"hlist_head":    {Size: 8, Fields: []isf.Field{{Name: "first", Type: pointerTo(structType("hlist_node"))}}},
	"hlist_node":    {Size: 16, Fields: []isf.Field{{Name: "next", Type: pointerTo(structType("hlist_node"))}, {Name: "pprev", Offset: 8, Type: pointerTo(pointerTo(structType("hlist_node")))}}},
	"rb_node":       {Size: 24, Fields: []isf.Field{{Name: "__rb_parent_color", Type: unsignedLong}, {Name: "rb_right", Offset: 8, Type: pointerTo(structType("rb_node"))}, {Name: "rb_left", Offset: 16, Type: pointerTo(structType("rb_node"))}}},
	"rb_root":       {Size: 8, Fields: []isf.Field{{Name: "rb_node", Type: pointerTo(structType("rb_node"))}}},
	"callback_head": {Size: 16, Fields: []isf.Field{{Name: "next", Type: pointerTo(structType("callback_head"))}, {Name: "func", Offset: 8, Type: pointerTo(typeFunction)}}},
	"llist_head":    {Size: 8, Fields: []isf.Field{{Name: "first", Type: pointerTo(structType("llist_node"))}}},
	"llist_node":    {Size: 8, Fields: []isf.Field{{Name: "next", Type: pointerTo(structType("llist_node"))}}},
	"path":          {Size: 16, Fields: []isf.Field{{Name: "mnt", Type: pointerTo(structType("vfsmount"))}, {Name: "dentry", Offset: 8, Type: pointerTo(structType("dentry"))}}},
	"timespec64":    {Size: 16, Fields: []isf.Field{{Name: "tv_sec", Type: baseNamed("long long int")}, {Name: "tv_nsec", Offset: 8, Type: baseNamed("long int")}}},
	"atomic_t":      {Size: 4, Fields: []isf.Field{{Name: "counter", Type: baseNamed("int")}}},
	"atomic64_t":    {Size: 8, Fields: []isf.Field{{Name: "counter", Type: baseNamed("long long int")}}},
	"refcount_t":    {Size: 4, Fields: []isf.Field{{Name: "refs", Type: structType("atomic_t")}}},
	"kref":          {Size: 4, Fields: []isf.Field{{Name: "refcount", Type: structType("refcount_struct")}}},
	"kuid_t":        {Size: 4, Fields: []isf.Field{{Name: "val", Type: baseNamed("unsigned int")}}},
	"kgid_t":        {Size: 4, Fields: []isf.Field{{Name: "val", Type: baseNamed("unsigned int")}}},
}

// addWitnessed makes types of what is lost but for the members that are of it.
func (c *typeConverter) addWitnessed() {
	names := map[string]bool{}
	for _, name := range c.names.names {
		names[name] = true
	}
	for id, w := range c.btf.witnessed() {
		if u, ok := abiStructs[w.as]; ok {
			c.memo[id] = typeMemo{typ: structType(w.as), size: u.Size}
			if !names[w.as] {
				names[w.as] = true
				c.names.set(id, w.as)
				u.Name, u.Kind, u.Fields = w.as, isf.KindStruct, slices.Clone(u.Fields)
				c.out.Types = append(c.out.Types, u)
			}
			continue
		}
		for i := range c.out.Bases {
			if b := &c.out.Bases[i]; b.Name == w.as {
				c.memo[id] = typeMemo{typ: baseNamed(w.as), size: b.Size}
			}
		}
	}
}
