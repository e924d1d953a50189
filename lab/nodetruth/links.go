package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// linkLine returns the target of a link and a newline; nothing where there is none.
func linkLine(name string) []byte {
	target, err := os.Readlink(name)
	if err != nil {
		return nil
	}
	return []byte(target + "\n")
}

// namespaces lists "TYPE TYPE:[INUM]" lines, sorted.
func namespaces(dir string) []byte {
	entries, _ := os.ReadDir(dir) // sorted by name
	var out []byte
	for _, e := range entries {
		target, _ := os.Readlink(filepath.Join(dir, e.Name()))
		out = fmt.Appendln(out, e.Name(), target)
	}
	return out
}

// descriptors lists the links of dir twice: as "FD TARGET" lines, with a newline in a target written \012, sorted as text; and exactly, each
// "FD TARGET" ended by a NUL, by number. The target is empty where the kernel cannot tell it, for a path longer than a page.
func descriptors(dir string) (lines, exact []byte) {
	fds, _ := numbers(dir)
	var sorted []string
	for _, fd := range fds {
		target, err := os.Readlink(filepath.Join(dir, strconv.Itoa(fd)))
		if os.IsNotExist(err) {
			continue // this program's own listing
		}
		entry := strconv.Itoa(fd) + " " + target
		exact = append(append(exact, entry...), 0)
		sorted = append(sorted, strings.ReplaceAll(entry, "\n", `\012`)+"\n")
	}
	slices.Sort(sorted)
	return []byte(strings.Join(sorted, "")), exact
}
