//go:build unix

package keep

import (
	"io/fs"
	"os"
	"syscall"
)

// own returns an error unless a file is the user's own, and others have none of some rights.
func own(info fs.FileInfo, none fs.FileMode) error {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || int64(st.Uid) != int64(os.Geteuid()) || info.Mode().Perm()&none != 0 {
		return ErrShared
	}
	return nil
}
