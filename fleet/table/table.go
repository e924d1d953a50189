package table

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress/zstd"
)

// ErrSchema says that a file is not one of these tables, or of another version.
var ErrSchema = errors.New("not a table of this schema")

// Keys of the metadata of files.
const (
	schemaKey = "nodelens.schema"
	tableKey  = "nodelens.table"
)

// A Table is one of the tables.
type Table struct {
	Name  string
	write func(w io.Writer, n *node) error
	merge func(m *merging, files []string) error
}

// Tables are all of them; that of nodes, which is written last, is there if the others are.
var Tables = []Table{
	define("pods", podRows), define("containers", containerRows), define("processes", processRows), define("descriptors", descriptorRows), define("sockets", socketRows),
	define("modules", moduleRows), define("bpf_programs", bpfRows), define("findings", findingRows), define("gaps", gapRows), define("nodes", nodeRows),
}

// maxRows is how many rows are held at a time.
const maxRows = 1 << 12

// define returns a table whose rows rows makes of a node.
func define[T any](name string, rows func(n *node, yield func(T))) Table {
	return Table{
		Name: name,
		write: func(w io.Writer, n *node) error {
			p, err := newWriter[T](w, name), error(nil)
			rows(n, func(row T) {
				if err == nil {
					_, err = p.Write([]T{row})
				}
			})
			return errors.Join(err, p.Close())
		},
		merge: func(m *merging, files []string) error { return mergeTable[T](m, name, files) },
	}
}

// newWriter returns a writer of rows.
func newWriter[T any](w io.Writer, name string) *parquet.GenericWriter[T] {
	return parquet.NewGenericWriter[T](w, parquet.Compression(&zstd.Codec{}), parquet.CreatedBy("nodelens", "1", ""),
		parquet.KeyValueMetadata(schemaKey, Schema), parquet.KeyValueMetadata(tableKey, name), parquet.MaxRowsPerRowGroup(1<<17))
}

// open opens the file of a table.
func open(name, table string) (*os.File, *parquet.File, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, nil, err
	}
	st, err := f.Stat()
	if err != nil {
		return nil, nil, errors.Join(err, f.Close())
	}
	p, err := parquet.OpenFile(f, st.Size())
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("%s: %w: %w", name, ErrSchema, err), f.Close())
	}
	schema, _ := p.Lookup(schemaKey)
	of, _ := p.Lookup(tableKey)
	if schema != Schema || of != table {
		return nil, nil, errors.Join(fmt.Errorf("%s: %w: schema %q, table %q", name, ErrSchema, schema, of), f.Close())
	}
	return f, p, nil
}

// create writes a file whole, or not at all.
func create(name string, write func(w io.Writer) error) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(name), ".tmp-")
	if err != nil {
		return err
	}
	if err := errors.Join(write(f), f.Close()); err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return os.Rename(f.Name(), name)
}
