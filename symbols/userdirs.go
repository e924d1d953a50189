package symbols

import (
	"os"
	"path/filepath"
)

// UserDirectories returns the directories of this machine where symbols of kernels may be
// already, for Options.Paths: the root directory, for what is built or installed below
// /lib/modules; /usr/lib/debug, where distributions put debug information; and the cache of
// debuginfod's clients, which is $DEBUGINFOD_CACHE_PATH, or else debuginfod_client in the
// user's directory for caches. Only those that exist are returned.
func UserDirectories() []string {
	dirs := []string{"/", "/usr/lib/debug"}
	if dir := os.Getenv("DEBUGINFOD_CACHE_PATH"); dir != "" {
		dirs = append(dirs, dir)
	} else if dir, err := os.UserCacheDir(); err == nil {
		dirs = append(dirs, filepath.Join(dir, "debuginfod_client"))
	}
	var found []string
	for _, dir := range dirs {
		if info, err := os.Stat(dir); err == nil && info.IsDir() {
			found = append(found, dir)
		}
	}
	return found
}
