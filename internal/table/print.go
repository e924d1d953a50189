package table

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/nodelens/nodelens/internal/jsonx"
	"github.com/nodelens/nodelens/internal/text"
)

// sortRows returns the rows by a column; rows that are equal there stay in their order.
func sortRows[T any](rows []T, columns []column, by string) ([]T, error) {
	if by == "" {
		return rows, nil
	}
	name, down := strings.CutPrefix(by, "-")
	i := slices.IndexFunc(columns, func(c column) bool { return strings.EqualFold(c.heading, name) || strings.EqualFold(c.member, name) })
	if i < 0 || name == "" {
		return nil, fmt.Errorf("%w: %q; there are: %s", ErrColumn, name, strings.Join(names(columns), ", "))
	}
	rows = slices.Clone(rows)
	slices.SortStableFunc(rows, func(a, b T) int {
		c := compare(reflect.ValueOf(a).FieldByIndex(columns[i].index), reflect.ValueOf(b).FieldByIndex(columns[i].index))
		if down {
			return -c
		}
		return c
	})
	return rows, nil
}

func names(columns []column) []string {
	all := make([]string, len(columns))
	for i, c := range columns {
		all[i] = c.member
	}
	return all
}

// printJSON prints rows as objects: one a line, or all of them in one object behind the head.
func printJSON[T any](w *bufio.Writer, rows []T, opts *Options) error {
	whole := opts.Format == JSON
	if whole {
		head := []byte("{}")
		if opts.Head != nil {
			var err error
			if head, err = jsonx.Marshal(opts.Head); err != nil {
				return err
			}
		}
		head = bytes.TrimSuffix(head, []byte("}"))
		if len(head) > 1 {
			head = append(head, ',')
		}
		fmt.Fprintf(w, "%s%s:[", head, text.AppendJSON(nil, opts.Items))
	}
	for i := range rows {
		b, err := jsonx.Marshal(rows[i])
		if err != nil {
			return err
		}
		switch {
		case whole && i > 0:
			fmt.Fprint(w, ",\n")
		case whole:
			fmt.Fprint(w, "\n")
		}
		_, _ = w.Write(b) // Flush returns the error
		if !whole {
			fmt.Fprint(w, "\n")
		}
	}
	if whole {
		fmt.Fprint(w, "]}\n")
	}
	return nil
}

// printCSV prints all columns (RFC 4180), with a line of their members before them.
func printCSV[T any](w *bufio.Writer, rows []T, columns []column) error {
	out := csv.NewWriter(w)
	if err := out.Write(names(columns)); err != nil {
		return err
	}
	record := make([]string, len(columns))
	for i := range rows {
		row := reflect.ValueOf(&rows[i]).Elem()
		for j, c := range columns {
			if v := row.FieldByIndex(c.index); c.isNull(v) {
				record[j] = ""
			} else {
				record[j] = plain(v)
			}
		}
		if err := out.Write(record); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}
