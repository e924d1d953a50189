// Package kcore reads ELF cores of a machine's physical memory, the running machine's
// /proc/kcore among them.
//
// The format is that of ELF core files (System V ABI, "Object Files"; elf(5)): each
// PT_LOAD segment holds physical memory at its p_paddr. QEMU's dump-guest-memory,
// libvirt's "virsh dump --memory-only", makedumpfile -E, dumpit and copies of
// /proc/kcore are such files. Segments may be in any order and overlap: the kernel
// text segment of /proc/kcore lies inside RAM. Segments without a physical address
// (vmalloc, modules, vmemmap: p_paddr is -1) are listed but not part of the physical
// memory.
//
// Notes are read too, as package vmcoreinfo has them: VMCOREINFO, with which the kernel
// describes itself to crash tools, and the CPU states that QEMU writes.
//
// # The running machine
//
// /proc/kcore (fs/proc/kcore.c of the kernel) is an ELF core that is made as it is read.
// OpenLive opens it, and so does Open; what it gives is physical memory like that of any
// image, so that a machine can be looked at without one. Where its memory is withheld, a
// Refusal says by what and what to change.
//
// The kernel's image is in /proc/kcore twice, and pages that it freed of itself after boot
// read as zeros in one place: the bytes come from the other, the direct map. Memory that
// the kernel took out of its direct map reads as zeros: that of memfd_secret(2), and with
// CONFIG_DEBUG_PAGEALLOC free pages.
//
// # Damage
//
// A file that ends too early is read as far as it goes, and Gaps says what is
// missing. What a segment has in memory but not in the file was left out on purpose: that
// is no damage, and Excluded lists it. Bytes that no program header names are gaps: a header
// of theirs is damaged or missing, or QEMU wrote, with paging, memory that page tables map
// nowhere. What a file claims is checked against its size
// before memory is allocated.
//
// # Compression
//
// Cores that are compressed as a whole, as LZ4 frames or by gzip, zlib, xz or zstd, are
// read in place. What kdump compresses is for package kdump.
//
// # Not supported
//
// 32-bit and big-endian cores, cores of single processes, and /proc/kcore of kernels
// before 4.11, which has no physical addresses.
package kcore
