package isf

import (
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

// WriteFile writes the database to the named file as [File.Encode] does, compressed by
// xz, gzip or zstd where the name ends in .xz, .gz or .zst. A file that could not be
// written whole is removed.
func (f *File) WriteFile(name string) error {
	file, err := os.Create(name)
	if err != nil {
		return fmt.Errorf("isf: %w", err)
	}
	err = f.encodeAs(file, name)
	if e := file.Close(); err == nil {
		err = e
	}
	if err != nil {
		_ = os.Remove(name) // the error that matters is the first
		return fmt.Errorf("isf: %s: %w", name, err)
	}
	return nil
}

func (f *File) encodeAs(w io.Writer, name string) error {
	var z io.WriteCloser
	var err error
	switch {
	case strings.HasSuffix(name, ".xz"):
		z, err = xz.WriterConfig{DictCap: 16 << 20}.NewWriter(w)
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
	if err := f.Encode(z); err != nil {
		return err
	}
	return z.Close()
}
