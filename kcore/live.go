package kcore

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
)

// kcoreName is the running machine's memory in its root directory.
const kcoreName = "proc/kcore"

// OpenLive opens the memory of the running machine: proc/kcore in root, its root
// directory, where nil means "/". A container that has the node's /proc mounted
// elsewhere gives the directory above it. The caller must Close the File.
//
// The memory changes while it is read, and two reads of one address may differ. What
// can't be read, because the kernel holds no page there, unmapped it or knows it to be
// broken, the kernel gives as zeros and not as an error (read_kcore_iter of
// fs/proc/kcore.c): zeros read live prove nothing. The File is [vmem.Live], so that a
// [vmem.Physical] above it does not keep what it has read.
//
// Only kernels since 4.11 say in /proc/kcore where its segments are in physical memory,
// and only those since 4.19 have VMCOREINFO there. Errors are *Refusal where the kernel
// or a container runtime withholds the memory.
func OpenLive(root fs.FS) (*File, error) {
	if root == nil {
		root = os.DirFS("/")
	}
	return openLive(root, kcoreName, root)
}

// openLive opens the file called name in dir. What else it needs to know of the machine
// it reads in root.
func openLive(dir fs.FS, name string, root fs.FS) (*File, error) {
	file, err := dir.Open(name)
	if err != nil {
		return nil, fmt.Errorf("kcore: %w", refuseOpen(root, err))
	}
	f, err := newLive(file, root)
	if err != nil {
		return nil, cmp.Or(fmt.Errorf("kcore: %s: %w", name, err), file.Close())
	}
	f.closer = file
	return f, nil
}

func newLive(file fs.File, root fs.FS) (*File, error) {
	r, ok := file.(io.ReaderAt)
	if !ok {
		return nil, errors.New("the file system does not support reading at an offset")
	}
	var magic [len(elfMagic)]byte
	switch n, err := r.ReadAt(magic[:], 0); {
	case n == 0 && errors.Is(err, io.EOF):
		return nil, &Refusal{Err: ErrMasked, Fix: fixMasked}
	case n == 0:
		return nil, refuseOpen(root, err)
	}
	f, err := NewFile(r, math.MaxInt64)
	if err == nil {
		f.live = true
	}
	return f, err
}
