// Package lime reads LiME images, version 1, and compressed AVML images, version 2. It
// writes the former.
//
// The LiME format is that of the Linux Memory Extractor (its doc/README.md, and
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
// convert images. Where a range does not begin or end with a page, LiME writes zeros for
// the part of a page, which no kernel uses. Images that AVML made lack the last byte of every range of RAM: it
// takes the inclusive ends of /proc/iomem for exclusive ones.
//
// Records may be in any order, and may overlap; then the first in the file has the
// memory, and a gap says that the other has it, too. Images that are compressed as a
// whole, as LZ4 frames or by gzip, zlib (as LiME itself does with compress=1), xz or
// zstd, are read in place, by content and not by name.
//
// # AVML
//
// What AVML writes with --compress (src/image.rs and src/io/snappy.rs of its source) is
// records with the same header, but for the magic number, "AVML", and the version, 2. A
// record is at most 16 MiB of memory, as one stream of the Snappy framing format, which
// may be longer than the memory, and behind it the length of the stream in 8 bytes. Both
// kinds of records may be in one file.
//
// Opening an image reads the headers of the chunks, of at most 64 KiB of memory each, and
// decodes none. Chunks are decoded as they are read, each by one reader for all, and
// verified by their CRC-32C; 64 MiB are kept.
//
// AVML leaves out blocks that are all zeros (since 0.5.0), and nothing in the file tells
// them from addresses where there is no memory. So they are not part of Ranges, and
// reading them gives [vmem.ErrNotCaptured]: zeros are not made up. Who knows the machine's
// RAM, as the kernel in the image does, learns by [File.Elided] which they are.
//
// The content is taken for what it is, not for what the header says, because of what
// version 0.17.0 writes. Its avml-convert puts AVML headers before memory that is not
// compressed: taken as such if the record then ends where the next does begin, or the
// file end. And for a block of zeros it writes a header and no more, which is taken for
// zeros if the next header follows at once, with a higher address. Under a LiME header
// that may as well be a record that LiME broke off, and is lost.
//
// # Damage
//
// This is about records that are not compressed; below is what differs for others.
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
//     another plausible header is whose range is higher yet; or if it is the first in a
//     run of headers without content, of ever higher ranges, before such a record;
//   - is believed, too, where it stands by the broken record's claim: a whole number of
//     pages before the end of it, or one byte before or behind it, or a whole number of
//     pages and one header, which was overwritten, behind it. So a record that is
//     damaged itself, or cut off with the file, is still found. A copy in the page cache
//     does not stand there: it is at its place in a page of a file, and pages of memory
//     are not at such places in this one, because of the headers before them.
//
// If none is found the end of the broken record may be what is damaged, and it claims the
// memory of those that follow. Then a record is believed too whose range begins inside, if it
// fits and leaves room for as many bytes as there are before it.
//
// One byte is what a tool has wrong in each record that takes inclusive ends for
// exclusive ones. Then that byte is the gap, and nothing else.
//
// The content of the broken record ends at the first plausible header, or where it
// says if there is none before; reading goes on at the first that is believed. What
// lies between, where an unbelievable header is, belongs to no record: bytes at the
// wrong address are worse than none. Gaps lists all of it.
//
// A compressed record is broken if its chunks make no sense or are not those of as much
// memory as the header says, or if no header follows the length. Then it is decoded at
// once, and ends before the first chunk that is not whole or has another checksum. The
// next header is searched for from there on, by the same rules, but that an AVML header is
// believed as well if its chunks reach to the end of the file; so the rest of the record
// is lost, even if later chunks are whole. A length that is wrong by itself is a gap
// without a range, and loses nothing. A wrong checksum in a record that is not broken is
// found in reading: it loses that chunk, which is then among the Gaps.
//
// # Not supported
//
// LiME's raw and padded formats, which package raw reads, its compress=1, and big-endian
// images. Open says what such a file looks like.
package lime
