// Package seekable gives random access to the content of files that can only be
// decoded forwards: gzip, zlib, xz and zstd.
//
// # First pass
//
// Nothing in most such files says how large the content is or where decoding can begin. So
// a file is decoded once, from its beginning, as far as somebody asks: reading goes no
// further than it must, while Size needs all of the file. On the way a [checkpoint.State] of the
// decoder is kept every MiB, or every other window where that is more. Windows are packed
// by S2, which memory images gain much from; as they exceed their budget, every other
// state is dropped, and those to come have twice the distance. Where the file has an index
// (see [checkpoint.Indexed]) there is no first pass, and states are kept as reading passes.
//
// # Reading
//
// Content is decoded in blocks into a bounded cache, once for all readers who wait for
// the same block; readers of other blocks are not held up. Decoding begins at the nearest
// state, or goes on where one of the last readers has stopped. What is passed on the way
// is cached as well, if it is no more than a quarter of the cache.
//
// Blocks are packed by S2 on other processors as they are decoded, and kept until they take
// their budget: so that of a small image, or the beginning of a large one, nothing is decoded
// twice. States there take their windows from these blocks.
//
// # Damage
//
// Where decoding fails, the content ends, or in a file with an index a hole begins that
// goes as far as the next place where decoding can begin. A checksum that does not fit is
// listed, and the content that it is of can be read: it may be the checksum that is wrong,
// and which byte else nobody knows.
package seekable
