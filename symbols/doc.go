// Package symbols finds the types and symbols of the kernel that a memory image is of.
//
// [Find] asks one place after the other, the image first and the network last, and only
// if it is told to; and takes the first answer that fits the image. So an image whose
// kernel carries its own types (CONFIG_DEBUG_INFO_BTF) needs nothing else, and one of
// another kernel needs a file, a directory of files, or a server, in whatever form they
// have it.
//
// # Where symbols come from
//
// In this order:
//
//  1. Options.Given, a file that the caller insists on. Nothing else is asked then.
//  2. The image itself, by [btfconv.FromMemory].
//  3. Options.Store, where earlier runs put what they had converted or fetched.
//  4. Options.Paths: files, and directories that hold files for many kernels.
//  5. Options.Fetch: servers. Whoever runs one learns which kernel is looked into, so
//     this is empty unless the user asked for it.
//
// What was asked, and why its answer was refused, is in Found.Tried, and in the error
// where nothing fits.
//
// # What fits
//
// A database of another kernel, even of another build of the same release, gives wrong
// results that look right. So each answer is held against the image: the release and the
// build id of VMCOREINFO, the sizes, offsets and distances that VMCOREINFO states, and
// the banner, which must stand in memory where the database says that it does. A
// [MismatchError] says what differs. Options.Accept can hold it to more, as opening the
// kernel with it.
//
// # Converters
//
// This package reads ISF files; and BTF, as /sys/kernel/btf/vmlinux has it, where the
// kernel's System.map or /proc/kallsyms is beside it under that name, and perhaps
// /proc/version as version. What else there is, such as a vmlinux with DWARF,
// is read by a [Converter] that the caller lists in Options.Converters, so that a program
// that does without one does not link its parts: package symbols/vmlinux has that for
// DWARF.
//
// # Not supported
//
// Symbols of modules; split DWARF.
package symbols
