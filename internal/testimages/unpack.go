package testimages

import (
	"archive/tar"
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"github.com/ulikunitz/xz"
)

// compressed is the name extension of what has to be unpacked, compressedLZ4 and compressedXZ
// those of the bundled image and its truth.
const (
	compressed    = ".zst"
	compressedLZ4 = ".lz4"
	compressedXZ  = ".xz"
)

// unpacking serialises the work of one process: its parallel tests want the same
// files. Processes may do the same work twice, but see each only the whole of it.
var unpacking sync.Mutex

// unpacked returns where the unpacked form of the file at path is. Where it isn't
// yet, write makes it out of the decompressed bytes.
func unpacked(path string, write func(dst string, r io.Reader) error) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	cache := filepath.Join(os.TempDir(), fmt.Sprintf("nodelens-testimages-%d", os.Getuid()))
	dst := cachedAs(cache, info)

	unpacking.Lock()
	defer unpacking.Unlock()
	if exists(dst) {
		return dst, nil
	}
	if err := os.MkdirAll(cache, 0o700); err != nil {
		return "", err
	}
	partial, err := os.MkdirTemp(cache, "partial-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(partial)
	tmp := filepath.Join(partial, filepath.Base(dst))
	if err := decompress(path, tmp, write); err != nil {
		return "", fmt.Errorf("testimages: %s: %w", path, err)
	}
	// Where another process was faster a directory can't be replaced, and need
	// not be.
	if err := os.Rename(tmp, dst); err != nil && !exists(dst) {
		return "", err
	}
	return dst, nil
}

// cachedAs returns where the unpacked form of the file that info describes is in
// the cache: files are told apart by name, size and modification time.
func cachedAs(cache string, info os.FileInfo) string {
	name := info.Name()
	for _, end := range []string{compressed, compressedLZ4, compressedXZ} {
		name = strings.TrimSuffix(name, end)
	}
	return filepath.Join(cache, fmt.Sprintf("%x-%x-%s", info.Size(), info.ModTime().UnixNano(), name))
}

func decompress(path, dst string, write func(dst string, r io.Reader) error) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	switch filepath.Ext(path) {
	case compressedXZ:
		r, err := xz.NewReader(bufio.NewReader(f))
		if err != nil {
			return err
		}
		return write(dst, r)
	case compressedLZ4:
		return write(dst, lz4.NewReader(f))
	}
	r, err := zstd.NewReader(f)
	if err != nil {
		return err
	}
	defer r.Close()
	return write(dst, r)
}

func writeFile(dst string, r io.Reader) error {
	f, err := os.Create(dst)
	if err != nil {
		return err
	}
	return copyTo(f, r)
}

func copyTo(f *os.File, r io.Reader) error {
	_, err := io.Copy(f, r)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

// writeTree extracts a tar archive of directories and regular files.
func writeTree(dst string, r io.Reader) error {
	if err := os.Mkdir(dst, 0o700); err != nil {
		return err
	}
	root, err := os.OpenRoot(dst)
	if err != nil {
		return err
	}
	defer root.Close()
	for archive := tar.NewReader(r); ; {
		h, err := archive.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if err := extract(root, h, archive); err != nil {
			return err
		}
	}
}

func extract(root *os.Root, h *tar.Header, r io.Reader) error {
	name := filepath.FromSlash(strings.TrimSuffix(h.Name, "/"))
	switch h.Typeflag {
	case tar.TypeDir:
		return root.MkdirAll(name, 0o700)
	case tar.TypeReg:
		f, err := root.Create(name)
		if err != nil {
			return err
		}
		return copyTo(f, r)
	}
	return fmt.Errorf("%s: neither a file nor a directory (type %q)", h.Name, h.Typeflag)
}
