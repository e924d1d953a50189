// Package image opens memory images, whatever their format, and the kernels in them.
//
// [Open] goes by the content of a file, not by its name:
//
//	LiME, AVML           package lime
//	ELF cores            package kcore, and /proc/kcore: the running machine
//	kdump-compressed     package kdump
//	nothing but memory   package raw: the kernel in it says where it belongs
//
// each also compressed as a whole, by LZ4, gzip, zlib, xz or zstd. The name may be that of a
// file or a block device, or a URL: [OpenURL] reads what is needed of an object on a server.
// [NewFile] takes any [io.ReaderAt]. A [File] is the memory and what is known of the file;
// it is a [vmem.Memory] like those of the packages above, and Unwrap gives theirs.
//
// What is no image is told for what it is: an [Error] has a sentence for that, another for
// what to do about it, and the reasoning as its Detail.
//
// A file that shrinks while it is open, a disk that fails, and a server that is lost cost
// what can't be read, which is then among the gaps of the memory.
//
// [OpenKernel] opens the kernel of an image. It adds what the image leaves out because it
// is zeros, as far as the kernel's map of RAM makes that certain, and searches for nothing
// that was found already to open the image.
package image
