package dwarfconv

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strconv"
	"strings"

	"github.com/nodelens/nodelens/internal/rpm"
	"github.com/nodelens/nodelens/internal/unpack"
)

// An input is an ELF file to convert.
type input struct {
	io.ReaderAt
	size int64
	temp *os.File // that it was unpacked into; nil if it did not have to be
}

// openInput finds the ELF file in r, a file of size bytes: r itself, r unpacked,
// or the vmlinux in a package of a distribution.
func (c *conversion) openInput(r io.ReaderAt, size int64) (*input, error) {
	head := make([]byte, headSize)
	n, err := r.ReadAt(head, 0)
	if n < len(elf.ELFMAG) {
		if err == nil || errors.Is(err, io.EOF) {
			err = ErrFormat
		}
		return nil, err
	}
	head = head[:n]
	format := unpack.Format(head)
	switch {
	case bytes.HasPrefix(head, []byte(elf.ELFMAG)):
		return &input{ReaderAt: r, size: size}, nil
	case isBootImage(head):
		return nil, ErrBootImage
	case bytes.HasPrefix(head, []byte(arMagic)):
		return c.unpackPackage(r, size)
	case rpm.Detect(head):
		return c.unpackRPM(r, size)
	case format == "":
		return nil, ErrFormat
	}
	return c.unpackFile(r, size, format)
}

// close removes what openInput made.
func (in *input) close() {
	if in.temp != nil {
		_ = in.temp.Close() // what matters is gone either way
		_ = os.Remove(in.temp.Name())
	}
}

// headSize covers the magic number of a bzImage.
const headSize = 0x208

// isBootImage reports whether a file starts as an x86 bzImage does
// (Documentation/arch/x86/boot.rst, "The Real-Mode Kernel Header"), as an arm64
// Image (Documentation/arch/arm64/booting.rst, "Call the kernel image"), or as the
// EFI boot image that unpacks one (drivers/firmware/efi/libstub/zboot-header.S).
func isBootImage(head []byte) bool {
	has := func(off int, magic string) bool {
		return len(head) >= off+len(magic) && string(head[off:off+len(magic)]) == magic
	}
	return has(0x202, "HdrS") || has(56, "ARM\x64") || has(0, "MZ") && has(4, "zimg")
}

// unpackFile unpacks a file that is compressed as a whole.
func (c *conversion) unpackFile(r io.ReaderAt, size int64, format string) (*input, error) {
	z, err := unpack.NewReader(c.counted(r, 0, size, size), format)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", format, err)
	}
	defer z.Close()
	b := bufio.NewReaderSize(z, 1<<16)
	head, err := b.Peek(headSize)
	switch {
	case isBootImage(head):
		return nil, ErrBootImage
	case !bytes.HasPrefix(head, []byte(elf.ELFMAG)):
		if err == nil || errors.Is(err, io.EOF) {
			err = ErrFormat
		}
		return nil, fmt.Errorf("%s: %w", format, err)
	}
	in, err := c.spill(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", format, err)
	}
	return in, nil
}

// A Debian package is an ar archive (deb(5)): a magic number, and members with a
// header of fixed size each, at even offsets.
const (
	arMagic      = "!<arch>\n"
	arHeaderSize = 60
	arNameSize   = 16
	arSizeOff    = 48
	arSizeEnd    = 58
)

var (
	errPackage   = errors.New("malformed Debian package")
	errNoVmlinux = errors.New("no vmlinux in the package: give the kernel's -dbg or -debuginfo package, " +
		"such as linux-image-VERSION-amd64-dbg or kernel-debuginfo-VERSION")
)

// unpackPackage unpacks the vmlinux in a Debian package.
func (c *conversion) unpackPackage(r io.ReaderAt, size int64) (*input, error) {
	h := make([]byte, arHeaderSize)
	for off := int64(len(arMagic)); off < size; {
		if _, err := r.ReadAt(h, off); err != nil {
			return nil, fmt.Errorf("%w: %w", errPackage, err)
		}
		n, err := strconv.ParseInt(strings.TrimSpace(string(h[arSizeOff:arSizeEnd])), 10, 64)
		off += arHeaderSize
		if err != nil || n < 0 || n > size-off {
			return nil, errPackage
		}
		if bytes.HasPrefix(h[:arNameSize], []byte("data.tar")) {
			return c.unpackData(r, off, n, size)
		}
		off += n + n&1
	}
	return nil, errPackage
}

// unpackData unpacks the vmlinux in a package's files, n bytes at off.
func (c *conversion) unpackData(r io.ReaderAt, off, n, size int64) (*input, error) {
	b := bufio.NewReaderSize(c.counted(r, off, n, size), 1<<16)
	head, _ := b.Peek(unpack.HeadSize)
	z, err := unpack.NewReader(b, unpack.Format(head))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errPackage, err)
	}
	defer z.Close()
	files := tar.NewReader(io.LimitReader(z, maxUnpacked))
	for {
		h, err := files.Next()
		switch {
		case err == io.EOF:
			return nil, errNoVmlinux
		case err != nil:
			return nil, fmt.Errorf("%w: %w", errPackage, err)
		case h.Typeflag == tar.TypeReg && isVmlinux(h.Name):
			return c.spill(files)
		}
	}
}

// isVmlinux reports whether a file in a package is the kernel: Debian has it as
// usr/lib/debug/boot/vmlinux-VERSION or usr/lib/debug/lib/modules/VERSION/vmlinux.
func isVmlinux(name string) bool {
	base := path.Base(name)
	return base == "vmlinux" || strings.HasPrefix(base, "vmlinux-")
}

// maxUnpacked bounds the size that a file may have unpacked. The largest kernels
// have a gigabyte with debug information.
const maxUnpacked = 8 << 30

// spill copies r into a temporary file. What is the size of a kernel is not held
// in memory, and debug information is read back and forth.
func (c *conversion) spill(r io.Reader) (*input, error) {
	f, err := os.CreateTemp(c.opts.TempDir, "dwarfconv-")
	if err != nil {
		return nil, err
	}
	in := &input{ReaderAt: f, temp: f}
	in.size, err = io.Copy(f, io.LimitReader(r, maxUnpacked+1))
	if err == nil && in.size > maxUnpacked {
		err = errLimit
	}
	if err != nil {
		in.close()
		return nil, err
	}
	return in, nil
}

// counted returns the n bytes of r at off as a reader that tells the progress and
// ends when the conversion does.
func (c *conversion) counted(r io.ReaderAt, off, n, total int64) io.Reader {
	return &counter{r: io.NewSectionReader(r, off, n), c: c, total: total}
}

type counter struct {
	r           io.Reader
	c           *conversion
	done, total int64
}

func (r *counter) Read(b []byte) (int, error) {
	if err := context.Cause(r.c.ctx); err != nil {
		return 0, err
	}
	n, err := r.r.Read(b)
	r.done += int64(n)
	r.c.told.tell("unpack", r.done, r.total)
	return n, err
}
