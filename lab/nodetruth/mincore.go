package main

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// mincore is mincore(2): of each page of m, whether it is in the page cache.
func mincore(m, vector []byte) error {
	_, _, errno := unix.Syscall(unix.SYS_MINCORE, uintptr(unsafe.Pointer(&m[0])), uintptr(len(m)), uintptr(unsafe.Pointer(&vector[0])))
	if errno != 0 {
		return errno
	}
	return nil
}
