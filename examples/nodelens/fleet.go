package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/nodelens/nodelens/cos"
	"github.com/nodelens/nodelens/fleet"
	"github.com/nodelens/nodelens/internal/text"
)

// A fleetApp is one run of a command that is about many images.
type fleetApp struct {
	*app
	out         string // the directory of results
	sections    string
	labels      []string
	memory      int64 // MiB
	cpu         time.Duration
	deadline    time.Duration
	attempts    int
	jobs        int
	retryFailed bool
}

const aboutFleet = `Analyse the images of many nodes.

Each image is analysed by a process of its own, with limits: an image that crashes it, takes memory without end or hangs costs nothing but
itself. Each gets a result, which is a report or the reason why there is none, in a file of the directory of results. What has a result is skipped, so
that a run which was broken off goes on where it was. docs/fleet.md says more, also how to run it on Kubernetes and other engines.`

// fleet returns the commands that are about many images.
func (a *app) fleet() *cobra.Command {
	c := &cobra.Command{
		Use: "fleet", Short: "Analyse the images of many nodes", Long: aboutFleet,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usage("%q is none of the commands of fleet", args[0])
			}
			return c.Help()
		},
	}
	f := &fleetApp{app: a}
	c.AddCommand(f.run(), f.work(), f.child(), f.scan(), f.summary(), f.manifests())
	return c
}

// register adds the flags of what starts children.
func (f *fleetApp) register(c *cobra.Command) {
	flags := c.Flags()
	flags.StringVarP(&f.out, "out", "o", "results", "the `DIRECTORY` of results")
	flags.StringVar(&f.sections, "with", fleet.DefaultSections.String(), "what is read beyond processes and pods: `SECTIONS`, separated by commas")
	flags.StringArrayVar(&f.labels, "label", nil, "what is known of the nodes, such as cluster=prod: `NAME=VALUE`; may be given several times")
	flags.Int64Var(&f.memory, "memory", 1024, "how much memory an image may take, in `MIB`; 0: any amount")
	flags.DurationVar(&f.cpu, "cpu", 10*time.Minute, "how much CPU time an image may take; 0: any amount")
	flags.DurationVar(&f.deadline, "deadline", time.Hour, "how long an image may take; 0: for ever")
	flags.IntVar(&f.attempts, "attempts", 3, "how often an image is tried whose failure may pass")
	flags.IntVarP(&f.jobs, "jobs", "j", 0, "how many images are analysed at a time; 0: one for each processor")
	flags.BoolVar(&f.retryFailed, "retry-failed", false, "try failures again that are final otherwise")
}

// runner returns what starts children: this program, as it was called, with child for the name of the command.
func (f *fleetApp) runner(c *cobra.Command) (*fleet.Runner, error) {
	sections, err := cos.ParseSections(f.sections)
	if err != nil {
		return nil, usageError{err}
	}
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	results, err := fleet.OpenResults(f.out)
	if err != nil {
		return nil, err
	}
	args := slices.Clone(f.args)
	after := slices.Index(args, "fleet") + 1
	args[after+slices.Index(args[after:], c.Name())] = "child"
	return &fleet.Runner{
		Command: append([]string{program}, args...), Analyser: f.analyser(sections), Results: results,
		Limits:   fleet.Limits{Memory: f.memory << 20, CPU: f.cpu, Deadline: f.deadline},
		Attempts: f.attempts, Parallel: f.jobs, RetryFailed: f.retryFailed,
	}, nil
}

// analyser returns how images are analysed.
func (f *fleetApp) analyser(sections cos.Sections) *fleet.Analyser {
	s := &f.flags.Symbols
	return &fleet.Analyser{
		Settings: fmt.Sprintf("with=%v isf=%s vmlinux=%s symbols=%q fetch=%t raw=%t scan=%t secrets=%t key=%s sha256=%t", sections, s.ISF, s.Vmlinux, s.Paths, s.Fetch,
			f.flags.Raw, f.flags.Scan, f.flags.Secrets, f.flags.KeyFile, f.flags.Hash),
		Options: func(fleet.Item) *cos.Options {
			opts := f.flags.Options(nil, nil)
			opts.Sections = sections
			return opts
		},
	}
}

// child returns the command that analyses one image: what run and work start.
func (f *fleetApp) child() *cobra.Command {
	c := &cobra.Command{
		Use: "child", Short: "Analyse one image, as run and work start it", Hidden: true,
		RunE: func(c *cobra.Command, _ []string) error {
			sections, err := cos.ParseSections(f.sections)
			if err == nil {
				f.status = fleet.Child(c.Context(), f.analyser(sections), os.Stdin, f.stdout, f.stderr)
			}
			return err
		},
	}
	f.register(c)
	f.registerWork(c, new(work))
	return c
}

