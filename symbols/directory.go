package symbols

import (
	"context"
	"iter"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Directory is a directory with symbols of many kernels, which is only read. It may be
// of any of these kinds, or be several at once:
//
//	.build-id/ab/cdef.debug       as gdb has it, and /usr/lib/debug of distributions
//	BUILD-ID/debuginfo            as debuginfod's clients keep it
//	BUILD/vmlinux                 a mirror of Container-Optimized OS's bucket, by build
//	BUILD/lakitu/vmlinux          the same, by board
//	boot/vmlinux-RELEASE          where distributions put them, below /usr/lib/debug
//	lib/modules/RELEASE/vmlinux   and in /
//	*RELEASE*                     a file with the release in its name, such as a package
//	vmlinux                       a single kernel, or its BTF
//	*.json, *.json.xz ...         ISF, found by the banner in it; as Volatility has it, also
//	                              in a directory linux
func Directory(dir string) Source { return directory(dir) }

type directory string

func (d directory) String() string { return "directory " + string(d) }

func (d directory) Find(ctx context.Context, k *Kernel) iter.Seq2[*Candidate, error] {
	return func(yield func(*Candidate, error) bool) {
		l, err := d.list(ctx, k)
		if err != nil {
			yield(nil, err)
			return
		}
		offered := map[string]bool{}
		for _, name := range l.names {
			full := filepath.Join(string(d), filepath.FromSlash(name))
			info, err := os.Stat(full) // links lead anywhere: lib/modules/RELEASE/build is one
			if err != nil || !info.Mode().IsRegular() || offered[name] {
				continue
			}
			offered[name] = true
			if !offer(full, yield) {
				return
			}
		}
		d.offerISF(ctx, k, l.isf, yield)
	}
}

// A listing is what of a directory may be of a kernel.
type listing struct {
	names []string // by what the image says of its kernel: files that need not be there
	isf   []string // files that hold ISF, of any kernel
}

// list finds out what may be there, the likeliest first.
func (d directory) list(ctx context.Context, k *Kernel) (l listing, err error) {
	id, err := k.BuildID(ctx)
	if err != nil {
		return l, err
	}
	release, err := k.Release(ctx)
	if err != nil {
		return l, err
	}
	if id != "" {
		l.names = append(l.names, path.Join(".build-id", id[:2], id[2:]+".debug"), path.Join(id, "debuginfo"))
	}
	if release != "" && filepath.IsLocal(release) {
		l.names = append(l.names, "boot/vmlinux-"+release, path.Join("lib/modules", release, "vmlinux"),
			path.Join("lib/modules", release, "build/vmlinux"))
	}
	entries, err := readDir(string(d))
	if err != nil {
		return l, err
	}
	for _, name := range entries {
		if release != "" && strings.Contains(name, release) && !isOther(name) && !isISF(name) {
			l.names = append(l.names, name)
		}
	}
	l.names = append(l.names, "vmlinux")
	builds, err := cosBuilds(ctx, k, entries)
	for _, b := range builds {
		l.names = append(l.names, path.Join(b, "vmlinux"), path.Join(b, "lakitu", "vmlinux"))
	}
	l.isf = isfFiles(string(d), entries, release)
	return l, err
}

// isOther reports whether a file of a kernel, by its name, is none with symbols in a form
// that is known.
func isOther(name string) bool {
	return slices.ContainsFunc([]string{"vmlinuz", "System.map", "config-", "initrd", "initramfs"}, func(prefix string) bool {
		return strings.HasPrefix(name, prefix)
	})
}

// cosBuild is the name of a directory of a build of Container-Optimized OS.
var cosBuildName = regexp.MustCompile(`^\d+\.\d+\.\d+$`)

// cosBuilds returns the directories that are named after a build: first that of the build
// whose name is in memory. The others may fit, too: which is soon found out of a vmlinux.
func cosBuilds(ctx context.Context, k *Kernel, entries []string) ([]string, error) {
	var all []string
	for _, name := range entries {
		if cosBuildName.MatchString(name) {
			all = append(all, name)
		}
	}
	if len(all) == 0 {
		return nil, nil // and memory need not be searched
	}
	builds, err := k.COSBuilds(ctx)
	if err != nil {
		return nil, err
	}
	inMemory := func(name string) bool { return slices.Contains(builds, name) }
	return slices.Concat(slices.DeleteFunc(slices.Clone(all), func(n string) bool { return !inMemory(n) }),
		slices.DeleteFunc(all, inMemory)), nil
}

// readDir returns the names in a directory, in their order.
func readDir(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, reason(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, nil
}
