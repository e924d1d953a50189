package symbols

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/nodelens/nodelens/isf"
)

// A Store is a directory where symbols are kept that were converted or fetched, so that
// this is done once for each kernel:
//
//	symbols/BUILD-ID-BANNER.isf.zst   ISF in zstd; BUILD-ID is hexadecimal, or "none" where it
//	                                  is not known, and BANNER are the first 16 hexadecimal
//	                                  digits of the SHA-256 of the banner without its newline
//	negative/SOURCE/KERNEL            an empty file for what a server did not have
//	lock/KERNEL                       locked while someone gets symbols of the kernel
//
// Both are in the name because a build id can be known wrongly (see [Kernel.BuildID]) and
// a banner can be that of several builds. Files are written under another name and
// renamed, so that any number of programs can use one directory. Whatever is in a file, its
// banner must be the one that it is named after, and it is held against the image as all
// symbols are; a file that is damaged or of another kernel is removed.
//
// A Store is safe for concurrent use.
type Store struct {
	dir string
}

// ErrNoStore says that the system names no directory for caches.
var ErrNoStore = errors.New("no directory for a cache")

// cacheVariable names the store's directory, before what the system says.
const cacheVariable = "NODELENS_CACHE"

// DefaultStore returns the store in the directory that NODELENS_CACHE names, or else in
// nodelens of [os.UserCacheDir], which is $XDG_CACHE_HOME or ~/.cache on Linux. The error
// wraps ErrNoStore if there is none.
func DefaultStore() (*Store, error) {
	if dir := os.Getenv(cacheVariable); dir != "" {
		return NewStore(dir), nil
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return nil, fmt.Errorf("symbols: %w: %w", ErrNoStore, err)
	}
	return NewStore(filepath.Join(dir, "nodelens")), nil
}

// NewStore returns the store in the directory dir, which is made when something is put
// there.
func NewStore(dir string) *Store { return &Store{dir} }

// Dir returns the directory of the store.
func (s *Store) Dir() string { return s.dir }

// String implements [Source].
func (s *Store) String() string { return "store " + s.dir }

// suffix is what names of symbols end in.
const suffix = ".isf.zst"

// noBuildID stands for a build id that is not known.
const noBuildID = "none"

// bannerKey is how a banner shows in a name.
func bannerKey(banner string) string {
	sum := sha256.Sum256([]byte(strings.TrimRight(banner, "\n")))
	return hex.EncodeToString(sum[:])[:16]
}

// name returns the name of the symbols of a kernel.
func (s *Store) name(buildID, banner string) string {
	return filepath.Join(s.dir, "symbols", cmp.Or(buildID, noBuildID)+"-"+bannerKey(banner)+suffix)
}

// Find implements [Source]: it yields what is there under the build id of the kernel, or
// else under a banner that is in memory.
func (s *Store) Find(ctx context.Context, k *Kernel) iter.Seq2[*Candidate, error] {
	return func(yield func(*Candidate, error) bool) {
		id, err := k.BuildID(ctx)
		if err != nil {
			yield(nil, err)
			return
		}
		names, err := s.list()
		switch {
		case err != nil:
			yield(nil, err)
			return
		case len(names) == 0:
			return // and memory need not be searched
		}
		for _, name := range names {
			if id != "" && strings.HasPrefix(name, id+"-") && !s.offer(name, yield) {
				return
			}
		}
		banners, err := k.Banners(ctx)
		if err != nil {
			yield(nil, err)
			return
		}
		for _, banner := range banners {
			for _, name := range names {
				known := id != "" && strings.HasPrefix(name, id+"-")
				if !known && strings.HasSuffix(name, "-"+bannerKey(banner)+suffix) && !s.offer(name, yield) {
					return
				}
			}
		}
	}
}

