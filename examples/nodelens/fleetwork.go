package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/nodelens/nodelens/fleet"
)

// A work is the image that one process of an engine is to analyse.
type work struct {
	manifest   string
	index      int
	notWholeOK bool
}

// registerWork adds the flags that say which image it is.
func (f *fleetApp) registerWork(c *cobra.Command, w *work) {
	c.Flags().StringVarP(&w.manifest, "manifest", "m", "", "the `FILE` with the images, one a line")
	c.Flags().IntVar(&w.index, "index", -1, "which of them, from 0; default: as the engine says in the environment")
	c.Flags().BoolVar(&w.notWholeOK, "not-whole-ok", false, "exit with 0 where the report is not whole: it is a result, and engines would take 3 for a failure")
}

func (f *fleetApp) work() *cobra.Command {
	var w work
	c := &cobra.Command{
		Use: "work -m MANIFEST", Short: "Analyse one image of a manifest, for engines that start many processes", Args: cobra.NoArgs,
		Long: fmt.Sprintf("Analyse one image of a manifest, for engines that start a process for each. Which one it is they say in one of\n%v.\n\n", fleet.IndexVariables) +
			"Exit status: 0 the report is whole; 3 it is not; 42 poison: there is no report, and trying again makes none; 1 there is none, and trying again may help.",
		Example: examples("nodelens fleet work -m manifest.jsonl -o /results --attempts 1 --not-whole-ok"),
		RunE: func(c *cobra.Command, _ []string) error {
			it, err := w.item()
			if err != nil {
				return err
			}
			r, err := f.runner(c)
			if err != nil {
				return err
			}
			one := fleet.Manifest{it}
			if err := f.label(one); err != nil {
				return err
			}
			result, had, err := r.Do(c.Context(), one[0])
			if err != nil {
				return err
			}
			fmt.Fprintln(f.stdout, outcome(result, had))
			if f.status = result.Exit(); w.notWholeOK && f.status == fleet.ExitNotWhole {
				f.status = fleet.ExitWhole
			}
			return nil
		},
	}
	f.register(c)
	f.registerWork(c, &w)
	return c
}

// item returns the image.
func (w *work) item() (fleet.Item, error) {
	if w.manifest == "" {
		return fleet.Item{}, usage("name a manifest with -m")
	}
	m, err := fleet.ReadManifest(w.manifest)
	if err != nil {
		return fleet.Item{}, err
	}
	index := w.index
	if index < 0 {
		if index, err = fleet.EnvironmentIndex(os.LookupEnv); err != nil {
			return fleet.Item{}, err
		}
	}
	return m.Item(index)
}
