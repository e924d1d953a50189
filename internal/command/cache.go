package command

import (
	"os"
	"path/filepath"
)

// IndexDir returns where indexes of compressed images are kept: index in the directory that
// NODELENS_CACHE names, or else in nodelens of [os.UserCacheDir]. It is empty where there is
// none.
func IndexDir() string {
	dir := os.Getenv("NODELENS_CACHE")
	if dir == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			return ""
		}
		dir = filepath.Join(cache, "nodelens")
	}
	return filepath.Join(dir, "index")
}
