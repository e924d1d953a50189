// Package pagecache reads files out of memory: the file systems of a kernel, their directories as far as
// they are cached, what stat and getfattr show of a file, and the pages of its contents.
//
// What is in memory depends on the file system. Of tmpfs and ramfs it is everything, but for pages that were swapped
// out. Of ext4 and other file systems on disks it is what was used and not yet evicted: names, attributes and
// pages each for themselves. overlayfs has no pages of its own; its files are those of its layers. A file that is not
// whole in memory is read as far as it is, and an error that wraps [ErrNotCached] says where it is not.
//
// [Set.FS] gives the files as a process sees them, over the mounts of its namespace from its root: it is
// an [fs.FS]. [Set.Supers] and [Set.Inodes] give all file systems, mounted or not, and all their inodes, with a name
// or without. [Set.Nameless] lists what was deleted and is still there, and who holds it.
//
// Everything starts from the mounts of tasks and from the ring of super_blocks that their file systems are in; no
// symbol of data is needed. Types of overlayfs are those of its module: see package module.
//
// Not read: extended attributes on disks, directories of disks that were never looked up, data of inodes
// that ext4 keeps inline, and what is compressed or encrypted on the way to the page cache.
package pagecache
