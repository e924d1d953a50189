// Package ktext compares the code of a running kernel with the file that it was started from.
//
//	build, err := ktext.NewBuild(f) // the kernel's vmlinux
//	r, err := ktext.Compare(ctx, k, build, nil)
//	for _, m := range r.Modifications {
//		fmt.Println(m)
//	}
//
// A kernel patches its own code: for its address, for the processor that it runs on, for what is switched on and off, for
// tracers and probes. The file says where each such place is, and the kernel's own data what must be there: so each
// place is held against that, and nothing is left out because it might be one. What then differs is a [Modification].
//
// # What is taken into account
//
//	address             absolute addresses, and per-CPU ones relative to code, by what KASLR added
//	alternatives        .altinstructions, by the features of boot_cpu_data; calls and jumps in them as they are moved, NOPs as they are joined
//	paravirt            .parainstructions (until 6.7), and alternatives of calls through pv_ops since, by pv_ops
//	retpolines          .retpoline_sites: the thunk, or the branch itself, with LFENCE or through a thunk for ITS
//	returns             .return_sites, by x86_return_thunk
//	call depth          .call_sites (since 6.2), where call depth is tracked
//	ENDBR               .ibt_endbr_seal
//	SMP locks           .smp_locks, by uniproc_patched
//	jump labels         __jump_table, by the count of each key
//	static calls        .static_call_sites and trampolines, by the function of each key
//	ftrace              __mcount_loc, by the records of ftrace and its trampolines; ftrace_call and ftrace_regs_call
//	kprobes             by kprobe_table, also those that are optimised to a jump
//	runtime constants   runtime_ptr_* and runtime_shift_* (since 6.11), by the variables
//	code being patched  by the list of what is patched at that moment
//
// Code that initialises the kernel is freed at boot, and is not compared; data that is read-only only after that isn't
// either.
//
// # Not supported
//
// FineIBT and randomised kCFI of kernels that clang built with CONFIG_CFI_CLANG: a gap says so. Hypercall pages that
// Xen fills in.
package ktext
