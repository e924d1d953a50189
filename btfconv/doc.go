// Package btfconv makes symbol databases of what a Linux kernel carries itself:
// its types in BTF, its symbols in kallsyms and in the export tables.
//
// [FromMemory] takes all of it out of a memory image, and needs nothing else: no
// vmlinux, no System.map, no network. [Convert] takes BTF and a list of symbols
// from files, as /sys/kernel/btf/vmlinux and /proc/kallsyms of a machine that runs
// the same kernel.
//
// # Where things come from
//
// BTF is the "BPF Type Format" (Documentation/bpf/btf.rst), which pahole makes of
// the kernel's DWARF when it is built (CONFIG_DEBUG_INFO_BTF). It has every type
// that DWARF has, with the same members at the same offsets, and the types of
// per-CPU variables. It lacks the types of other variables, for which this package
// has a table of those that analysis reads; the inner dimensions of arrays of
// arrays, which pahole makes one array of; and, before 6.0, the values of
// enumerations of 8 bytes, which are then left out.
//
// kallsyms (kernel/kallsyms.c) has the names and addresses of all functions, and
// of data too with CONFIG_KALLSYMS_ALL, which Container-Optimized OS does not set.
// The export tables (__ksymtab) have the data that modules may use. What is still
// missing is found through the kernel's own pointers, by a validated search, or in
// BTF's list of per-CPU variables; a [Report] says how, symbol by symbol.
//
// VMCOREINFO, if the image has it, says where the kernel is, and from 6.0 on where
// kallsyms is. Without it, kallsyms is found by the shape of its largest table, and
// the kernel by the addresses of exported functions, which are relative to where
// they stand.
//
// What VMCOREINFO says is checked against what does not come from it, and is left aside
// where it fails: the release by init_uts_ns, the place of the image by kallsyms and by
// the first task's pointer to itself, sizes by BTF, the KASLR shift by the address that the
// kernel's code or configuration has as the one it was linked at.
//
// # Names and addresses
//
// Types have the names that databases made from DWARF give them: the tag; for types
// without a tag, and for all structs and unions a second time, the name of a
// typedef. Of several types with one name the first keeps it and the others end in
// ___2, ___3 and so on. Which type is first is for pahole to say, while package dwarfconv
// gives the name to the one that most units agree on: by the few names that a kernel has
// for several types, the two sources may mean different ones. Types without any name are called unnamed_struct_ID and so
// on, by their number in BTF.
//
// Addresses of symbols are those that the kernel was linked with. The addresses of
// a running kernel are higher by the KASLR shift; in memory, the kernel has added
// it to the base of kallsyms itself (arch/x86/tools/relocs.c).
//
// # Damage
//
// What is damaged in one place costs that place; [isf.File.Lost] lists it. All references
// inside BTF are checked, and whether its structs have the sizes that VMCOREINFO says. A
// record that makes no sense is lost, and with it what contains it: pointers to it are to
// void, and structs keep their other members, since the offsets of those are in the struct.
// A struct that reaches into a damaged page keeps the members that are on others. Behind
// damage, records are found again by making sense, and their numbers by what refers to
// them: a number has to fit the kinds and the room that all references say, and
// no other number may. A page that makes sense by itself but is not what the others refer
// to, such as a copy of another one, is lost as a whole.
//
// A page of names that was overwritten costs the names on it: a struct that lost its own is
// called unnamed, a member that lost its own is lost. Names that are too common to do
// without, and the numbers of scalars and of a few small structs, are told by the structs that have
// had them in every kernel; what a scalar is, the ABI says.
//
// kallsyms is used as it is if nothing is wrong with it: its names are checked against their
// own index, and by being in order; its addresses by ascending; both by the export tables,
// those by their strings; and the first task has to be where the symbols say. Where a page of
// it is damaged, that costs the names between two markers, or those whose addresses
// are on it. The others are used if they are in order and are what the export tables call for. Without its table
// of tokens no name can be read, and the exported symbols and what can be found by pointers is what there is; the [Report]
// then says so by a [MissingError], which names the kernel and the files that would help. An entry of
// the export tables stands for itself.
//
// # Not supported
//
// Architectures other than x86-64; kernels before 4.19, whose tables are different;
// kallsyms with 8-byte addresses (CONFIG_KALLSYMS_BASE_RELATIVE has been on for
// x86-64 since 4.6); big-endian BTF; BTF by pahole before 1.13, which has another
// form of bitfields; symbols of modules; in files, BTF of modules that is split from a distilled
// base of its own (.BTF.base, since 6.11), which is refused: in memory the kernel has made it one over its own.
package btfconv
