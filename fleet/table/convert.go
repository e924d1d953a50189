package table

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/nodelens/nodelens/fleet"
)

// Convert writes the tables of all results that count: DIR/TABLE/ITEM-KEY.parquet. Those that are there stay as they are, and those of earlier results of an item are
// removed. It returns how many nodes were written, and how many were there. The errors of results that can't be read are joined; the others are
// converted all the same.
func Convert(results *fleet.Results, dir string) (written, had int, err error) {
	var errs []error
	for file, err := range results.Last() {
		if err != nil {
			errs = append(errs, err)
			continue
		}
		fresh, err := convert(file, dir)
		switch {
		case err != nil:
			errs = append(errs, err)
		case fresh:
			written++
		default:
			had++
		}
	}
	return written, had, errors.Join(errs...)
}

// convert writes the tables of a result, unless they are there.
func convert(file, dir string) (fresh bool, err error) {
	base := strings.TrimSuffix(filepath.Base(file), ".jsonl.zst")
	nodes := path(dir, "nodes", base)
	result, err := os.Stat(file)
	if err != nil {
		return false, err
	}
	switch st, err := os.Stat(nodes); {
	case err == nil && !st.ModTime().Before(result.ModTime()): // a failure is replaced under the same name
		return false, nil
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return false, err
	}
	n, err := newNode(file)
	if err != nil {
		return false, err
	}
	for _, t := range Tables {
		if err := create(path(dir, t.Name, base), func(w io.Writer) error { return t.write(w, n) }); err != nil {
			return false, err
		}
	}
	return true, removeOthers(dir, base)
}

// path returns the name of a node's file.
func path(dir, table, base string) string { return filepath.Join(dir, table, base+".parquet") }

// removeOthers removes the files of other results of an item.
func removeOthers(dir, base string) error {
	item, _, _ := strings.Cut(base, "-")
	var errs []error
	for _, t := range Tables {
		files, err := filepath.Glob(path(dir, t.Name, item+"-*"))
		errs = append(errs, err)
		for _, f := range files {
			if f != path(dir, t.Name, base) {
				errs = append(errs, os.Remove(f))
			}
		}
	}
	return errors.Join(errs...)
}
