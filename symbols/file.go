package symbols

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
)

// File is the one file of that name: ISF, or what a converter knows.
func File(name string) Source { return file(name) }

type file string

func (f file) String() string { return "file " + string(f) }

func (f file) Find(ctx context.Context, _ *Kernel) iter.Seq2[*Candidate, error] {
	return func(yield func(*Candidate, error) bool) {
		if err := ctx.Err(); err != nil {
			yield(nil, err)
			return
		}
		offer(string(f), yield)
	}
}

// offer opens the named file, yields it, and closes it.
func offer(name string, yield func(*Candidate, error) bool) (more bool) {
	c := &Candidate{Name: name}
	f, info, err := openRegular(name)
	if err != nil {
		return yield(c, err)
	}
	defer f.Close()
	c.Content, c.Size = f, info.Size()
	return yield(c, nil)
}

// openRegular opens a file that has a beginning and an end. To open a pipe would wait for
// somebody who writes to it.
func openRegular(name string) (*os.File, fs.FileInfo, error) {
	info, err := os.Stat(name)
	switch {
	case err != nil:
		return nil, nil, reason(err)
	case info.IsDir():
		return nil, nil, errDirectory
	case !info.Mode().IsRegular():
		return nil, nil, errIrregular
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, nil, reason(err)
	}
	return f, info, nil
}

var errDirectory = fmt.Errorf("%w: it is a directory: name the file in it", errIrregular)

var errIrregular = errors.New("not a regular file")

// reason returns what is wrong with a file whose name is told elsewhere.
func reason(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	return err
}

// Path is what that name is the name of: a Directory, or a File.
func Path(name string) Source {
	if info, err := os.Stat(name); err == nil && info.IsDir() {
		return Directory(name)
	}
	return File(name)
}

// base returns the last part of a path, or of a URL.
func base(name string) string { return filepath.Base(name) }

// whole returns a reader of all of r.
func whole(r io.ReaderAt, size int64) io.Reader { return io.NewSectionReader(r, 0, size) }
