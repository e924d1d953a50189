// Package layouts has the layouts of known kernels: the types that analysis reads, and the
// symbols that it starts from, in some twenty kilobytes a kernel.
//
// An image gives its own symbols, unless what holds them in the kernel's memory was
// damaged. What is lost then can come from a layout of the same build, whole, and of types
// as far as another build of the same version agrees with all that is left: see
// [isf.File.Complete]. Nothing here says that a layout is of the kernel in an image; who uses
// one verifies it by that, as package linux does by the tasks.
//
// The package carries those of some distributions' kernels ([Known]). Those of others are
// made by the program examples/kernellayout, of whatever symbols there are of a kernel, and
// read from a directory ([Dir]).
//
// # Files
//
// A layout is a file of ISF, compressed by zstd, named
//
//	BUILD-ID_RELEASE.isf.zst
//
// with the build id of vmlinux in hexadecimal, or "none" where that is not known, and the
// release as uname -r has it. So they are found without being read.
package layouts
