package filesink

import (
	"archive/tar"
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/nodelens/nodelens/internal/text"
	"github.com/nodelens/nodelens/linux/pagecache"
)

// A Sink is where files go.
type Sink interface {
	// Put takes a file. The error is that of the sink itself, which ends the work.
	Put(w *Work, f *pagecache.File) error
	Close() error
}

// A Work is one run over files.
type Work struct {
	Context context.Context //nolint:containedctx // it lives as long as the run; its end ends the work
	Files   *pagecache.FS
	Secrets *Secrets  // which files hold secrets; nil: none is left out
	Tell    io.Writer // is told what is not written, or not as it is
	Lost    bool      // something was, or is not whole
}

// Say tells what is not written, or not as it is.
func (w *Work) Say(path, what string) {
	w.Lost = true
	fmt.Fprintf(w.Tell, "%s: %s\n", text.Line(path), text.Line(what))
}

// All takes what is below a path.
func (w *Work) All(path string, out Sink) error {
	for f, err := range w.Files.Walk(w.Context, path) {
		switch {
		case w.Context.Err() != nil:
			return w.Context.Err()
		case f == nil && err != nil:
			w.Say(path, err.Error())
		case f.Path == "" || f.Path == "." || f.Path == "/":
		default:
			if err := out.Put(w, f); err != nil {
				return err
			}
		}
	}
	return w.Context.Err()
}

// clean is the path of a file without a slash or dots at its beginning.
func clean(path string) string { return strings.TrimPrefix(filepath.Clean("/"+path), "/") }

// A part is a piece of a file, or the whole.
type part struct {
	name string
	r    io.Reader
	size int64
}

// parts returns what there is of a regular file: one part with its own name if it is whole. What is not, it tells.
func parts(w *Work, f *pagecache.File) []part {
	if w.Secrets.Hides(w.Context, f) {
		w.Say(f.Path, fmt.Sprintf("a secret of %d bytes, left out", f.Size))
		return nil
	}
	c, err := f.Content(w.Context)
	if err != nil {
		w.Say(f.Path, err.Error())
		return nil
	}
	if c.Whole() && !w.hollow(f, c) {
		return []part{{clean(f.Path), w.reader(c, 0, c.Size), c.Size}}
	}
	var all []part
	sum := int64(0)
	for _, e := range c.Cached() {
		all = append(all, part{fmt.Sprintf("%s.part-%d", clean(f.Path), e.Offset), w.reader(c, e.Offset, e.Size), e.Size})
		sum += e.Size
	}
	if !c.Whole() {
		w.Say(f.Path, fmt.Sprintf("not whole: %d of %d bytes are in memory", sum, c.Size))
	}
	return all
}

// maxHole is how much of a file may be holes: more are not written out, for a file can be nothing but a size.
const maxHole = 1 << 30

// hollow reports whether more of a file is holes than are written out, and tells that.
func (w *Work) hollow(f *pagecache.File, c *pagecache.Content) bool {
	holes := c.Size
	for _, e := range c.Cached() {
		holes -= e.Size
	}
	if holes <= maxHole {
		return false
	}
	w.Say(f.Path, fmt.Sprintf("%d bytes of %d are holes: the parts between them are taken alone", holes, c.Size))
	return true
}

// reader reads a part of a file until the command is interrupted.
func (w *Work) reader(c *pagecache.Content, off, size int64) io.Reader {
	return &interruptible{w, io.NewSectionReader(c, off, size)}
}

type interruptible struct {
	w *Work
	r io.Reader
}

func (i *interruptible) Read(p []byte) (int, error) {
	if err := i.w.Context.Err(); err != nil {
		return 0, err
	}
	return i.r.Read(p)
}

// A listing prints a line for each file.
type listing struct{ w *bufio.Writer }

// NewListing returns what prints a line for each file.
func NewListing(w io.Writer) Sink { return &listing{bufio.NewWriter(w)} }

func (l *listing) Close() error { return l.w.Flush() }

func (l *listing) Put(w *Work, f *pagecache.File) error {
	what := "-"
	switch {
	case f.IsRegular():
		what = digest(w, f)
	case f.IsLink():
		target, err := f.Target()
		if err != nil {
			w.Say(f.Path, err.Error())
		}
		what = "-> " + text.Word(target)
	}
	_, err := fmt.Fprintf(l.w, "%v %d:%d %d %s %s %s\n", f.FileMode(), f.UID, f.GID, f.Size, f.Mtime.Format("2006-01-02T15:04:05.999999999Z"), text.Word(clean(f.Path)), what)
	return err
}

// digest is that of a file that is whole; of another how much of it there is.
func digest(w *Work, f *pagecache.File) string {
	if w.Secrets.Hides(w.Context, f) {
		return w.Secrets.digest(w, f)
	}
	c, err := f.Content(w.Context)
	if err != nil {
		w.Say(f.Path, err.Error())
		return "lost"
	}
	if !c.Whole() {
		sum := int64(0)
		for _, e := range c.Cached() {
			sum += e.Size
		}
		w.Lost = true
		return fmt.Sprintf("not whole: %d bytes are in memory", sum)
	}
	if w.hollow(f, c) {
		return "mostly holes"
	}
	h := sha256.New()
	if _, err := io.Copy(h, w.reader(c, 0, c.Size)); err != nil {
		w.Say(f.Path, err.Error())
		return "lost"
	}
	return fmt.Sprintf("%x", h.Sum(nil))
}

// An archive writes a tar.
type archive struct{ t *tar.Writer }

