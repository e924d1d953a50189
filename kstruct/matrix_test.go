package kstruct

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"testing"

	"github.com/nodelens/nodelens/internal/testimages"
	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/vmem"
)

// Maple nodes are the same in all kernels so far: 256 bytes, counted by hand in
// include/linux/maple_tree.h.
var mapleNodes = [mapleTypes]mapleNodeLayout{
	mapleDense:    {slot: 8, slots: 31},
	mapleLeaf64:   {pivot: 8, slot: 128, end: 248, slots: 16},
	mapleRange64:  {pivot: 8, slot: 128, end: 248, slots: 16},
	mapleArange64: {pivot: 8, slot: 80, gap: 160, end: 240, slots: 10},
}

// knownLayouts are those of the containers that there have been, counted by hand in the
// headers of 5.10 to 7.2. Debug options move what stands behind a lock.
var knownLayouts = map[string][]any{
	"list":        {listLayout{0, 8}},
	"plist":       {plistLayout{0, 24, 0}},
	"hlist":       {hlistLayout{0, 0, 8}},
	"hlist_bl":    {hlistLayout{0, 0, 8}},
	"hlist_nulls": {hlistLayout{0, 0, 8}},
	"llist":       {llistLayout{0, 0}},
	"rb_root":     {rbLayout{top: 0, root: 0, leftmost: 8, up: 0, right: 8, left: 16}},
	"xarray": {
		xarrayLayout{8, 0, 16, 0, 1, 2, 8, 16, 40, 64, 6},
		xarrayLayout{8, 0, 16, 0, 1, 2, 8, 16, 40, 16, 4},  // CONFIG_BASE_SMALL
		xarrayLayout{72, 0, 80, 0, 1, 2, 8, 16, 40, 64, 6}, // CONFIG_DEBUG_LOCK_ALLOC
	},
	"maple_tree": {
		mapleLayout{root: 8, flags: 4, nodes: mapleNodes},   // 6.6 and later
		mapleLayout{root: 8, flags: 16, nodes: mapleNodes},  // before
		mapleLayout{root: 8, flags: 0, nodes: mapleNodes},   // 6.6 and later, without CONFIG_SMP
		mapleLayout{root: 64, flags: 72, nodes: mapleNodes}, // before, with CONFIG_DEBUG_LOCK_ALLOC
	},
	"rhashtable": {
		rhashLayout{0, 56, 132, 0, 4, 48, 64, 0, 0, 8},
		rhashLayout{0, 56, 156, 0, 4, 48, 64, 0, 0, 8},  // run_irq_work: 7.2
		rhashLayout{0, 56, 120, 0, 4, 48, 56, 0, 0, 8},  // without CONFIG_SMP
		rhashLayout{0, 56, 344, 0, 4, 48, 128, 0, 0, 8}, // CONFIG_DEBUG_LOCK_ALLOC
	},
	"percpu_counter": {
		counterLayout{8, 32, true},
		counterLayout{8, 16, true},  // without CONFIG_HOTPLUG_CPU
		counterLayout{0, 0, false},  // without CONFIG_SMP
		counterLayout{64, 88, true}, // CONFIG_DEBUG_LOCK_ALLOC
	},
	"percpu_ref": {refLayout{0, 8, 0}},
}

// since is in which release a container came that 5.4 has not as it is now.
var since = map[string][2]int{"maple_tree": {6, 1}, "percpu_ref": {5, 10}}

// layoutsOf resolves all containers with the types of a kernel.
func layoutsOf(types *isf.File) map[string]any {
	found := map[string]any{}
	var c containers
	note(found, "list", types, &c.list, resolveList)
	note(found, "plist", types, &c.plist, resolvePList)
	note(found, "hlist", types, &c.hlist, resolveHList("hlist"))
	note(found, "hlist_bl", types, &c.hlistBL, resolveHList("hlist_bl"))
	note(found, "hlist_nulls", types, &c.hlistNulls, resolveHList("hlist_nulls"))
	note(found, "llist", types, &c.llist, resolveLList)
	note(found, "rb_root", types, &c.rbtree, resolveRB)
	note(found, "xarray", types, &c.xarray, resolveXArray)
	note(found, "maple_tree", types, &c.maple, resolveMaple)
	note(found, "rhashtable", types, &c.rhash, resolveRHash)
	note(found, "percpu_counter", types, &c.counter, resolveCounter)
	note(found, "percpu_ref", types, &c.ref, resolveRef)
	return found
}

