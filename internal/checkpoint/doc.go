// Package checkpoint says what decoders of files that can only be decoded forwards, gzip,
// zlib, xz and zstd, must offer so that package seekable gives random access to them.
package checkpoint