// NewTar returns what writes an archive.
func NewTar(w io.Writer) Sink { return &archive{tar.NewWriter(w)} }

func (a *archive) Close() error { return a.t.Close() }

func (a *archive) Put(w *Work, f *pagecache.File) error {
	h := &tar.Header{
		Name: clean(f.Path), Mode: int64(f.Mode & 0o7777), Uid: int(f.UID), Gid: int(f.GID), ModTime: f.Mtime, AccessTime: f.Atime, ChangeTime: f.Ctime, Format: tar.FormatPAX,
	}
	switch mode := f.FileMode(); {
	case mode.IsDir():
		h.Typeflag, h.Name = tar.TypeDir, h.Name+"/"
	case f.IsLink():
		target, err := f.Target()
		if err != nil {
			w.Say(f.Path, err.Error())
			return nil
		}
		h.Typeflag, h.Linkname = tar.TypeSymlink, target
	case mode.IsRegular():
		h.Typeflag = tar.TypeReg
		h.PAXRecords = attributes(w, f)
		for _, p := range parts(w, f) {
			if err := a.part(w, *h, p); err != nil {
				return err
			}
		}
		return nil
	case mode&fs.ModeNamedPipe != 0:
		h.Typeflag = tar.TypeFifo
	case mode&fs.ModeDevice != 0:
		h.Typeflag, h.Devmajor, h.Devminor = tar.TypeBlock, int64(f.Rdev.Major()), int64(f.Rdev.Minor())
		if mode&fs.ModeCharDevice != 0 {
			h.Typeflag = tar.TypeChar
		}
	default: // sockets: an archive has none
		return nil
	}
	return a.t.WriteHeader(h)
}

// attributes are the extended attributes that are in memory, as tar programs keep them.
func attributes(w *Work, f *pagecache.File) map[string]string {
	all, err := f.Xattrs()
	if err != nil && !errors.Is(err, errors.ErrUnsupported) {
		w.Say(f.Path, err.Error())
	}
	var records map[string]string
	for name, value := range all {
		if records == nil {
			records = map[string]string{}
		}
		if !strings.ContainsAny(name, "=\x00") && !strings.Contains(string(value), "\x00") {
			records["SCHILY.xattr."+name] = string(value)
		}
	}
	return records
}

// part writes a part of a file. What the image has not captured of it is told, and the part ends there: so it is read before its header is
// written.
func (a *archive) part(w *Work, h tar.Header, p part) error {
	const most = 1 << 20
	b := make([]byte, min(p.size, most))
	n, err := io.ReadFull(p.r, b)
	if int64(n) == p.size {
		h.Name, h.Size = p.name, p.size
		if err := a.t.WriteHeader(&h); err != nil {
			return err
		}
		_, err = a.t.Write(b)
		return err
	}
	if err != nil && n < len(b) {
		w.Say(p.name, err.Error())
		h.Name, h.Size = fmt.Sprintf("%s.first-%d", p.name, n), int64(n)
		if err := a.t.WriteHeader(&h); err != nil {
			return err
		}
		_, err = a.t.Write(b[:n])
		return err
	}
	return a.long(w, h, p, b)
}

// long writes a part that is longer than what is held in memory. Where it can't be read to its end, the rest
// goes on with a mark of its own, for its size stands in the header.
func (a *archive) long(w *Work, h tar.Header, p part, first []byte) error {
	f, err := os.CreateTemp("", "nodefiles")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	if _, err := f.Write(first); err != nil {
		return err
	}
	n, lost := io.Copy(f, p.r)
	h.Name, h.Size = p.name, n+int64(len(first))
	if lost != nil || h.Size != p.size {
		w.Say(p.name, fmt.Sprintf("not whole: %d of %d bytes: %v", h.Size, p.size, lost))
		h.Name = fmt.Sprintf("%s.first-%d", p.name, h.Size)
	}
	if err := a.t.WriteHeader(&h); err != nil {
		return err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	_, err = io.Copy(a.t, f)
	return err
}

// A directory writes files below a directory, which no name leaves.
type directory struct{ root *os.Root }

// NewDirectory returns what writes files below a directory, which is made if it is missing.
func NewDirectory(name string) (Sink, error) {
	if err := os.MkdirAll(name, 0o700); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(name)
	return &directory{root}, err
}

func (d *directory) Close() error { return d.root.Close() }

func (d *directory) Put(w *Work, f *pagecache.File) error {
	name := clean(f.Path)
	switch {
	case f.IsDir():
		if err := d.root.MkdirAll(name, 0o700); err != nil {
			w.Say(f.Path, err.Error())
		}
	case !f.IsRegular():
		w.Say(f.Path, fmt.Sprintf("not written: %v", f.FileMode()))
	default:
		for _, p := range parts(w, f) {
			if err := d.write(p, f); err != nil {
				w.Say(p.name, err.Error())
			}
		}
	}
	return w.Context.Err()
}

func (d *directory) write(p part, f *pagecache.File) (err error) {
	if dir := filepath.Dir(p.name); dir != "." {
		if err := d.root.MkdirAll(dir, 0o700); err != nil {
			return err
		}
	}
	out, err := d.root.OpenFile(p.name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	n, err := io.Copy(out, p.r)
	if err == nil && n != p.size {
		err = fmt.Errorf("%d of %d bytes", n, p.size)
	}
	if err = errors.Join(err, out.Close()); err != nil {
		return err
	}
	return d.root.Chtimes(p.name, f.Atime, f.Mtime)
}
