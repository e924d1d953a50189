package symbols

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/nodelens/nodelens/btfconv"
	"github.com/nodelens/nodelens/internal/unpack"
	"github.com/nodelens/nodelens/isf"
)

// isBTF reports whether a file is raw BTF, little-endian, as /sys/kernel/btf/vmlinux is
// (Documentation/bpf/btf.rst, "BTF Header").
func isBTF(head []byte) bool { return bytes.HasPrefix(head, []byte("\x9f\xeb\x01")) }

// maxBTF is the most that BTF, or a list of symbols, may have unpacked, in bytes. Kernels
// have some 5 and 20 MiB.
const maxBTF = 256 << 20

// errNoList: BTF has types and no symbols.
var errNoList = errors.New("BTF without a list of symbols: put the kernel's System.map, or /proc/kallsyms as root reads it, " +
	"beside it as System.map-RELEASE, System.map or kallsyms")

// convertBTF makes symbols of BTF and the list of symbols beside it. The banner is that
// of a file called version, as /proc/version has it; without one the symbols have none.
func (s *search) convertBTF(ctx context.Context, c *Candidate) (*isf.File, error) {
	btf, err := unpackedAll(c.Content, c.Size)
	if err != nil {
		return nil, err
	}
	list, err := s.symbolList(ctx, filepath.Dir(c.Name))
	if err != nil {
		return nil, err
	}
	defer list.Close()
	opts := &btfconv.Options{}
	if version, err := os.ReadFile(filepath.Join(filepath.Dir(c.Name), "version")); err == nil && len(version) < maxBanner {
		opts.Banner = strings.TrimRight(string(version), "\n") + "\n"
	}
	return btfconv.Convert(bytes.NewReader(btf), io.LimitReader(list, maxBTF), opts)
}

// symbolList opens the list of symbols in a directory.
func (s *search) symbolList(ctx context.Context, dir string) (io.ReadCloser, error) {
	release := ""
	if s.kernel != nil {
		var err error
		if release, err = s.kernel.Release(ctx); err != nil {
			return nil, err
		}
	}
	names := []string{"System.map", "kallsyms"}
	if release != "" && filepath.IsLocal(release) {
		names = append([]string{"System.map-" + release}, names...)
	}
	for _, name := range names {
		f, err := os.Open(filepath.Join(dir, name))
		switch {
		case err == nil:
			return f, nil
		case !errors.Is(err, fs.ErrNotExist):
			return nil, err
		}
	}
	return nil, errNoList
}

// unpackedAll returns what a file holds.
func unpackedAll(r io.ReaderAt, size int64) ([]byte, error) {
	head, err := readHead(whole(r, size))
	if err != nil {
		return nil, err
	}
	z, err := unpack.NewReader(whole(r, size), unpack.Format(head))
	if err != nil {
		return nil, err
	}
	defer z.Close()
	b, err := io.ReadAll(io.LimitReader(z, maxBTF+1))
	if err == nil && len(b) > maxBTF {
		err = fmt.Errorf("%w: more than %d bytes", ErrFormat, maxBTF)
	}
	return b, err
}
