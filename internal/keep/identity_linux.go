package keep

import (
	"fmt"
	"io/fs"
	"syscall"
)

// systemIdentity returns the number of a file, and when anything of it was changed last.
func systemIdentity(info fs.FileInfo) string {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return ""
	}
	return fmt.Sprintf("%d %d %d.%09d", st.Dev, st.Ino, st.Ctim.Sec, st.Ctim.Nsec)
}