// items returns the images that arguments name: those below directories, those of manifests (*.jsonl), and others by themselves.
func (f *fleetApp) items(args []string) (fleet.Manifest, error) {
	var all fleet.Manifest
	for _, name := range args {
		m := fleet.Manifest{{URI: name}}
		var err error
		switch st, statErr := os.Stat(name); {
		case statErr == nil && st.IsDir():
			m, err = fleet.Scan(name)
		case strings.HasSuffix(name, ".jsonl"):
			m, err = fleet.ReadManifest(name)
		}
		if err != nil {
			return nil, err
		}
		all = append(all, m...)
	}
	seen := map[string]bool{}
	for i := range all {
		if seen[all[i].Name()] {
			return nil, usage("%s is named twice", all[i].Name())
		}
		seen[all[i].Name()] = true
	}
	if len(all) == 0 {
		return nil, usage("name images, a directory of images, or a manifest")
	}
	return all, f.label(all)
}

// label gives all items the labels of the command line, but for those that have them.
func (f *fleetApp) label(all fleet.Manifest) error {
	for _, l := range f.labels {
		name, value, ok := strings.Cut(l, "=")
		if !ok || name == "" {
			return usage("--label %q is not NAME=VALUE", l)
		}
		for i := range all {
			if _, has := all[i].Labels[name]; has {
				continue
			}
			if all[i].Labels == nil {
				all[i].Labels = map[string]string{}
			}
			all[i].Labels[name] = value
		}
	}
	return nil
}

func (f *fleetApp) run() *cobra.Command {
	c := &cobra.Command{
		Use: "run IMAGE|DIRECTORY|MANIFEST.jsonl...", Short: "Analyse images here, several at a time",
		Long: "Analyse images here, several at a time: those that are named, all below a directory, or those of a manifest.\n\n" +
			"Exit status: 0 all reports are whole; 3 some are not, or failed; 1 some have no result, which the next run makes.",
		Example: examples("nodelens fleet run images/ -o results --label cluster=prod", "nodelens fleet run manifest.jsonl -o results -j 8 --memory 2048"),
		RunE: func(c *cobra.Command, args []string) error {
			r, err := f.runner(c)
			if err != nil {
				return err
			}
			m, err := f.items(args)
			if err != nil {
				return err
			}
			r.Progress = func(p fleet.Progress) {
				if !f.quiet {
					fmt.Fprintf(f.stderr, "%d/%d %s\n", p.Done, p.Of, outcome(p.Result, p.Had))
				}
			}
			sum, err := r.Run(c.Context(), m)
			fmt.Fprintln(f.stdout, sum)
			f.status = sum.Exit()
			return err
		},
	}
	f.register(c)
	return c
}

// outcome says what became of an image, in a line.
func outcome(r *fleet.Result, had bool) string {
	line := fmt.Sprintf("%s %s", r.Status, text.Word(r.Item.Name()))
	switch {
	case r.Failure != nil:
		line += fmt.Sprintf(" %s: %s", r.Failure.Cause, r.Failure.Reason)
	case r.Status == fleet.NotWhole:
		line += " " + text.Word(r.Node) + ", " + text.Count(r.Losses, "loss", "losses")
	default:
		line += " " + text.Word(r.Node)
	}
	if had {
		line += " (had its result)"
	}
	return line
}

func (f *fleetApp) scan() *cobra.Command {
	return &cobra.Command{
		Use: "scan DIRECTORY", Short: "Print a manifest of the images below a directory", Args: cobra.ExactArgs(1),
		Example: examples("nodelens fleet scan images/ > manifest.jsonl"),
		RunE: func(_ *cobra.Command, args []string) error {
			m, err := fleet.Scan(args[0])
			if err != nil {
				return err
			}
			w := bufio.NewWriter(f.stdout)
			return errors.Join(m.Write(w), w.Flush())
		},
	}
}

func (f *fleetApp) summary() *cobra.Command {
	c := &cobra.Command{
		Use: "summary IMAGE|DIRECTORY|MANIFEST.jsonl...", Short: "Count what became of images, and name those that are not whole",
		Long: "Count what became of images, by the results alone, and name those that are not whole, failed, or have no result.\n\n" +
			"Exit status: 0 all reports are whole; 3 they are not.",
		Example: examples("nodelens fleet summary manifest.jsonl -o results"),
		RunE: func(_ *cobra.Command, args []string) error {
			m, err := f.items(args)
			if err != nil {
				return err
			}
			results, err := fleet.OpenResults(f.out)
			if err != nil {
				return err
			}
			return f.tell(fleet.Summarize(m, results))
		},
	}
	c.Flags().StringVarP(&f.out, "out", "o", "results", "the `DIRECTORY` of results")
	return c
}

// tell prints a summary.
func (f *fleetApp) tell(sum *fleet.Summary, entries []fleet.Entry, errs []error) error {
	w := bufio.NewWriter(f.stdout)
	fmt.Fprintln(w, sum)
	for _, e := range entries {
		switch {
		case e.Result == nil:
			fmt.Fprintf(w, "silent %s\n", text.Word(e.Item.Name()))
		case e.Result.Status != fleet.Whole:
			fmt.Fprintln(w, outcome(e.Result, false))
		}
	}
	f.status = sum.Exit()
	for _, err := range errs {
		f.status = exitNotWhole
		fmt.Fprintf(f.stderr, "nodelens: %s\n", text.Message(err))
	}
	return w.Flush()
}
