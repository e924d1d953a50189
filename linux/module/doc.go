// Package module tells of the modules of a running kernel: which there are, where they are,
// and what they carry themselves: their symbols, exports and types.
//
// [Open] reads the list of modules. A [Set] then gives, for what a module owns, the types and symbols to read it
// with:
//
//	set, err := module.Open(ctx, k, nil)
//	space, err := set.Space(ctx, "nf_conntrack")
//	view := kstruct.Bind[conn](kstruct.NewBinder(space.Types()), "nf_conn")
//	head, err := set.Symbol("nf_conntrack", "nf_conntrack_hash")
//
// The same calls serve a kernel in which the code is built in: they give the kernel's own
// types and symbols where there is no such module.
//
// # Where things come from
//
// A module's symbols are in its own kallsyms: those of code, and of data too with
// CONFIG_KALLSYMS_ALL. Where that is off, as in Container-Optimized OS, the exported ones of data are
// left, and what structures lead to.
//
// A module's types are BTF that is split from the kernel's (CONFIG_DEBUG_INFO_BTF_MODULES, since 5.11). The kernel
// frees the copy that came with the module once it is initialised, and keeps one in the list btf_modules. Modules of
// older kernels carry no types: these come from a layout of the kernel's modules, made of their
// debug files by examples/kernellayout, where there is one.
//
// # Not supported
//
// Livepatch's own ELF sections, and kernels without CONFIG_KALLSYMS.
package module
