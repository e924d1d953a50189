// Package lz4index reads LZ4 files with random access.
//
// It reads what the lz4 command, liblz4 and their many ports write: frames of
// the LZ4 Frame Format (version 1.6.x of its specification, any block size,
// independent and linked blocks, stored blocks, block checksums, content size),
// legacy frames (magic 0x184C2102), skippable frames, and any sequence of them.
// Frames that need an external dictionary are refused.
//
// # Index
//
// New walks the frame and block headers, which say where the blocks are, but not
// how long they are when decoded. The format does not promise that all blocks but
// a frame's last are of the full size: a writer that flushes makes short ones. So
// the decoded sizes are established as follows.
//
//   - A frame with a content size needs the size of its last block only: no block
//     exceeds the full size, so where full blocks and the last add up to the
//     content size, all are full.
//   - Otherwise the sequences of each block are added up, on all cores, without
//     copying what they stand for. That takes about half the time of decoding; so
//     whoever compresses an image to be opened often says --content-size.
//
// The length of a frame's last block is taken as found, where no content size
// contradicts it.
//
// A block whose sequences don't add up to a possible size is damaged. It counts
// as full, as long as its frame shows no sign of a writer that flushes, so that
// what follows keeps its place; where the place is not known, the content ends
// there, for bytes in the wrong place are worse than none. A short block before
// the last may be damaged too, by a changed length: block checksums settle it, or
// the content size, or, where the file has neither, one decoding of the frame
// against its content checksum. The comment of index.settle has the rules.
//
// # Reading
//
// Blocks are decoded on demand into a bounded cache, once for all readers who
// wait for the same block; readers of other blocks are not held up. Block checksums
// are verified. Content checksums are not (but for the case above), as they need the
// whole content.
//
// A linked block needs the 64 KiB before it: decoding starts at the nearest block
// that needs none, or is cached, or has a checkpoint, of which at most 512 are kept
// as decoding passes them. So the first read far into a long linked frame decodes
// all before it, once. The lz4 command makes such frames only if told to (-BD).
package lz4index
