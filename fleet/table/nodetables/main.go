// Nodetables turns results of nodelens fleet into tables of Parquet.
//
//	nodetables write RESULTS TABLES     a file for each node and table
//	nodetables merge TABLES MERGED      few files, by table, day and cluster
//
// Both put the questions in SQL beside the tables: duckdb -init views.sql there. It exits with 0 if all is there, with 1 if it is not, and with 2 if it was called wrongly.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/nodelens/nodelens/fleet"
	"github.com/nodelens/nodelens/fleet/table"
	"github.com/nodelens/nodelens/internal/command"
)

func main() { command.Main(run, os.Interrupt) }

// run is main with its surroundings as arguments; it returns the exit status.
func run(_ context.Context, args []string, stdout, stderr io.Writer) int {
	c := command.New("nodetables", "write RESULTS TABLES | merge TABLES MERGED")
	c.About = "Turns results of nodelens fleet into tables of Parquet: write makes a file for each node and table, merge few files\nof those, by table, day of the capture and cluster. Questions in SQL are put beside them: duckdb -init views.sql"
	c.Examples = []string{"nodetables write results tables", "nodetables merge tables merged"}
	c.Statuses = []string{"0  all is there", "1  it is not: standard error says why"}
	rest, status, end := c.Parse(args, stdout, stderr)
	if end {
		return status
	}
	if len(rest) != 3 || rest[0] != "write" && rest[0] != "merge" {
		return c.Refuse(stderr, errors.New("write or merge is expected, with two directories"))
	}
	do := write
	if rest[0] == "merge" {
		do = merge
	}
	if err := do(rest[1], rest[2], stdout); err != nil {
		return c.Fail(stderr, err)
	}
	return command.OK
}

func write(from, to string, stdout io.Writer) error {
	if _, err := os.Stat(from); err != nil {
		return err
	}
	results, err := fleet.OpenResults(from)
	if err != nil {
		return err
	}
	written, had, err := table.Convert(results, to)
	fmt.Fprintf(stdout, "nodes written: %d; there already: %d\n", written, had)
	return errors.Join(err, questions(to))
}

func merge(from, to string, _ io.Writer) error {
	if err := table.Merge(from, to, nil); err != nil {
		return err
	}
	return questions(to)
}

// questions puts the questions beside the tables.
func questions(dir string) error {
	names, err := fs.Glob(table.SQL, "sql/*.sql")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for _, name := range names {
		text, err := table.SQL.ReadFile(name)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(name)), text, 0o600); err != nil {
			return err
		}
	}
	return nil
}
