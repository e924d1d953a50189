// Package nodelens is the root of a library that reads the memory of a Linux
// machine, above all of a Kubernetes node that runs Google's Container-Optimized
// OS, and says what ran on it, pod by pod.
//
// The root exports nothing; each package below can be imported alone.
//
//   - [github.com/nodelens/nodelens/cos]: the high-level entry. AnalyzeNode opens
//     an image, finds its kernel, attributes processes to pods and reports.
//   - [github.com/nodelens/nodelens/image]: opens any image by its content, from a file, a
//     device or a server, and the kernel in it.
//   - [github.com/nodelens/nodelens/linux]: kernel structures under their kernel
//     names: Kernel, Task, MM, VMA, File.
//   - [github.com/nodelens/nodelens/isf]: types and symbols of one kernel, as data.
//   - [github.com/nodelens/nodelens/dwarfconv]: a vmlinux with DWARF to isf.
//   - [github.com/nodelens/nodelens/btfconv]: BTF and kallsyms to isf, from files or
//     straight out of a memory image.
//   - [github.com/nodelens/nodelens/vmem]: addresses, physical memory, page tables.
//   - [github.com/nodelens/nodelens/lime], [github.com/nodelens/nodelens/kcore],
//     [github.com/nodelens/nodelens/kdump] and [github.com/nodelens/nodelens/raw]:
//     memory image formats.
//   - [github.com/nodelens/nodelens/capture]: the running machine's memory to an image.
//   - [github.com/nodelens/nodelens/vmcoreinfo], [github.com/nodelens/nodelens/memmap]:
//     the kernel's note on itself; what physical memory is used for.
//
// Data flows one way: bytes, addresses, types, kernel objects, the node. Images
// of running machines are damaged more often than not, so every package reports
// what it found together with what it lost, and why.
package nodelens
