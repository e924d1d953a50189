// Package kstruct gives typed views of the structures of a kernel, objects by their names,
// and walks over the kernel's containers.
//
// A structure is a Go struct whose tags name the members that are read:
//
//	// A sockCommon is struct sock_common (include/net/sock.h).
//	type sockCommon struct {
//		Family uint16        `kernel:"skc_family"`
//		Net    vmem.VirtAddr `kernel:"skc_net.net"`
//		Port   uint16        `kernel:"skc_dport,be"`
//		Cookie uint64        `kernel:"skc_cookie.counter,optional"`
//	}
//
// [Bind] resolves the tags against the types of a kernel, once. What the kernel does not
// have, or has otherwise than the Go type says, is an error then and never a wrong value
// later. [View.Read] reads a structure in one go and allocates nothing. [View] says what
// tags and types there are; [BindMember] gives the offset of a member alone.
//
// # Objects by name
//
// What no Go struct is worth writing for is a [Value], an object as a debugger has it:
//
//	uts := space.Object("init_uts_ns")             // where it is in the running kernel
//	name, err := uts.At("name.nodename").CString() // members, elements and pointers by a path
//	task := space.Struct("task_struct", addr)
//	uid, err := task.At("real_cred->uid.val").Uint()
//	for module, err := range space.Object("modules").List(walk, "module", "list") {
//
// Errors stick to a Value until it is asked for something. Printing one shows it as drgn
// does: see [Printer]. A Value looks names up each time, and takes microseconds where a
// bound view takes tens of nanoseconds; what is read of every task is worth a view.
//
// # Walks
//
// A [Walk] goes over the kernel's containers, and verifies each step:
//
//	w := space.Walk(ctx, &kstruct.WalkOptions{Object: "modules"})
//	for module, err := range w.Entries(w.List(modules), "module", "list") {
//
//	list_head                      Walk.List          back links; from both ends where broken
//	hlist, hlist_bl, hlist_nulls   Walk.HList ...     back links; the value of the end
//	pointers to the next           Walk.Chain, LList  no cycles
//	plist                          Walk.PList         back links, priorities
//	rb_root, rb_root_cached        Walk.RBTree ...    parents, the first node
//	xarray, radix tree, IDR        Walk.XArray ...    parents, slots, shifts, counts, owner
//	maple tree                     Walk.Maple         parents, slots, pivots, ends, gaps, height
//	rhashtable, rhltable           Walk.RHashTable    ends of chains, the number of elements
//
// What contradicts itself is a [vmem.Gap] among what the walk yields, and the rest is still
// walked. A container is bound by the types when it is first walked, and by itself: one
// that a kernel has not is an error of its walks alone.
//
// A per-CPU variable has an address for each CPU: [Space.PerCPU], [Space.PerCPUPtr] for
// what is allocated, [Space.Counter] and [Space.RefCount] for what CPUs count in parts.
//
// # Not supported
//
// Radix trees of kernels before 4.20 and rhashtables of those before 5.4 have other nodes.
// Kernels without CONFIG_SMP have no per-CPU variables.
//
// Memory is read as x86-64 has it, little endian, but for members that the types or a tag
// say are big endian. Floating-point numbers are read as bytes only.
package kstruct
