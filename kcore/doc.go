// Package kcore reads ELF cores of a machine's physical memory.
//
// The format is that of ELF core files (System V ABI, "Object Files"; elf(5)): each
// PT_LOAD segment holds physical memory at its p_paddr. QEMU's dump-guest-memory,
// libvirt's "virsh dump --memory-only", makedumpfile -E, dumpit and copies of
// /proc/kcore are such files. Segments may be in any order and overlap: the kernel
// text segment of /proc/kcore lies inside RAM. Segments without a physical address
// (vmalloc, modules, vmemmap: p_paddr is -1) are listed but not part of the physical
// memory.
//
// Notes are read too: VMCOREINFO, with which the kernel describes itself to crash
// tools (Documentation/admin-guide/kdump/vmcoreinfo.rst), and the CPU states that
// QEMU writes. FindVMCoreInfo looks for VMCOREINFO in any physical memory, for images
// of other formats.
//
// # Damage
//
// A file that ends too early is read as far as it goes, and Gaps says what is
// missing. What a file claims is checked against its size before memory is allocated.
//
// # Not supported
//
// 32-bit and big-endian cores, cores of single processes, and the compressed formats
// of kdump. Cores that are LZ4 frames as a whole are read.
package kcore
