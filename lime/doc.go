// Package lime reads and writes LiME images, version 1.
//
// The format is that of the Linux Memory Extractor (its doc/README.md, and
// lime_mem_range_header in its src/lime.h): records back to back, each a header of
// 32 bytes and the physical memory that the header names.
//
//	offset  size
//	     0     4  magic number, 0x4C694D45 little-endian: "EMiL"
//	     4     4  version, 1
//	     8     8  physical address of the first byte
//	    16     8  physical address of the last byte, inclusive
//	    24     8  reserved, 0
//
// There is no count, no checksum and no trailer. LiME itself writes it with
// format=lime; AVML writes it where it does not compress, and so do many tools that
// convert images. Images that AVML made lack the last byte of every range of RAM: it
// takes the inclusive ends of /proc/iomem for exclusive ones.
//
// Records may be in any order, and may overlap; then the first in the file has the
// memory. Images that are LZ4 frames as a whole are read in place, by content and
// not by name.
//
// # Damage
//
// A record is taken at its word as long as the next header, or the end of the file,
// is where the record ends. Where it is not, LiME broke off inside the record after a
// failed write and went on with the next header (write_range in its src/main.c), or
// the file was cut off, or a header was overwritten. Then the next header is searched
// for, through the content of the record. But memory contains headers too: of the
// record being written, on the stack of LiME, and of other images, in the page cache.
// A header found by the search
//
//   - is plausible if it has the magic number, version 1, reserved bytes of 0 and a
//     range that begins after the broken record's, since LiME, the one writer known
//     to break off, writes ranges in ascending order. So copies of the headers up to
//     that record are told apart. (A true header's range need not begin on a page:
//     firmware splits RAM anywhere. A copy's range looks like that of the original.)
//   - is believed if, besides, the record ends exactly where the file ends, or where
//     another plausible header is whose range is higher yet.
//
// The content of the broken record ends at the first plausible header, or where it
// says if there is none before; reading goes on at the first that is believed. What
// lies between, where an unbelievable header is, belongs to no record: bytes at the
// wrong address are worse than none. Gaps lists all of it.
//
// # Not supported
//
// Compressed AVML images (version 2), LiME's raw and padded formats, its compress=1,
// and big-endian images. Open says what such a file looks like.
package lime
