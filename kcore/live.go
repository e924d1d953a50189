package kcore

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"runtime"
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
// [vmem.Physical] above it does not keep what it has read. It is safe for concurrent use,
// which one open file of /proc/kcore is not: so it opens several.
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
	f, err := newLive(file, root, func() (fs.File, error) { return dir.Open(name) })
	if err != nil {
		return nil, fmt.Errorf("kcore: %s: %w", name, err)
	}
	return f, nil
}

// newLive takes over file; open opens it once more.
func newLive(file fs.File, root fs.FS, open func() (fs.File, error)) (*File, error) {
	r, ok := file.(io.ReaderAt)
	if !ok {
		return nil, cmp.Or(errors.New("the file system does not support reading at an offset"), file.Close())
	}
	var magic [len(elfMagic)]byte
	switch n, err := r.ReadAt(magic[:], 0); {
	case n == 0 && errors.Is(err, io.EOF):
		return nil, cmp.Or(error(&Refusal{Err: ErrMasked, Fix: fixMasked}), file.Close())
	case n == 0:
		return nil, cmp.Or(refuseOpen(root, err), file.Close())
	}
	h := newHandles(file, open)
	f, err := newFile(h, math.MaxInt64)
	if err != nil {
		return nil, cmp.Or(err, h.Close())
	}
	f.live, f.closer = true, h
	return f, nil
}

// handles are open files of /proc/kcore, each of which has one reader at a time. The
// kernel reads through one page for each open file (private_data of fs/proc/kcore.c), with
// no lock: two who read through one at the same time may get each other's bytes.
type handles struct {
	all  []fs.File
	idle chan io.ReaderAt
}

// maxHandles bounds how many read at the same time.
const maxHandles = 16

// newHandles opens as many more as can read at the same time, or as can be had.
func newHandles(first fs.File, open func() (fs.File, error)) *handles {
	h := &handles{all: []fs.File{first}, idle: make(chan io.ReaderAt, maxHandles)}
	for len(h.all) < min(maxHandles, runtime.GOMAXPROCS(0)) {
		file, err := open()
		if err != nil {
			break
		}
		h.all = append(h.all, file)
	}
	for _, file := range h.all {
		h.idle <- file.(io.ReaderAt)
	}
	return h
}

// ReadAt implements [io.ReaderAt].
func (h *handles) ReadAt(p []byte, off int64) (int, error) {
	r := <-h.idle
	defer func() { h.idle <- r }()
	return r.ReadAt(p, off)
}

func (h *handles) Close() error {
	var errs []error
	for _, file := range h.all {
		errs = append(errs, file.Close())
	}
	return errors.Join(errs...)
}
