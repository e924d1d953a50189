// Package bpf tells of the BPF programs of a running kernel, of their maps, links and types,
// of what they are attached to, and of who holds them.
//
//	set, err := bpf.Open(ctx, k, &bpf.Options{Tasks: tasks})
//	for _, p := range set.Programs() {
//
// A program is found by all that leads to it: the table from which bpftool lists programs, the
// list of what was compiled, descriptors, pins, links, maps and every place where programs are
// attached. [Program.Sources] names these; one that has an ID or is attached, and which the table
// lacks, is [Program.Hidden].
//
// [Set.Images] are the ranges of compiled code, of programs as well as of trampolines and
// dispatchers, and [Set.Regions] the same for a [module.Symbolizer].
//
// # Where things come from
//
// The tables prog_idr, map_idr, link_idr and btf_idr have symbols that are not exported. A kernel whose
// kallsyms has no data, as Container-Optimized OS, does not name them: they are then read out of
// the code of functions that use them (see code.go).
//
// # Not supported
//
// Programs of infrared receivers, of human interface devices and of lightweight tunnels are told by their
// tables, links and holders, but not by where they are attached. Programs that a device runs itself are told without their
// instructions. Memory of arenas is not read.
package bpf
