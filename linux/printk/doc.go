// Package printk reads the kernel log: what dmesg shows, every record that is still in the ring
// buffer, up to the newest.
//
//	for r, err := range printk.Records(ctx, k) {
//		fmt.Println(r) // as dmesg -x does
//	}
//
// The log of kernels since 5.10 is struct printk_ringbuffer (kernel/printk/printk_ringbuffer.h): a ring of
// descriptors, each with a struct printk_info, and a ring of text. The pointer prb leads to it. It is not
// exported, but VMCOREINFO names it, so that kernels whose kallsyms has no data have it, too.
//
// A record is believed if its descriptor, its number and the block of its text agree with each other; what
// does not is a gap.
//
// # Not supported
//
// The log of kernels before 5.10.
package printk
