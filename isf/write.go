package isf

import (
	"cmp"
	"compress/gzip"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"

	"github.com/klauspost/compress/zstd"
)

// WriteFile writes the database to the named file as [File.Encode] does, compressed by
// xz, gzip or zstd where the name ends in .xz, .gz or .zst. What is there under that
// name stays until the new file is whole, and if that could not be written. A pipe or a
// device is written to as it is.
func (f *File) WriteFile(name string) error {
	if err := f.writeFile(name); err != nil {
		return fmt.Errorf("isf: %s: %w", name, err)
	}
	return nil
}

func (f *File) writeFile(name string) error {
	mode := os.FileMode(0o666)
	target := name
	if info, err := os.Stat(name); err == nil {
		if !info.Mode().IsRegular() {
			return f.writeTo(name, name, os.O_WRONLY, 0)
		}
		mode = info.Mode().Perm()
		if target, err = filepath.EvalSymlinks(name); err != nil {
			return err
		}
	}
	part := fmt.Sprintf("%s.%08x.part", target, rand.Uint32())
	err := f.writeTo(part, name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err == nil {
		err = os.Rename(part, target)
	}
	if err != nil {
		_ = os.Remove(part) // the error that matters is the first
	}
	return err
}

// writeTo writes the file at path, compressed as name says.
func (f *File) writeTo(path, name string, flag int, mode os.FileMode) error {
	file, err := os.OpenFile(path, flag, mode)
	if err != nil {
		return err
	}
	err = f.encodeAs(file, name)
	if e := file.Close(); err == nil {
		err = e
	}
	return err
}

func (f *File) encodeAs(w io.Writer, name string) error {
	var z io.WriteCloser
	var err error
	switch {
	case strings.HasSuffix(name, ".xz"):
		z = newXZWriter(w)
	case strings.HasSuffix(name, ".gz"):
		z = gzip.NewWriter(w)
	case strings.HasSuffix(name, ".zst"):
		z, err = zstd.NewWriter(w, zstd.WithEncoderLevel(zstd.SpeedBetterCompression))
	default:
		return f.Encode(w)
	}
	if err != nil {
		return err
	}
	err = f.Encode(z)
	return cmp.Or(err, z.Close())
}
