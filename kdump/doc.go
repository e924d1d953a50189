// Package kdump reads kdump-compressed images with random access: the dumps that
// makedumpfile writes after a crash, and QEMU's dump-guest-memory and libvirt's
// "virsh dump --memory-only" in their formats kdump-zlib, kdump-lzo and kdump-snappy.
//
// The format is described in makedumpfile's IMPLEMENTATION and diskdump_mod.h:
//
//	block 0             main header (struct disk_dump_header): "KDUMP   "
//	block 1             sub header (struct kdump_sub_header), VMCOREINFO and notes
//	behind it           1st bitmap: the frames in which the machine has memory
//	behind it           2nd bitmap: the frames that the dump has
//	behind it           a descriptor of 24 bytes for each bit of the 2nd bitmap
//	behind them         the pages, each compressed by itself: zlib, LZO, Snappy,
//	                    Zstandard, or as it is where that would not make it smaller
//
// Header versions 0 to 6 are read, and images that begin with "DISKDUMP", which differ in
// the sub header alone.
//
// Opening an image reads the bitmaps once, to know for each 16 MiB of memory how many
// pages come before; bitmaps, descriptors and pages stay in the file. A page is decoded
// when it is read, by one reader for all; 32 MiB are kept.
//
// # Flattened
//
// What makedumpfile -F writes into a pipe, and QEMU into a file unless the format's name
// has "raw" in it, are the pieces of an image in the order in which they were written. It
// is read in place, without putting the pieces in order first: opening goes over their
// headers, and keeps an index of what groups of pieces have.
//
// # Excluded pages
//
// makedumpfile leaves out kinds of pages that it is told to (-d; [Level]). Those are in
// the 1st bitmap and not in the 2nd: they are not part of Ranges, and reading them gives
// an error that wraps [vmem.ErrNotCaptured] and [ErrExcluded]. Which of several kinds a
// page was of the image does not say.
//
// They are never zeros: a page of zeros is in the 2nd bitmap, even if such pages were to
// be excluded, and its descriptor leads to one page of zeros that the dump has for all
// (since makedumpfile 1.1.3 of 2007, and in QEMU). So -d 1 alone loses nothing.
//
// A makedumpfile that does not know the kernel, which it warns of, takes pages for what
// they are not: of Linux 6.12, version 1.7.2 leaves out some of the kernel's own at -d 31,
// and 1.7.9 does not.
//
// # Damage
//
// Where the header says that the dump is incomplete, or the last pages are not in the
// file, all descriptors are looked at: pages whose data is not there are Gaps, and not
// part of Ranges. Else each page is checked as it is read: a descriptor that makes no
// sense, or data that does not decode to a page, loses that page, which is then among the
// Gaps. zlib's streams have a checksum; of the others, damage that decodes is not noticed.
//
// In a flattened image the header of a piece that can't be one costs that piece, or the one
// before it: the next is where a chain of headers is, and what is between is a Gap.
//
// One file of a split dump (makedumpfile --split) is read as far as it goes. Put together
// by makedumpfile --reassemble, the files are one image.
//
// # Not supported
//
// Images of machines with pages of another size than 4 KiB, or big-endian or 32-bit ones;
// the dumps of sadump and of Xen's own tools.
package kdump
