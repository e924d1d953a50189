package kcore

import (
	"path/filepath"
	"syscall"
)

// procSuperMagic is PROC_SUPER_MAGIC (include/uapi/linux/magic.h).
const procSuperMagic = 0x9fa0

// IsLive reports whether the named file is one of procfs, as /proc/kcore is, where sizes
// say nothing and nothing can be mapped; also where something else is mounted over it.
func IsLive(name string) bool {
	for _, n := range []string{name, filepath.Dir(name)} {
		var s syscall.Statfs_t
		if syscall.Statfs(n, &s) == nil && s.Type == procSuperMagic {
			return true
		}
	}
	return false
}
