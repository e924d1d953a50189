package kcore

import (
	"path/filepath"
	"syscall"
)

// procSuperMagic is PROC_SUPER_MAGIC (include/uapi/linux/magic.h).
const procSuperMagic = 0x9fa0

// IsLive reports whether the named file is one of procfs, as /proc/kcore is, where sizes
// say nothing and nothing can be mapped; or is called kcore there, whatever is mounted
// over it.
func IsLive(name string) bool {
	return onProcFS(name) || filepath.Base(name) == "kcore" && onProcFS(filepath.Dir(name))
}

// onProcFS reports whether the file system that has a file is procfs. A link in
// /proc/PID/fd leads out of it.
func onProcFS(name string) bool {
	var s syscall.Statfs_t
	return syscall.Statfs(name, &s) == nil && s.Type == procSuperMagic
}