func note[T any](found map[string]any, name string, types *isf.File, l *lazy[T], resolve func(*resolver) T) {
	if layout, err := l.get(types, resolve); err != nil {
		found[name] = err
	} else {
		found[name] = *layout
	}
}

// Every kernel whose symbols there are has each container, in a form that is known.
func TestLayoutMatrix(t *testing.T) {
	files := testimages.SymbolFiles(t)
	seen := map[string][]string{}
	for _, kernel := range slices.Sorted(maps.Keys(files)) {
		types, err := openTypes(files[kernel])
		if err != nil {
			t.Fatal(err)
		}
		found := layoutsOf(types)
		if len(found) != len(knownLayouts) {
			t.Fatalf("%d containers of %d", len(found), len(knownLayouts))
		}
		for name, layout := range found {
			if err, ok := layout.(error); ok {
				if !before(kernel, since[name]) {
					t.Errorf("%s: %s: %v", kernel, name, err)
				}
				continue
			}
			i := slices.IndexFunc(knownLayouts[name], func(known any) bool { return reflect.DeepEqual(known, layout) })
			if i < 0 {
				t.Errorf("%s has the %s %+v", kernel, name, layout)
			}
			key := fmt.Sprintf("%s, form %d", name, i)
			seen[key] = append(seen[key], kernel)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(seen)) {
		t.Logf("%s: %v", key, seen[key])
	}
}

// before reports whether a kernel is older than a release, or of no known one.
func before(kernel string, release [2]int) bool {
	var major, minor int
	if n, _ := fmt.Sscanf(kernel, "%d.%d", &major, &minor); n != 2 {
		return release != [2]int{}
	}
	return major < release[0] || major == release[0] && minor < release[1]
}

// Layouts that don't fit what walks read are refused, whatever the types say.
func TestLayoutsRefused(t *testing.T) {
	word := &isf.Type{Kind: isf.KindBase, Name: "u64"}
	byteType := &isf.Type{Kind: isf.KindBase, Name: "u8"}
	words := func(n uint64) *isf.Type { return &isf.Type{Kind: isf.KindArray, Count: n, Elem: word} }
	node := func(slots *isf.Type) isf.Contents {
		user := func(name string, fields ...isf.Field) isf.UserType {
			return isf.UserType{Name: name, Kind: isf.KindStruct, Size: 600, Fields: fields}
		}
		field := func(name string, off uint64, t *isf.Type) isf.Field {
			return isf.Field{Name: name, Offset: off, Type: t}
		}
		return isf.Contents{
			Bases: []isf.BaseType{{Name: "u64", Size: 8, Kind: isf.BaseInt}, {Name: "u8", Size: 1, Kind: isf.BaseInt}, {Name: "u32", Size: 4, Kind: isf.BaseInt}},
			Types: []isf.UserType{
				user("xarray", field("xa_head", 8, word)),
				user("idr", field("idr_rt", 0, word), field("idr_base", 16, &isf.Type{Kind: isf.KindBase, Name: "u32"})),
				user("xa_node", field("shift", 0, byteType), field("offset", 1, byteType), field("count", 2, byteType),
					field("parent", 8, word), field("array", 16, word), field("slots", 40, slots)),
			},
		}
	}
	for name, slots := range map[string]*isf.Type{
		"65 slots": words(65), "a power of two too many": words(128), "no power of two": words(48), "one slot": words(1),
		"no slots": words(0), "bytes": {Kind: isf.KindArray, Count: 60, Elem: byteType}, "as many as there are": words(1 << 40),
	} {
		types, err := isf.New(node(slots))
		if err != nil {
			t.Fatal(err)
		}
		var c containers
		if l, err := c.xarray.get(types, resolveXArray); err == nil || vmem.ReasonOf(err) != vmem.ReasonOf(ErrUnsupported) {
			t.Errorf("xa_node with %s: %+v, %v", name, l, err)
		}
	}
}
