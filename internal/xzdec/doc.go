// Package xzdec decodes .xz files in a way that can be taken up in the middle: a
// memory image that xz made is mostly one block of gigabytes, and the way to its end
// should be gone once.
//
// It follows The .xz File Format, version 1.2.1: any number of streams and of stream
// padding, blocks with and without sizes, the index, the filters LZMA2, Delta and BCJ
// for x86, and the checks CRC32, CRC64 and SHA-256. Files with another filter are
// refused by its name; a check with another number is passed over.
//
// # Checkpoints
//
// Decoding can be taken up between two chunks of LZMA2, which hold at most 2 MiB of
// content each. The window is the dictionary, as much of it as there is. The index of
// a file of many blocks (xz -T or --block-size, pixz) says without decoding where they
// begin.
//
// # Damage
//
// What was decoded before the damage is returned first. A checksum that does not fit
// is a [checkpoint.Mismatch], and so is an index that does not fit the blocks: its
// place is known all the same. All else is a [checkpoint.FormatError] and ends the
// content.
//
// # Memory
//
// The dictionary takes as much memory as there is content, up to one and a half times
// its size, whatever the header says. Of dictionaries above 512 MiB only the last 512
// MiB are kept: content that refers to what is further back is an error. (xz -9 has 64
// MiB.)
package xzdec
