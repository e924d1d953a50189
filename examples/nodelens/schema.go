package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/nodelens/nodelens/report/schema"
)

// schema returns the command that prints what JSON looks like. Questions must have their commands by then.
func (a *app) schema() *cobra.Command {
	names := append(schema.Names(), slices.Sorted(maps.Keys(a.tables))...)
	return &cobra.Command{
		Use: "schema [NAME]", Short: "Print the JSON Schema of a report, of findings, of a diff or of a table",
		Long: "Print the JSON Schema (draft 2020-12) of a report, of findings or of a diff, as other programs have them from the library or from\n" +
			"analyzenode -json, or of a table that a question prints with -o json. NAME is what the member schema of the JSON says. Without it the\n" +
			"names are listed.",
		Example: examples("nodelens schema", "nodelens schema nodelens/node/v3", "nodelens schema nodelens/table/ps/v1"), Args: cobra.MaximumNArgs(1), ValidArgs: names,
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				_, err := fmt.Fprintln(a.stdout, strings.Join(names, "\n"))
				return err
			}
			text, err := a.schemaOf(args[0])
			if err == nil {
				_, err = a.stdout.Write(text)
			}
			return err
		},
	}
}

// schemaOf returns the schema of a name.
func (a *app) schemaOf(name string) ([]byte, error) {
	table := a.tables[name]
	if table == nil {
		text, err := schema.Of(name)
		if errors.Is(err, schema.ErrUnknown) {
			err = usageError{err}
		}
		return text, err
	}
	s, err := table()
	if err != nil {
		return nil, err
	}
	text, err := json.MarshalIndent(s, "", " ")
	return append(text, '\n'), err
}
