package btfconv

import "strconv"

// nameTypes gives each struct, union, enumeration and forward declaration of t,
// by id, the name it has in the database.
//
// That is its tag. An anonymous type takes the name of its typedef, as long as
// no tag has it, and else unnamed_ with its kind and id. Further typedefs of a
// struct or union have names too, by the typedef's id, and become copies. Where C has several
// types of one name, in different files, the first keeps it and the others get
// ___2, ___3 and so on, as in bpftool's headers; what refers to one of them
// still means that one.
//
// Where under is not nil, it has the names of the BTF that t is split from, and only the
// types of t itself are named.
func nameTypes(t *btfTypes, under *typeNamer) *typeNamer {
	n := &typeNamer{btf: t, under: under, first: 0}
	if under != nil {
		n.first = t.first
	}
	n.names, n.seen = make([]string, t.end()-n.first), make(map[string]int, (t.end()-n.first)/8)
	for id := max(n.first, 1); id < t.end(); id++ {
		r, _ := t.lookup(id)
		if !isNamed(r.kind) || r.name == 0 {
			continue
		}
		if name := t.name(r.name); name != "" && !t.ambiguous(id, name) {
			n.set(id, n.unique(space(r.kind), name))
		}
	}
	n.nameByTypedef()
	for id := max(n.first, 1); id < t.end(); id++ {
		r, _ := t.lookup(id)
		if n.of(id) == "" {
			n.set(id, n.rest(id, &r))
		}
	}
	return n
}

// severalTypes are the names that kernels have several structs or enumerations of, in different files: in those
// from 5.10 to 7.2 that Debian builds.
var severalTypes = map[string]bool{
	"chksum_desc_ctx": true, "console": true, "elf_note_info": true, "elf_thread_core_info": true,
	"energy_perf_value_index": true, "getdents_callback": true, "irq_info": true, "kdf_input_block": true,
	"mm_slot": true, "netlbl_domhsh_walk_arg": true, "node": true, "pci_root_info": true, "perf_aux_event": true,
	"pt_iommu_map_args": true, "quirk_entry": true, "remap_data": true, "syscall_tp_t": true,
}

// ambiguous reports whether a type with a name may not be the one that has it in a database of
// undamaged BTF, as one before it may be lost.
func (t *btfTypes) ambiguous(id uint32, name string) bool {
	return t.recovered && severalTypes[name] && id >= t.firstLost
}

type typeNamer struct {
	btf   *btfTypes
	under *typeNamer // of the BTF that this is split from; nil: names has all
	first uint32     // the id of the first of names
	names []string
	seen  map[string]int // how many types have the name, by name space and name; see count
}

// of returns the name of the type of an id, "" where it has none.
func (n *typeNamer) of(id uint32) string {
	if id < n.first {
		return n.under.of(id)
	}
	return n.names[id-n.first]
}

func (n *typeNamer) set(id uint32, name string) { n.names[id-n.first] = name }

// count returns how many types have a name so far.
func (n *typeNamer) count(key string) int {
	if k, ok := n.seen[key]; ok || n.under == nil {
		return k
	}
	return n.under.count(key)
}

// space returns the name space of a kind: structs and unions share one, and
// enumerations have their own, in a database.
func space(k btfKind) string {
	if k == kindEnum || k == kindEnum64 {
		return "enum "
	}
	return ""
}

func isNamed(k btfKind) bool {
	return k == kindStruct || k == kindUnion || k == kindEnum || k == kindEnum64
}

func (n *typeNamer) unique(space, name string) string {
	key := name
	if space != "" {
		key = space + name
	}
	n.seen[key] = n.count(key) + 1
	for n.seen[key] > 1 {
		if more := numbered(key, n.seen[key]); n.count(more) == 0 {
			n.seen[more] = 1
			break
		}
		n.seen[key]++
	}
	return numbered(name, n.seen[key])
}

// numbered returns the name of the n-th type that is called so.
func numbered(name string, n int) string {
	if n == 1 {
		return name
	}
	return name + "___" + strconv.Itoa(n)
}

// nameByTypedef lends the name of a typedef to the anonymous type that it
// stands for, and, as DWARF-made databases have it, gives each typedef of a
// struct or union a name of its own: several typedefs may stand for one type.
func (n *typeNamer) nameByTypedef() {
	for id := max(n.first, 1); id < n.btf.end(); id++ {
		r, _ := n.btf.lookup(id)
		if r.kind != kindTypedef {
			continue
		}
		target, _ := n.btf.lookup(r.size)
		name := n.btf.name(r.name)
		if name == "" || !isNamed(target.kind) || n.count(space(target.kind)+name) != 0 {
			continue
		}
		if n.of(r.size) == "" {
			n.set(r.size, n.unique(space(target.kind), name))
		} else if space(target.kind) == "" {
			n.set(id, n.unique("", name))
		}
	}
}

// rest names what has no tag and no typedef. A forward declaration has the name
// of the definition that it stands for, be there one or not.
func (n *typeNamer) rest(id uint32, r *btfType) string {
	var kind string
	switch r.kind {
	case kindStruct:
		kind = "struct"
	case kindUnion:
		kind = "union"
	case kindEnum, kindEnum64:
		kind = "enum"
	case kindFwd:
		return n.btf.name(r.name)
	default:
		return ""
	}
	return "unnamed_" + kind + "_" + strconv.FormatUint(uint64(id), 10)
}
