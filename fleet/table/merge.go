package table

import (
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/parquet-go/parquet-go"
)

// A MergeOptions says how files are merged. Nil stands for its zero value.
type MergeOptions struct {
	// FileBytes is the size from which on a new file is begun; 0: 128 MiB.
	FileBytes int64
}

// ErrExists says that the directory to merge into is there already.
var ErrExists = errors.New("the directory exists")

// Merge merges the files that [Convert] wrote in a directory into few: INTO/TABLE/DAY/CLUSTER/N.parquet, where DAY is that of the capture, and
// unknown where it is not known, and CLUSTER the label, or unlabelled. The rows are the same, in the same order for the same files. INTO must not be there: it appears when all
// is written. The error wraps ErrExists, or [ErrSchema] for a file that is no such table.
func Merge(dir, into string, opts *MergeOptions) error {
	if _, err := os.Lstat(into); err == nil {
		return fmt.Errorf("%s: %w", into, ErrExists)
	}
	size := int64(128 << 20)
	if opts != nil && opts.FileBytes > 0 {
		size = opts.FileBytes
	}
	work, err := os.MkdirTemp(filepath.Dir(into), ".tmp-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work) // it is not there any more where all went well
	m := &merging{into: work, size: size, places: map[string]string{}}
	if err := m.findPlaces(dir); err != nil {
		return err
	}
	for _, t := range Tables {
		files, err := filepath.Glob(path(dir, t.Name, "*"))
		if err != nil {
			return err
		}
		if err := t.merge(m, files); err != nil {
			return err
		}
	}
	return os.Rename(work, into)
}

// A merging is the state of a merge.
type merging struct {
	into   string
	size   int64
	places map[string]string // DAY/CLUSTER of nodes, by the base of their files' names
}

// findPlaces reads where each node belongs.
func (m *merging) findPlaces(dir string) error {
	files, err := filepath.Glob(path(dir, "nodes", "*"))
	if err != nil {
		return err
	}
	for _, name := range files {
		err := eachRow(name, "nodes", func(rows []NodeRow) error {
			m.places[filepath.Base(name)] = place(rows[0].Head)
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// place returns DAY/CLUSTER.
func place(h Head) string {
	day, cluster := "unknown", "unlabelled"
	if h.CapturedAt != 0 {
		day = time.UnixMicro(h.CapturedAt).UTC().Format(time.DateOnly)
	}
	if h.Cluster != "" {
		cluster = "cluster-" + url.PathEscape(strings.ReplaceAll(h.Cluster, ".", "%2e")) // neither . nor ..
	}
	return filepath.Join(day, cluster)
}

// eachRow gives the rows of a file in turn, some at a time.
func eachRow[T any](name, table string, use func(rows []T) error) error {
	f, p, err := open(name, table)
	if err != nil {
		return err
	}
	defer f.Close()
	r := parquet.NewGenericReader[T](p)
	defer r.Close()
	rows := make([]T, min(maxRows, max(1, r.NumRows())))
	for {
		clear(rows) // slices of earlier rows must not be written into
		n, err := r.Read(rows)
		if n > 0 {
			if err := use(rows[:n]); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) || err == nil && n == 0 {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
}

// mergeTable merges the files of one table. Those of a node without a row in the table of nodes are not whole, and left out.
func mergeTable[T any](m *merging, table string, files []string) error {
	byPlace, order := map[string][]string{}, []string(nil)
	for _, name := range files {
		place, ok := m.places[filepath.Base(name)]
		if !ok {
			continue
		}
		if byPlace[place] == nil {
			order = append(order, place)
		}
		byPlace[place] = append(byPlace[place], name)
	}
	for _, place := range order {
		if err := mergePlace[T](m, table, filepath.Join(m.into, table, place), byPlace[place]); err != nil {
			return err
		}
	}
	return nil
}

// mergePlace merges files into those of a directory.
func mergePlace[T any](m *merging, table, dir string, files []string) error {
	for part := 0; len(files) > 0; part++ {
		err := create(filepath.Join(dir, fmt.Sprintf("%04d.parquet", part)), func(w io.Writer) (err error) {
			counted := &counter{w: w}
			p := newWriter[T](counted, table)
			for len(files) > 0 && counted.n < m.size && err == nil {
				err = eachRow(files[0], table, func(rows []T) error {
					_, err := p.Write(rows)
					return err
				})
				files = files[1:]
				if err == nil && len(files)%64 == 0 {
					err = p.Flush() // rows in memory are bounded
				}
			}
			return errors.Join(err, p.Close())
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// A counter counts what is written.
type counter struct {
	w io.Writer
	n int64
}

// Write implements io.Writer.
func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}
