package command

import (
	"os"
	"path/filepath"
)

// CacheDir returns where something is kept that makes the next run faster, such as the index of a compressed image: the directory of that name in the one that
// NODELENS_CACHE names, or else in nodelens of [os.UserCacheDir]. It is empty where there is none.
func CacheDir(name string) string {
	dir := os.Getenv("NODELENS_CACHE")
	if dir == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			return ""
		}
		dir = filepath.Join(cache, "nodelens")
	}
	return filepath.Join(dir, name)
}
