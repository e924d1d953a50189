// Package vmem reads the memory of an x86-64 Linux machine by address: physical
// memory as far as an image holds it, and virtual memory through page tables.
//
// A [Memory] is physical memory: an [io.ReaderAt] whose offset is the physical
// address, together with the ranges that were captured. Image formats implement
// it. [Physical] puts a bounded cache of 4 KiB frames in front of one, and any
// number of [AddressSpace] values share that cache: one for the kernel, one for
// each process. All of them are safe for concurrent use, and scalar reads
// allocate nothing once their frames are cached.
//
// Page tables are those of 4-level and 5-level paging as the Intel SDM, volume
// 3, chapter "Paging", describes them, with 4 KiB, 2 MiB and 1 GiB pages, and
// with what Linux (5.10 and later) puts into entries that are not present:
// PROT_NONE pages, whose frame is still there but stored inverted against L1TF,
// swap entries, migration entries and other special ones. Tables are read from
// physical memory only, so that a damaged table can't lead to reading itself
// without end.
//
// What can't be read is told by a [Fault]: the place, with one of the sentinel
// errors of this package as the reason.
//
// # Not supported
//
// 32-bit and PAE paging, other architectures, nested paging (the image of a
// hypervisor shows its own memory, not that of its guests), and fetching pages
// back from swap or zram. PV guests of Xen keep machine addresses in their page
// tables and don't translate. Kernels built with KASAN share shadow tables so
// widely that a walk of their whole kernel half exceeds its budget; walk the
// parts of interest.
package vmem
