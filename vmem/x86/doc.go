// Package x86 reads the page tables of x86-64: 4-level and 5-level paging as the Intel SDM,
// volume 3, chapter "Paging", describes them, with 4 KiB, 2 MiB and 1 GiB pages, and with
// what Linux (5.10 and later) puts into entries that are not present: PROT_NONE pages,
// whose frame is still there but stored inverted against L1TF, swap entries, migration
// entries and other special ones.
//
// [NewAddressSpace] makes virtual memory of them. Tables are read from physical memory
// only, so that a damaged table can't lead to reading itself without end.
//
// The constants say where Linux has what in the kernel's half of the address space.
//
// # Not supported
//
// 32-bit and PAE paging, nested paging (the image of a hypervisor shows its own memory, not
// that of its guests), and fetching pages back from swap or zram. PV guests of Xen keep
// machine addresses in their page tables and don't translate. Kernels built with KASAN
// share shadow tables so widely that a walk of their whole kernel half exceeds its budget;
// walk the parts of interest.
package x86
