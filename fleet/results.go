package fleet

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/nodelens/nodelens/cos"
	"github.com/nodelens/nodelens/findings"
)

// ErrResult says that a file is no result.
var ErrResult = errors.New("not a result")

// Results is a directory with a file for each result. The file is compressed by zstd and has lines of JSON: the [Result], and unless it failed the
// report ([cos.Schema]) and the findings ([findings.Schema]). Its name is made of the item and the key, so that workers that do not know of each other write the same file for the
// same work. It is safe for concurrent use, also by several processes.
type Results struct{ dir string }

// Names of files.
const (
	resultEnd = ".jsonl.zst"
	tempStart = ".tmp-"
	itemChars = 16 // of the digest of the item's name
	keyChars  = 24
)

// staleTemp is the age at which a temporary file belongs to nobody any more.
const staleTemp = 24 * time.Hour

// OpenResults opens a directory of results, which is made if it is not there. What was left behind by workers that died long ago is removed.
func OpenResults(dir string) (*Results, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if info, err := e.Info(); err == nil && strings.HasPrefix(e.Name(), tempStart) && time.Since(info.ModTime()) > staleTemp {
			os.Remove(filepath.Join(dir, e.Name())) // if not now, then the next time
		}
	}
	return &Results{dir}, nil
}

// Dir returns the name of the directory.
func (s *Results) Dir() string { return s.dir }

// itemID is what files of an item's results begin with.
func itemID(it Item) string {
	sum := sha256.Sum256([]byte(it.Name()))
	return hex.EncodeToString(sum[:])[:itemChars]
}

// fileName returns the name of a result's file.
func fileName(it Item, key string) string { return itemID(it) + "-" + key[:keyChars] + resultEnd }

// File returns the name of the file that a result is in, or would be.
func (s *Results) File(r *Result) string { return filepath.Join(s.dir, fileName(r.Item, r.Key)) }

// have returns the result of an item with a key. Where there is none, or a file that is none, which is made anew, it returns nil.
func (s *Results) have(it Item, key string) (*Result, error) {
	r, err := ReadHead(filepath.Join(s.dir, fileName(it, key)))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrResult) {
		return nil, nil
	}
	return r, err
}

// write writes a result, with what it is of if it is no failure. A result with the same key gives way to it.
func (s *Results) write(r *Result, report *cos.NodeReport, found *findings.Result) (err error) {
	f, err := os.CreateTemp(s.dir, tempStart)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	if err = errors.Join(encode(f, r, report, found), f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), s.File(r))
}

// encode writes the lines of a result.
func encode(w io.Writer, r *Result, report *cos.NodeReport, found *findings.Result) error {
	z, err := zstd.NewWriter(w, zstd.WithEncoderConcurrency(1))
	if err != nil {
		return err
	}
	lines := []any{r}
	if report != nil {
		lines = append(lines, report, found)
	}
	for _, v := range lines {
		line, err := json.Marshal(v)
		if err == nil {
			_, err = z.Write(append(line, '\n'))
		}
		if err != nil {
			return errors.Join(err, z.Close())
		}
	}
	return z.Close()
}

// Bounds of what is read of a result's file, which may come from anywhere.
const (
	maxHead   = 1 << 20
	maxReport = 1 << 30
)

// ReadHead reads a result without its report. The error wraps [ErrResult] where the file is none.
func ReadHead(name string) (*Result, error) {
	var r *Result
	err := readLines(name, func(next func(limit int) ([]byte, error)) (err error) {
		r, err = readHead(next)
		return err
	})
	return r, err
}

// Read reads a result with its report and its findings, which are nil where it is a failure.
func Read(name string) (r *Result, report *cos.NodeReport, found *findings.Result, err error) {
	err = readLines(name, func(next func(limit int) ([]byte, error)) error {
		r, err = readHead(next)
		if err != nil || r.Status == Failed {
			return err
		}
		report, found = new(cos.NodeReport), new(findings.Result)
		for _, v := range []json.Unmarshaler{report, found} {
			line, err := next(maxReport)
			if err != nil {
				return err
			}
			if err := v.UnmarshalJSON(line); err != nil {
				return err
			}
		}
		return nil
	})
	return r, report, found, err
}

// readHead reads the first line of a result.
func readHead(next func(limit int) ([]byte, error)) (*Result, error) {
	line, err := next(maxHead)
	if err != nil {
		return nil, err
	}
	r := new(Result)
	if err := json.Unmarshal(line, r); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrResult, err)
	}
	if r.Schema != Schema {
		return nil, fmt.Errorf("%w: its schema is %q", ErrResult, r.Schema)
	}
	return r, nil
}

// readLines gives the lines of a file to read, one after the other.
func readLines(name string, read func(next func(limit int) ([]byte, error)) error) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	z, err := zstd.NewReader(f, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxReport))
	if err != nil {
		return err
	}
	defer z.Close()
	b := bufio.NewReaderSize(z, 1<<16)
	err = read(func(limit int) ([]byte, error) { return readLine(b, limit) })
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// readLine returns a line of at most limit bytes.
func readLine(b *bufio.Reader, limit int) ([]byte, error) {
	var line []byte
	for {
		part, err := b.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case err == nil:
			return bytes.TrimSuffix(line, []byte("\n")), nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, fmt.Errorf("%w: %w", ErrResult, err)
		case len(line) > limit:
			return nil, fmt.Errorf("%w: a line is longer than %d bytes", ErrResult, limit)
		}
	}
}

// Files returns the names of the files of all results, by ascending name.
func (s *Results) Files() ([]string, error) {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), resultEnd) && !strings.HasPrefix(e.Name(), ".") {
			names = append(names, filepath.Join(s.dir, e.Name()))
		}
	}
	return names, nil
}

// Last yields for each item the file of its result that counts: that of the image as it was last seen, and of several of one image the one made last. The error
// is of a file that can't be read, or of the directory.
func (s *Results) Last() iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		names, err := s.Files()
		if err != nil {
			yield("", err)
			return
		}
		for len(names) > 0 {
			id, n := filepath.Base(names[0])[:min(itemChars, len(filepath.Base(names[0])))], 1
			for n < len(names) && strings.HasPrefix(filepath.Base(names[n]), id) {
				n++
			}
			last, errs := lastOf(names[:n])
			names = names[n:]
			for _, err := range errs {
				if !yield("", err) {
					return
				}
			}
			if last != "" && !yield(last, nil) {
				return
			}
		}
	}
}

// lastOf returns which of an item's results counts, and the errors of those that can't be read.
func lastOf(names []string) (last string, errs []error) {
	var best *Result
	for _, name := range names {
		r, err := ReadHead(name)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if best == nil || r.after(best) {
			best, last = r, name
		}
	}
	return last, errs
}

// after reports whether a result of the same item counts more than o. That an image could not be reached is not news of an image that was.
func (r *Result) after(o *Result) bool {
	if r.Image.Known() != o.Image.Known() {
		return r.Image.Known()
	}
	return r.Ended.After(o.Ended)
}
