package fleet

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// ErrManifest says that a file is no manifest.
var ErrManifest = errors.New("not a manifest")

// maxLine is how long a line of a manifest may be, in bytes.
const maxLine = 1 << 20

// A Manifest is a list of images. An item is known by its index in it.
type Manifest []Item

// ReadManifest reads the file of a manifest: JSON Lines, an [Item] a line. Names of files are relative to the directory of the
// manifest. Lines without an item are an error, for an index must mean the same to all who count, and so are two items of one name. The error
// wraps [ErrManifest] where the content is to blame.
func ReadManifest(name string) (Manifest, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	m, err := parseManifest(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	for i := range m {
		m[i] = m[i].below(filepath.Dir(name))
	}
	return m, nil
}

// parseManifest reads the lines of a manifest.
func parseManifest(r io.Reader) (Manifest, error) {
	var m Manifest
	seen := map[string]int{}
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		n := len(m) + 1
		it, err := parseItem(lines.Bytes())
		if err != nil {
			return nil, fmt.Errorf("line %d: %w: %w", n, ErrManifest, err)
		}
		if first := seen[it.Name()]; first != 0 {
			return nil, fmt.Errorf("line %d: %w: the same image as line %d", n, ErrManifest, first)
		}
		seen[it.Name()] = n
		m = append(m, it)
	}
	if errors.Is(lines.Err(), bufio.ErrTooLong) {
		return nil, fmt.Errorf("line %d: %w: longer than %d bytes", len(m)+1, ErrManifest, maxLine)
	}
	return m, lines.Err()
}

// parseItem reads a line. Members that are not known are refused: one that is misspelt would be left out in silence.
func parseItem(line []byte) (it Item, err error) {
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	if err := d.Decode(&it); err != nil {
		return it, err
	}
	if d.More() {
		return it, errors.New("more than one item")
	}
	return it, it.check()
}

// Write writes the manifest as [ReadManifest] takes it.
func (m Manifest) Write(w io.Writer) error {
	e := json.NewEncoder(w)
	for _, it := range m {
		if err := e.Encode(it); err != nil {
			return err
		}
	}
	return nil
}

// besideImages are the ends of names that files have beside images: symbols, manifests and digests of captures.
var besideImages = []string{".json", ".json.xz", ".json.gz", ".json.zst", ".jsonl", ".jsonl.zst", ".md", ".txt", ".sha256", ".parquet"}

// Scan returns a manifest of all files below a directory, by ascending name, but for those whose names say that they go with images, such as
// .json, and those that begin with a dot. What is no image after all gets a result that says so.
func Scan(dir string) (Manifest, error) {
	var m Manifest
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case path != dir && strings.HasPrefix(d.Name(), "."):
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		case d.IsDir() || beside(d.Name()):
			return nil
		}
		m = append(m, fileItem(path))
		return nil
	})
	return m, err
}

func beside(name string) bool {
	for _, end := range besideImages {
		if strings.HasSuffix(name, end) {
			return true
		}
	}
	return name == "SHA256SUMS"
}
