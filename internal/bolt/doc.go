// Package bolt reads bbolt databases (go.etcd.io/bbolt, file format version 2), such
// as containerd's meta.db, that are not all there: what a process had mapped of its
// database when its memory was imaged.
//
// A database is a B+ tree of buckets in pages of fixed size; values that don't fit
// one page run on into the next. Two meta pages hold the roots of the last two
// transactions, of which the newer one that is intact counts. Writers never change a
// page that the newer root reaches, so a copy taken while one writes is consistent
// as well.
//
// Where pages are missing on the way from the root, [Carve] finds what the others hold.
//
// Reading is all that is supported: no freelist, no locks, no big-endian files.
package bolt
