// Package vmem reads the memory of a Linux machine by address: physical memory as far as an
// image holds it, and virtual memory through page tables. It knows no architecture: page
// tables are [Tables], and those of x86-64 are in package x86.
//
// A [Memory] is physical memory: an [io.ReaderAt] whose offset is the physical
// address, together with the ranges that were captured. Image formats implement
// it. [Physical] puts a bounded cache of 4 KiB frames in front of one, and any
// number of [AddressSpace] values share that cache: one for the kernel, one for
// each process. All of them are safe for concurrent use, and scalar reads
// allocate nothing once their frames are cached.
//
// What can't be read is told by a [Fault]: the place, with one of the sentinel
// errors of this package as the reason.
// A loss is a [Gap], with the kind of its [Place] and a code for its [Reason].
//
// A memory says what else it knows by further methods, such as [Live] and [Lossy]; [As] finds
// them behind wrappers.
package vmem