// list returns the names of all symbols.
func (s *Store) list() ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(s.dir, "symbols"))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, reason(err)
	}
	var names []string
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), suffix) {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// offer decodes symbols and yields them. What does not decode, or has another banner than
// its name says, is removed.
func (s *Store) offer(name string, yield func(*Candidate, error) bool) (more bool) {
	c := &Candidate{Name: filepath.Join(s.dir, "symbols", name)}
	f, err := isf.Open(c.Name)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return yield(c, reason(err)) // another program removed it, or it is another user's
	}
	if err == nil && !strings.HasSuffix(name, "-"+bannerKey(f.Banner())+suffix) {
		err = fmt.Errorf("%w: its banner is not the one that it is kept under", ErrMismatch)
	}
	if err != nil {
		return yield(c, s.remove(c.Name, err))
	}
	c.Symbols = f
	return yield(c, nil)
}

// remove removes a file that is of no use, and returns why it is not.
func (s *Store) remove(name string, why error) error {
	if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w, and it can't be removed: %w", why, reason(err))
	}
	return why
}

// errUnnamed says that symbols can't be found again.
var errUnnamed = errors.New("symbols without a banner can't be kept: nothing would tell of which kernel they are")

// Put keeps the symbols of a kernel. The build id is that of its vmlinux in lower-case
// hexadecimal, and empty where not known. It returns the name of the file.
func (s *Store) Put(f *isf.File, buildID string) (string, error) {
	if f.Banner() == "" {
		return "", fmt.Errorf("symbols: %w", errUnnamed)
	}
	if !isBuildID(buildID) {
		buildID = ""
	}
	name := s.name(buildID, f.Banner())
	if err := s.put(f, name); err != nil {
		return "", fmt.Errorf("symbols: %w", err)
	}
	return name, nil
}

// has reports whether there are symbols of that name.
func (s *Store) has(buildID, banner string) bool {
	_, err := os.Stat(s.name(buildID, banner))
	return err == nil
}

func (s *Store) put(f *isf.File, name string) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return err
	}
	if err := f.WriteFile(name); err != nil { // which renames
		return err
	}
	return os.Chmod(name, 0o400)
}

// NegativeAge is how long it is remembered that a server does not have something.
const NegativeAge = 10 * time.Minute

// Absent reports whether a source said less than NegativeAge ago that it has nothing
// under that key.
func (s *Store) Absent(source, key string) bool {
	info, err := os.Stat(s.negative(source, key))
	return err == nil && time.Since(info.ModTime()) < NegativeAge
}

// SetAbsent remembers that a source has nothing under that key.
func (s *Store) SetAbsent(source, key string) error {
	name := s.negative(source, key)
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return fmt.Errorf("symbols: %w", err)
	}
	f, err := os.Create(name)
	if err != nil {
		return fmt.Errorf("symbols: %w", err)
	}
	if err := errors.Join(f.Close(), os.Chtimes(name, time.Time{}, time.Now())); err != nil {
		return fmt.Errorf("symbols: %w", err)
	}
	return nil
}

func (s *Store) negative(source, key string) string {
	return filepath.Join(s.dir, "negative", fileName(source), fileName(key))
}

// fileName makes a file name of any text: letters, digits, dots and hyphens stay. A
// short hash keeps apart what would be the same.
func fileName(text string) string {
	plain := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '.' {
			return r
		}
		return '_'
	}, text)
	if plain == text && len(text) <= 100 && strings.Trim(text, ".") != "" {
		return text
	}
	return strings.Trim(plain[:min(len(plain), 60)], ".") + "-" + bannerKey(text)
}

// Lock waits until no other program gets symbols under that key, and keeps others waiting
// until unlock is called. Where the system has no locks that end with their program, it
// does nothing: then the same work may be done twice, which harms nothing else. Who got
// the lock should look again. The error is that of ctx or of the file system.
func (s *Store) Lock(ctx context.Context, key string) (unlock func(), err error) {
	name := filepath.Join(s.dir, "lock", fileName(key))
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return nil, fmt.Errorf("symbols: %w", err)
	}
	f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("symbols: %w", err)
	}
	for {
		locked, err := tryLock(f)
		switch {
		case err != nil:
			return nil, errors.Join(fmt.Errorf("symbols: %w", err), f.Close())
		case locked:
			return func() { _ = f.Close() }, nil // which unlocks
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), f.Close())
		case <-time.After(lockPause):
		}
	}
}

// lockPause is how long to wait before trying again.
const lockPause = 50 * time.Millisecond
