// Package capture writes the memory of the running machine to an image.
//
// [Run] writes RAM as it is to a LiME or AVML image, by large reads, with nothing on disk. A
// [Manifest] goes with the image: what /proc/kcore and /proc/iomem said, which image
// formats do not keep, what was read when, what could not be read, and the node's
// identity. Given a [memmap.PageClassifier], such as the Pages of package linux, it can take
// the kernel's own memory first and leave out classes of pages, such as those that are free
// or on disk; the manifest says how much of which.
//
// A node goes on while it is captured, and structures change between two reads. Nothing
// but the order of reading can be done about that from inside.
//
// # Not supported
//
// Machines that withhold /proc/kcore: a [kcore.Refusal] says by what, and what to change.
package capture
