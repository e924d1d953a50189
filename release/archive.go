package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"cmp"
	"compress/gzip"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"time"

	"github.com/nodelens/nodelens/internal/command"
)

// made is the time of all files in archives: the first that a zip can have.
var made = time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)

// An entry is a file of an archive: a file by its path, or its content.
type entry struct {
	name    string
	path    string
	content []byte
	program bool
}

func (e *entry) mode() fs.FileMode {
	if e.program {
		return 0o755
	}
	return 0o644
}

// read returns the content of the entry.
func (e *entry) read() ([]byte, error) {
	if e.path == "" {
		return e.content, nil
	}
	return os.ReadFile(e.path)
}

// writeArchive writes an archive with one directory, called as the archive is without its extension: a zip, or a tar in gzip. Its bytes
// depend on nothing but the names, the contents and the Go that compresses them.
func writeArchive(name string, zipped bool, entries []entry) error {
	entries = slices.SortedFunc(slices.Values(entries), func(a, b entry) int { return cmp.Compare(a.name, b.name) })
	if zipped {
		return command.Create(name+".zip", func(w io.Writer) error { return writeZip(w, filepath.Base(name), entries) })
	}
	return command.Create(name+".tar.gz", func(w io.Writer) error { return writeTar(w, filepath.Base(name), entries) })
}

func writeTar(w io.Writer, dir string, entries []entry) error {
	z := gzip.NewWriter(w)
	t := tar.NewWriter(z)
	if err := t.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: dir + "/", Mode: 0o755, ModTime: made, Format: tar.FormatUSTAR}); err != nil {
		return err
	}
	for _, e := range entries {
		b, err := e.read()
		if err != nil {
			return err
		}
		h := tar.Header{Typeflag: tar.TypeReg, Name: path.Join(dir, e.name), Mode: int64(e.mode()), Size: int64(len(b)), ModTime: made, Format: tar.FormatUSTAR}
		if err := t.WriteHeader(&h); err != nil {
			return err
		}
		if _, err := t.Write(b); err != nil {
			return err
		}
	}
	return errors.Join(t.Close(), z.Close())
}

func writeZip(w io.Writer, dir string, entries []entry) error {
	z := zip.NewWriter(w)
	for _, e := range entries {
		b, err := e.read()
		if err != nil {
			return err
		}
		h := zip.FileHeader{Name: path.Join(dir, e.name), Method: zip.Deflate, Modified: made}
		h.SetMode(e.mode())
		f, err := z.CreateHeader(&h)
		if err != nil {
			return err
		}
		if _, err := io.Copy(f, bytes.NewReader(b)); err != nil {
			return err
		}
	}
	return z.Close()
}
