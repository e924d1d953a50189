package ktext_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/ulikunitz/xz"

	"github.com/nodelens/nodelens/image"
	"github.com/nodelens/nodelens/internal/testimages"
	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/linux/ktext"
	"github.com/nodelens/nodelens/linux/module"
	"github.com/nodelens/nodelens/vmem"
)

// A node is an image, with the files that its kernel and its modules were started from.
type node struct {
	name    string
	mem     vmem.Memory
	symbols image.SymbolSource
	build   *ktext.Build
	modules map[string]string // by name, where the file of a module is
}

var (
	known     []*node
	nodesLock sync.Mutex
)

// nodes returns the images of which there is a vmlinux in the directories that NODELENS_KERNELS lists
// (VERSION/usr/lib/debug/boot/vmlinux-*, as packages of Debian unpack, or VERSION/vmlinux).
func nodes(t testing.TB) (list []*node) {
	t.Helper()
	if os.Getenv("NODELENS_KERNELS") == "" {
		t.Skip("NODELENS_KERNELS is not set: there is no vmlinux to compare with")
	}
	nodesLock.Lock()
	defer nodesLock.Unlock()
	if known != nil {
		return known
	}
	for _, img := range testimages.All(t) {
		f, err := image.Open(t.Context(), img.Path, nil)
		if err != nil {
			t.Fatal(err)
		}
		k, err := image.OpenKernel(t.Context(), f, nil) // it stays open for other tests
		if err != nil {
			t.Logf("%s: %v", img.Name, err)
			continue
		}
		dir, b := vmlinux(t, k.Kernel)
		if b == nil {
			t.Logf("%s: there is no vmlinux of %s", img.Name, k.Info().Release)
			continue
		}
		list = append(list, &node{name: img.Name, mem: f, symbols: given{k.Symbols()}, build: b, modules: modules(dir)})
	}
	if len(list) == 0 {
		t.Skip("there is no image with its vmlinux")
	}
	known = list
	return list
}

// tampered reports whether stand-ins of rootkits are in the kernel.
func (n *node) tampered() bool { return strings.Contains(n.name, "-root") }

// clean returns the first node in which nothing was changed.
func clean(t testing.TB) *node {
	t.Helper()
	list := nodes(t)
	i := slices.IndexFunc(list, func(n *node) bool { return !n.tampered() })
	if i < 0 {
		t.Skip("there is no node in which nothing was changed")
	}
	return list[i]
}

// given are symbols that were found already.
type given struct{ file *isf.File }

func (g given) Symbols(context.Context, vmem.Memory) (*isf.File, string, error) {
	return g.file, "given", nil
}

var (
	builds     = map[string]*ktext.Build{} // by file
	buildsLock sync.Mutex
)

// vmlinux returns the vmlinux of a kernel, and the directory of its package, nil where there is none.
func vmlinux(t testing.TB, k *linux.Kernel) (dir string, b *ktext.Build) {
	t.Helper()
	buildsLock.Lock()
	defer buildsLock.Unlock()
	for _, top := range filepath.SplitList(os.Getenv("NODELENS_KERNELS")) {
		for _, pattern := range []string{"*/usr/lib/debug/boot/vmlinux-" + k.Info().Release, "*/vmlinux"} {
			found, _ := filepath.Glob(filepath.Join(top, pattern))
			for _, file := range found {
				if builds[file] == nil {
					builds[file] = build(t, file)
				}
				if builds[file].Banner() == k.Info().Banner {
					rest, _ := filepath.Rel(top, file)
					first, _, _ := strings.Cut(filepath.ToSlash(rest), "/")
					return filepath.Join(top, first), builds[file]
				}
			}
		}
	}
	return "", nil
}

func build(t testing.TB, file string) *ktext.Build {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b, err := ktext.NewBuild(f)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// modules returns the files of modules below a directory, by the modules' names.
func modules(dir string) map[string]string {
	files := map[string]string{}
	_ = filepath.WalkDir(dir, func(path string, _ fs.DirEntry, _ error) error {
		if name, rest, ok := strings.Cut(filepath.Base(path), ".ko"); ok && (rest == "" || rest == ".xz") {
			files[strings.ReplaceAll(name, "-", "_")] = path
		}
		return nil
	})
	return files
}

var errNoFile = errors.New("there is no file of the module")

// file returns the file of a module.
func (n *node) file(m *module.Module) (io.ReaderAt, error) {
	path, ok := n.modules[m.Name]
	if !ok {
		return nil, errNoFile
	}
	b, err := os.ReadFile(path)
	if err != nil || !strings.HasSuffix(path, ".xz") {
		return bytes.NewReader(b), err
	}
	r, err := xz.NewReader(bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	b, err = io.ReadAll(r)
	return bytes.NewReader(b), err
}

// open opens the kernel in a memory.
func (n *node) open(t testing.TB, mem vmem.Memory) *linux.Kernel {
	t.Helper()
	k, err := image.OpenKernel(t.Context(), mem, &image.Options{Symbols: n.symbols})
	if err != nil {
		t.Fatal(err)
	}
	return k.Kernel
}

// An overlay is memory of which some bytes are others.
type overlay struct {
	vmem.Memory
	bytes map[int64]byte
}

// Unwrap gives what else the memory knows of itself.
func (o *overlay) Unwrap() vmem.Memory { return o.Memory }

func (o *overlay) ReadAt(p []byte, off int64) (int, error) {
	n, err := o.Memory.ReadAt(p, off)
	for at, b := range o.bytes {
		if at >= off && at < off+int64(n) {
			p[at-off] = b
		}
	}
	return n, err
}

// write changes bytes at an address of a kernel.
func (o *overlay) write(t testing.TB, k *linux.Kernel, at vmem.VirtAddr, b []byte) {
	t.Helper()
	for i, x := range b {
		va := at + vmem.VirtAddr(i)
		m, err := k.Space().Translate(va)
		if err != nil {
			t.Fatal(err)
		}
		o.bytes[int64(m.At(va))] = x
	}
}
