// Package vmcoreinfo reads what a kernel notes about itself for crash tools: VMCOREINFO
// (Documentation/admin-guide/kdump/vmcoreinfo.rst), lines of text that say which kernel it
// is, where KASLR put it and where its page tables are.
//
// The kernel keeps the text in its memory, whatever format an image has: [Find] looks for
// it in any physical memory. Image formats carry it as an ELF note beside the memory:
// [ParseNotes] reads those notes, and [ParseCPUs] the states of virtual CPUs that QEMU
// adds to them.
//
// VMCOREINFO is a claim. Copies of earlier kernels can be in memory, and a note can be out
// of date, so whoever uses it verifies what it says against the memory.
package vmcoreinfo
