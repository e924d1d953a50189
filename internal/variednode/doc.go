// Package variednode makes images of many nodes out of the one that comes with the repository: with other host names, another name of a process,
// with damage and with names that an attacker would choose.
//
// What is changed is found by its bytes alone, not by this module's knowledge of kernels: what reads the images is tested with them. The base is a frame of LZ4 with
// independent blocks; an image is a copy of it in which the blocks that differ are stored uncompressed, so that it takes no more of a disk than the base does, and
// making one decompresses next to nothing.
package variednode
