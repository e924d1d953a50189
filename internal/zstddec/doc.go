// Package zstddec decodes Zstandard files (RFC 8878), and can be taken up in the
// middle of a frame. What the zstd command makes of a memory image is one frame of
// gigabytes, and the state of no other decoder can be saved.
//
// It reads frames of all levels, any sequence of them, skippable frames between
// them, and the seek table of the seekable format. Content checksums are verified;
// one that does not fit is a [checkpoint.Mismatch]. Frames that need a dictionary
// are refused, and those with a window of more than 128 MiB, which the zstd command
// makes, and reads, only if told to (--long=28 and above).
//
// # States
//
// Decoding can be taken up behind every block, that is at most 128 KiB of content.
// A state has the window, the tables that a block may inherit (14 KiB), the last
// three offsets and the state of the checksum. Taking one copies the window: up to
// 2 MiB at level 3, 8 MiB at level 19 and 128 MiB with --long. Going on from one
// does not.
//
// # Memory
//
// A header that asks for a large window costs nothing: memory grows with the
// content, up to four times what there is, until it holds a window.
package zstddec
