package btfconv

import (
	"maps"
	"slices"

	"github.com/nodelens/nodelens/isf"
)

// symbolTypes says the types of the symbols that analysis reads, which neither BTF
// nor kallsyms does. They are the same in all kernels from 5.10 on; a type that a
// kernel doesn't have is left out.
var symbolTypes = map[string]*isf.Type{
	"init_task":                structType("task_struct"),
	"init_mm":                  structType("mm_struct"),
	"init_pid_ns":              structType("pid_namespace"),
	"init_uts_ns":              structType("uts_namespace"),
	"init_user_ns":             structType("user_namespace"),
	"init_ipc_ns":              structType("ipc_namespace"),
	"init_time_ns":             structType("time_namespace"),
	"init_cgroup_ns":           structType("cgroup_namespace"),
	"init_net":                 structType("net"),
	"init_nsproxy":             structType("nsproxy"),
	"init_cred":                structType("cred"),
	"init_css_set":             structType("css_set"),
	"init_files":               structType("files_struct"),
	"init_fs":                  structType("fs_struct"),
	"init_signals":             structType("signal_struct"),
	"init_sighand":             structType("sighand_struct"),
	"modules":                  structType("list_head"),
	"cgroup_roots":             structType("list_head"),
	"cgrp_dfl_root":            structType("cgroup_root"),
	"cgrp_dfl_visible":         baseNamed("_Bool"),
	"cgroup_subsys":            arrayOf(pointerTo(structType("cgroup_subsys"))),
	"iomem_resource":           structType("resource"),
	"module_kset":              pointerTo(structType("kset")),
	"net_namespace_list":       structType("list_head"),
	"super_blocks":             structType("list_head"),
	"prb":                      pointerTo(structType("printk_ringbuffer")),
	"prog_idr":                 structType("idr"),
	"map_idr":                  structType("idr"),
	"tk_core":                  structType("tk_data"), // without a name, to 6.12
	"timekeeper_data":          arrayOf(structType("tk_data")),
	"socket_file_ops":          structType("file_operations"),
	"sockfs_dentry_operations": structType("dentry_operations"),
	"init_top_pgt":             arrayOf(structType("pgd_t")),
	"idt_table":                arrayOf(structType("gate_struct")),
	"sys_call_table":           arrayOf(pointerTo(typeFunction)),
	"linux_banner":             arrayOf(baseNamed("char")),
	"saved_command_line":       pointerTo(baseNamed("char")),
	"page_offset_base":         unsignedLong,
	"vmalloc_base":             unsignedLong,
	"vmemmap_base":             unsignedLong,
	"phys_base":                unsignedLong,
	"__per_cpu_offset":         arrayOf(unsignedLong),
	"__pgtable_l5_enabled":     baseNamed("unsigned int"),
	"jiffies_64":               baseNamed("long long unsigned int"),
}

// WantedSymbols returns the names of the symbols that analysis uses, in no order; of some of
// them a kernel has one alone.
func WantedSymbols() []string {
	names := slices.Collect(maps.Keys(symbolTypes))
	for _, w := range wanted {
		names = append(names, w...)
	}
	return names
}

var unsignedLong = baseNamed("long unsigned int")

func structType(name string) *isf.Type { return &isf.Type{Kind: isf.KindStruct, Name: name} }
func baseNamed(name string) *isf.Type  { return &isf.Type{Kind: isf.KindBase, Name: name} }
func pointerTo(t *isf.Type) *isf.Type  { return &isf.Type{Kind: isf.KindPointer, Elem: t} }

// arrayOf returns an array of a length that is not known.
func arrayOf(t *isf.Type) *isf.Type { return &isf.Type{Kind: isf.KindArray, Elem: t} }

// typedSymbols makes symbols with the addresses they were linked at, and the
// types that vars or symbolTypes have for them.
func typedSymbols(t *symbolTable, image *kernelImage, vars map[string]*isf.Type, c *isf.Contents) []isf.Symbol {
	out := make([]isf.Symbol, len(t.sorted))
	for i, s := range t.sorted {
		out[i] = isf.Symbol{Name: s.name, Address: image.linked(s.addr)}
	}
	known := knownTypes(c)
	for name, typ := range symbolTypes {
		if i, ok := t.search(name); ok {
			out[i].Type = typeIn(known, typ)
		}
	}
	for name, typ := range vars {
		if i, ok := t.search(name); ok {
			out[i].Type = typ
		}
	}
	return out
}

// knownTypes returns the names of the types in c, and of none.
func knownTypes(c *isf.Contents) map[string]bool {
	known := make(map[string]bool, len(c.Types)+len(c.Bases)+1)
	known[""] = true
	for i := range c.Types {
		known[c.Types[i].Name] = true
	}
	for i := range c.Bases {
		known[c.Bases[i].Name] = true
	}
	return known
}

// clangNames are what clang calls types that gcc names otherwise.
var clangNames = map[string]string{"long unsigned int": "unsigned long", "long long unsigned int": "unsigned long long"}

// typeIn returns t as a database with the known names has it: nil if what it is
// made of isn't known.
func typeIn(known map[string]bool, t *isf.Type) *isf.Type {
	if t.Elem != nil {
		elem := typeIn(known, t.Elem)
		if elem == nil {
			return nil
		}
		return &isf.Type{Kind: t.Kind, Elem: elem, Count: t.Count}
	}
	if known[t.Name] {
		return t
	}
	if name := clangNames[t.Name]; known[name] && name != "" {
		return baseNamed(name)
	}
	return nil
}
