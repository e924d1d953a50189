// Package checkpoint gives random access to the content of files that can only be
// decoded forwards: gzip, zlib, xz and zstd.
package checkpoint
