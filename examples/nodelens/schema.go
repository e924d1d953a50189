package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/nodelens/nodelens/report/schema"
)

// schema returns the command that prints what JSON looks like.
func (a *app) schema() *cobra.Command {
	return &cobra.Command{
		Use: "schema [NAME]", Short: "Print the JSON Schema of a report, of findings or of a diff",
		Long: "Print the JSON Schema (draft 2020-12) of a report, of findings or of a diff, as other programs have them from the library or from\n" +
			"analyzenode -json. NAME is what the member schema of the JSON says. Without it the names are listed.",
		Example: examples("nodelens schema", "nodelens schema nodelens/node/v3"), Args: cobra.MaximumNArgs(1), ValidArgs: schema.Names(),
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				_, err := fmt.Fprintln(a.stdout, strings.Join(schema.Names(), "\n"))
				return err
			}
			text, err := schema.Of(args[0])
			if errors.Is(err, schema.ErrUnknown) {
				return usageError{err}
			}
			if err == nil {
				_, err = a.stdout.Write(text)
			}
			return err
		},
	}
}
