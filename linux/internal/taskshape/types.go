package taskshape

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/vmem/x86"
)

// isImage reports whether an address is in the kernel's image.
func isImage(v uint64) bool {
	return v >= x86.StartKernelMap && v-x86.StartKernelMap < x86.KernelImageSize
}

// Types that members are of.
var (
	pointer  = &isf.Type{Kind: isf.KindPointer, Elem: &isf.Type{Kind: isf.KindVoid, Name: "void"}}
	signed   = &isf.Type{Kind: isf.KindBase, Name: "int"}
	unsigned = &isf.Type{Kind: isf.KindBase, Name: "unsigned int"}
	long     = &isf.Type{Kind: isf.KindBase, Name: "unsigned long long"}
	text     = arrayOf(&isf.Type{Kind: isf.KindBase, Name: "char"}, 16)
)

func structOf(name string) *isf.Type { return &isf.Type{Kind: isf.KindStruct, Name: name} }

func arrayOf(elem *isf.Type, n uint64) *isf.Type {
	return &isf.Type{Kind: isf.KindArray, Elem: elem, Count: n}
}

// members are the types of the members that are inferred, by the names that layout has them under.
var members = map[string]*isf.Type{
	"tasks": structOf("list_head"), "mm": pointer, "exit_state": signed, "pid": signed, "tgid": signed,
	"real_parent": pointer, "parent": pointer, "children": structOf("list_head"), "sibling": structOf("list_head"),
	"group_leader": pointer, "thread_pid": pointer, "pid_links": arrayOf(structOf("hlist_node"), 4),
	"thread_node": structOf("list_head"), "real_cred": pointer, "comm": text, "fs": pointer, "files": pointer,
	"nsproxy": pointer, "signal": pointer, "sighand": pointer, "stack": pointer, "__state": unsigned, "flags": unsigned,
	"start_time": long, "start_boottime": long, "exit_signal": signed, "worker_private": pointer, "set_child_tid": pointer,
	"pid.level": unsigned, "pid.tasks": arrayOf(structOf("hlist_head"), 4), "pid.numbers": arrayOf(structOf("upid"), 1),
	"signal_struct.thread_head": structOf("list_head"), "signal_struct.nr_threads": signed, "signal_struct.pids": arrayOf(pointer, 4),
	"cred.user": pointer, "cred.user_ns": pointer,
}

// sizes are those of the types that are not inferred, and of their arrays.
var sizes = map[string]uint64{"list_head": 16, "hlist_node": 16, "hlist_head": 8, "upid": 16, "int": 4, "unsigned int": 4, "char": 1, "unsigned long long": 8}

func sizeOf(t *isf.Type) uint64 {
	switch t.Kind {
	case isf.KindPointer:
		return 8
	case isf.KindArray:
		return t.Count * sizeOf(t.Elem)
	}
	return sizes[t.Name]
}

// shape returns what was inferred as types.
func (l *layout) shape() (*Shape, error) {
	fields := map[string][]isf.Field{}
	for _, name := range slices.Sorted(maps.Keys(l.at)) {
		typ, member, ok := strings.Cut(name, ".")
		if !ok {
			typ, member = "task_struct", name
		}
		if t := members[name]; t != nil {
			fields[typ] = append(fields[typ], isf.Field{Name: member, Offset: l.at[name], Type: t})
		}
	}
	if ids, ok := l.at["cred.uid"]; ok {
		fields["cred"] = append(fields["cred"], isf.Field{Name: "usage", Type: structOf("atomic_t")}, isf.Field{Name: "user_ns", Offset: l.at["cred.user"] + 8, Type: pointer})
		for i, name := range []string{"uid", "gid", "suid", "sgid", "euid", "egid", "fsuid", "fsgid"} {
			fields["cred"] = append(fields["cred"], isf.Field{Name: name, Offset: ids + 4*uint64(i), Type: structOf("kuid_t")})
		}
	}
	types := fixedTypes()
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		u := isf.UserType{Name: name, Kind: isf.KindStruct, Fields: fields[name]}
		for _, f := range u.Fields {
			u.Size = max(u.Size, (f.Offset+max(sizeOf(f.Type), 4)+7)&^7)
		}
		types = append(types, u)
	}
	f, err := isf.New(isf.Contents{Bases: bases(), Types: types})
	if err != nil {
		return nil, fmt.Errorf("types that were inferred: %w", err)
	}
	return &Shape{Types: f, Tasks: len(l.tasks), Failed: l.failed}, nil
}

func bases() []isf.BaseType {
	return []isf.BaseType{
		{Name: "int", Size: 4, Kind: isf.BaseInt, Signed: true}, {Name: "unsigned int", Size: 4, Kind: isf.BaseInt},
		{Name: "unsigned long long", Size: 8, Kind: isf.BaseInt}, {Name: "char", Size: 1, Kind: isf.BaseChar, Signed: true},
	}
}

// fixedTypes are the small structures that are the same in all kernels.
func fixedTypes() []isf.UserType {
	pair := func(name, first, second string, a, b *isf.Type) isf.UserType {
		return isf.UserType{Name: name, Kind: isf.KindStruct, Size: 16, Fields: []isf.Field{{Name: first, Type: a}, {Name: second, Offset: 8, Type: b}}}
	}
	one := func(name, member string, t *isf.Type) isf.UserType {
		return isf.UserType{Name: name, Kind: isf.KindStruct, Size: sizeOf(t), Fields: []isf.Field{{Name: member, Type: t}}}
	}
	return []isf.UserType{
		pair("list_head", "next", "prev", pointer, pointer), pair("hlist_node", "next", "pprev", pointer, pointer),
		pair("upid", "nr", "ns", signed, pointer), one("hlist_head", "first", pointer),
		one("atomic_t", "counter", signed), one("kuid_t", "val", unsigned),
	}
}
