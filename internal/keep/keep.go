// Package keep has directories in which programs keep what makes their next run faster.
//
// What is there is never trusted. A directory is one of the user's own that nobody else can write to, and each file in it one that nobody
// else can read or write either: else nothing is read from it, or put there. A file says what it is of, and has a digest of all that it holds: what was cut off, damaged,
// or made of something else is as if it were not there. A directory has no more bytes than it may have; what was used least
// recently is dropped first.
package keep

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// A Dir is a directory that things are kept in. It is safe for concurrent use, by several programs as well.
type Dir struct {
	Path string
	Most int64 // bytes of all files together
	One  int64 // bytes of one file; what is larger is not kept
}

// ErrShared says that others may have written to a directory or a file, or could read it.
var ErrShared = errors.New("not the user's own alone")

const (
	suffix = ".kept"
	// magic begins each file, with the version of its form; then come the digest of all behind it, the length of the key, the key and
	// what is kept.
	magic = "nodelens kept 1\n"
	head  = len(magic) + sha256.Size + 8
)

// The rights that others may not have.
const (
	othersRead  fs.FileMode = 0o044
	othersWrite fs.FileMode = 0o022
)

// fileName returns the name of the file of a key.
func fileName(key string) string {
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:]) + suffix
}

// Get returns what is kept under a key; nil where that is nothing, or nothing that can be relied on.
func (d *Dir) Get(key string) []byte {
	root, err := d.open()
	if err != nil {
		return nil
	}
	defer root.Close()
	name := fileName(key)
	b, err := d.read(root, name)
	if err != nil {
		return nil
	}
	content, err := parse(b, key)
	if err != nil {
		_ = root.Remove(name) // it serves nobody; another may have done it
		return nil
	}
	now := time.Now()
	_ = root.Chtimes(name, now, now) // what is used least is dropped first
	return content
}

// open opens the directory, if it is the user's own.
func (d *Dir) open() (*os.Root, error) {
	if info, err := os.Lstat(d.Path); err != nil || !info.IsDir() { // a link may lead to what another made
		return nil, cmp.Or(err, fmt.Errorf("%s: %w", d.Path, ErrShared))
	}
	root, err := os.OpenRoot(d.Path)
	if err != nil {
		return nil, err
	}
	info, err := root.Stat(".")
	if err == nil {
		err = own(info, othersWrite)
	}
	if err != nil {
		_ = root.Close()
		return nil, fmt.Errorf("%s: %w", d.Path, err)
	}
	return root, nil
}

// read returns a file, if it is the user's own.
func (d *Dir) read(root *os.Root, name string) ([]byte, error) {
	if info, err := root.Lstat(name); err != nil || !info.Mode().IsRegular() { // opening a pipe waits
		return nil, cmp.Or(err, ErrShared)
	}
	f, err := root.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular() || own(info, othersRead|othersWrite) != nil:
		return nil, ErrShared
	case info.Size() > d.One:
		return nil, fs.ErrInvalid
	}
	b := make([]byte, info.Size())
	_, err = io.ReadFull(f, b)
	return b, err
}

// errDamaged says that a file is not as it was written.
var errDamaged = errors.New("damaged")

// parse returns what a file holds.
func parse(b []byte, key string) ([]byte, error) {
	if len(b) < head || string(b[:len(magic)]) != magic {
		return nil, errDamaged
	}
	rest := b[len(magic)+sha256.Size:]
	if sum := sha256.Sum256(rest); !bytes.Equal(sum[:], b[len(magic):len(magic)+sha256.Size]) {
		return nil, errDamaged
	}
	n := binary.LittleEndian.Uint64(rest)
	if rest = rest[8:]; n != uint64(len(key)) || n > uint64(len(rest)) || string(rest[:n]) != key {
		return nil, errDamaged
	}
	return rest[n:], nil
}

// Put keeps content under a key. Who reads meanwhile finds what was there before, and of two who write the last one wins.
func (d *Dir) Put(key string, content []byte) error {
	b := make([]byte, head, head+len(key)+len(content))
	copy(b, magic)
	binary.LittleEndian.PutUint64(b[head-8:], uint64(len(key)))
	b = append(append(b, key...), content...)
	sum := sha256.Sum256(b[head-8:])
	copy(b[len(magic):], sum[:])
	if int64(len(b)) > d.One {
		return nil
	}
	if err := os.MkdirAll(d.Path, 0o700); err != nil {
		return err
	}
	root, err := d.open()
	if err != nil {
		return err
	}
	defer root.Close()
	if err := put(root, fileName(key), b); err != nil {
		return err
	}
	return d.bound(root)
}

// put writes a file under another name, and renames it.
func put(root *os.Root, name string, b []byte) error {
	part := fmt.Sprintf("new-%d-%d-%s", os.Getpid(), time.Now().UnixNano(), name)
	f, err := root.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err = cmp.Or(err, f.Close()); err == nil {
		err = root.Rename(part, name)
	}
	if err != nil {
		return errors.Join(err, root.Remove(part))
	}
	return nil
}

// bound removes the files used least recently, until all together have no more than Most bytes.
func (d *Dir) bound(root *os.Root) error {
	entries, err := fs.ReadDir(root.FS(), ".")
	if err != nil {
		return err
	}
	var infos []fs.FileInfo
	for _, e := range entries {
		if info, err := e.Info(); err == nil && info.Mode().IsRegular() && filepath.Ext(e.Name()) == suffix {
			infos = append(infos, info)
		}
	}
	slices.SortFunc(infos, func(a, b fs.FileInfo) int { return b.ModTime().Compare(a.ModTime()) })
	left := d.Most
	for _, info := range infos {
		if left -= info.Size(); left < 0 {
			_ = root.Remove(info.Name()) // another may have done it
		}
	}
	return nil
}
