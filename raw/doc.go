// Package raw reads memory images that are nothing but memory: no header, no addresses.
//
//	image                                                 bytes from offset 0 on
//	LiME's format=padded, AVML's raw, dd of /dev/mem      physical memory from 0 to the end of RAM,
//	                                                      zeros where no RAM is
//	LiME's format=raw                                     the ranges of System RAM, one behind the other
//	memory file of a virtual machine (Firecracker,        physical memory from 0 to the hole below
//	Cloud Hypervisor, QEMU's memory-backend-file)         4 GiB, and behind it that from 4 GiB on
//	QEMU's pmemsave 0 SIZE                                physical memory from 0 on
//
// A [File] is such an image and the regions of memory that it holds. They can be given.
// [FindLayout] finds them by what the kernel in the image says of the machine, which it
// takes from the caller, for this package knows nothing of kernels: package linux finds
// the kernel in a file whose addresses are not known, and package cos puts both together.
//
// # Zeros
//
// In an image that begins at physical address 0, zeros stand for memory and for what is
// none: devices, holes, what the tool could not read. So if the ranges of RAM are known,
// pages outside of them that hold only zeros are no part of the image, and reading them
// gives [vmem.ErrNotCaptured]. Pages that hold anything, such as firmware, are part of it.
//
// # Not supported
//
// Files of guests with other holes than that below 4 GiB, which have terabytes of memory
// or several nodes, unless their regions are given.
package raw
