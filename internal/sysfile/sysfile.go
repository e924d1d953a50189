// Package sysfile reads the small files with which Linux describes itself.
package sysfile

import (
	"io/fs"
	"strings"
)

// Line returns a small file without the white space around it, and nothing if it
// can't be read.
func Line(root fs.FS, name string) string {
	b, err := fs.ReadFile(root, name)
	if err != nil {
		return ""
	}
	return strings.Trim(string(b), " \t\n\x00")
}
