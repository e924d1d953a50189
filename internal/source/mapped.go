package source

import (
	"cmp"
	"errors"
	"os"
	"runtime"
	"runtime/debug"

	"golang.org/x/exp/mmap"
)

// A mapped is a file in the memory of the program. What of it can't be had, because the
// file has shrunk or its disk is broken, faults as it is touched, which would end the
// program: so nobody gets a slice of it, and ReadAt is the one place that touches it.
type mapped struct {
	m *mmap.ReaderAt
	f *os.File // the same file
}

// mapFile maps a file that is open. It fails where the file system can't do that, or the
// file is larger than the address space.
func mapFile(f *os.File) (*mapped, error) {
	m, err := mmap.Open(f.Name())
	if err != nil {
		return nil, err
	}
	return &mapped{m, f}, nil
}

// ReadAt implements [io.ReaderAt]. Where the memory faults it reads the file, which tells
// how much of it is there, and why there is not more.
func (r *mapped) ReadAt(p []byte, off int64) (n int, err error) {
	n, faulted, err := r.copy(p, off)
	if faulted {
		return r.f.ReadAt(p, off)
	}
	return n, err
}

// copy reads the memory, and reports whether that faulted.
func (r *mapped) copy(p []byte, off int64) (n int, faulted bool, err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if e := recover(); e != nil {
			if !isFault(e) {
				panic(e)
			}
			faulted = true
		}
	}()
	n, err = r.m.ReadAt(p, off)
	return n, false, err
}

// isFault reports whether a panic is of memory that could not be touched, as
// [debug.SetPanicOnFault] describes it.
func isFault(e any) bool {
	err, ok := e.(runtime.Error)
	if !ok {
		return false
	}
	_, ok = errors.AsType[interface {
		error
		Addr() uintptr
	}](err)
	return ok
}

func (r *mapped) Close() error { return cmp.Or(r.m.Close(), r.f.Close()) }
