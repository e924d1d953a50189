// Package integrity tells of every place where a kernel can be made to run other code: what runs there,
// who put it there, and whether it belongs there.
//
//	c, err := integrity.Open(ctx, k, nil)
//	for h, err := range c.Hooks(ctx) {
//		if h.Suspect {
//			fmt.Println(h)
//		}
//	}
//
// A [Hook] is one such place: a pointer in a table, a call in code, a probe in a list. Its [Verdict] says in whose code
// the target lies, by the kernel's own ranges of code: that of the kernel's image, of modules (their text alone, and not their
// data), of BPF programs, and of trampolines that the kernel made. Code that is in none of them is unknown: nothing that the kernel
// knows of may be run there.
//
// Whether a hook belongs is another question. It does not where the target is unknown, where its module is hidden, where the place
// always holds code of the kernel itself and now has other, or where the place contradicts another that says the same. These
// are [Hook.Suspect], and [Hook.Evidence] says why.
//
// # Anchors
//
// Most tables are data that no module may use, so a kernel whose kallsyms has code alone does not name them. They are then found by
// the code that uses them, which is disassembled. What can't be found is a gap.
//
// Where kernels have a switch in the place of the table of system calls (since 6.9, and in stable releases before), its code is
// followed for every number.
//
// # Not supported
//
// Where the processor enters the kernel for a system call is in its registers (MSR_LSTAR and others), which images of memory do not
// have. Handlers of FRED, and what fprobes call since 6.14, are not told; nor are chains of notifiers and timers that
// are part of what is allocated and that no list leads to, nor pointers that a structure has as void; nor terminals of pty, work of
// kthread_worker, and work of queues that run as softirqs (WQ_BH).
package integrity
