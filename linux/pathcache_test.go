package linux

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/vmem"
)

// chain makes n directories, each in the one before and the first in the root, and returns
// where each is.
func (k *testKernel) chain(n int, name func(int) string) []uint64 {
	const from, step = 0x10000, 0x140
	k.mem.Zero(0x200000+from, n*step)
	dirs, parent := make([]uint64, n), uint64(rootAt)
	for i := range dirs {
		dirs[i] = from + uint64(i)*step
		k.dentry(dirs[i], parent, name(i))
		k.set(dirs[i], "dentry", "d_sb", at(superAt))
		k.set(dirs[i], "dentry", "d_hash.pprev", 1)
		parent = dirs[i]
	}
	return dirs
}

// pathOfDentry is the path of a file whose dentry is at off.
func (k *testKernel) pathOfDentry(off uint64) (string, error) {
	return k.dPath(path{Mnt: vmem.VirtAddr(k.offset(uint64(base)+vmountAt, "mount", "mnt")), Dentry: base + vmem.VirtAddr(off)})
}

// Paths in a deep directory are right in whatever order they are asked for, and one Gap each
// says which are too long, though directories on the way are known already.
func TestDeepPaths(t *testing.T) {
	const deep = 1700 // with names of 5 bytes, longer than a path may be
	for _, size := range []int{1, 5} {
		name := func(i int) string { return fmt.Sprintf("%0*d", size, i%10) }
		var want []string
		for i := range deep {
			want = append(want, "/"+name(i))
			if i > 0 {
				want[i] = want[i-1] + want[i]
			}
		}
		for _, order := range []int{7, deep - 7} { // both have no factor in common with deep
			k := newFiles(t, openBundled(t).symbols)
			dirs := k.chain(deep, name)
			k.reopen()
			for n := range deep {
				i := n * order % deep
				got, err := k.pathOfDentry(dirs[i])
				tooLong := len(want[i]) >= k.limits.PathBytes
				if tooLong != errors.Is(err, kstruct.ErrTooLong) || !tooLong && (got != want[i] || err != nil) {
					t.Fatalf("path %d of %d bytes: %.50s of %d bytes, %v", i, len(want[i]), got, len(got), err)
				}
			}
			if n := len(k.paths.known); n > 2*deep {
				t.Errorf("%d paths are kept of %d", n, deep)
			}
		}
	}
}

// What is kept of paths is bounded, and a loop is found once for all that is in it.
func TestPathCacheBounded(t *testing.T) {
	var c pathCache
	for i := range 3000 {
		c.put(pathKey{filePath, 0, vmem.VirtAddr(i)}, knownPath{text: strings.Repeat("x", 8000)})
		if c.bytes > maxKnownBytes || len(c.known) > maxKnownPaths {
			t.Fatalf("%d paths of %d bytes are kept", len(c.known), c.bytes)
		}
	}
	if _, ok := c.get(pathKey{filePath, 0, 2999}); !ok {
		t.Error("the last path is not kept")
	}
	k := newFiles(t, openBundled(t).symbols)
	dirs := k.chain(500, func(int) string { return "d" })
	k.dentry(dirs[0], dirs[499], "d")
	k.reopen()
	for _, dir := range dirs {
		if _, err := k.pathOfDentry(dir); !errors.Is(err, kstruct.ErrTooLong) {
			t.Fatalf("a loop: %v", err)
		}
	}
}
