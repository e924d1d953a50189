package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/nodelens/nodelens/examples/internal/nodeimage"
	"github.com/nodelens/nodelens/internal/command"
	"github.com/nodelens/nodelens/internal/jsonx"
	"github.com/nodelens/nodelens/internal/table"
	"github.com/nodelens/nodelens/internal/text"
)

// exitNotWhole says that something was lost on the way to the answer.
const exitNotWhole = 3

// An app is one run of the command.
type app struct {
	images         images
	stdout, stderr io.Writer
	args           []string

	flags  *nodeimage.Flags
	filter filter
	quiet  bool
	color  string
	meter  *command.Meter
	status int
	tables map[string]func() (*jsonx.Schema, error) // of the answers to questions, by their names
}

func newApp(stdout, stderr io.Writer, from images) *app {
	return &app{images: from, stdout: stdout, stderr: stderr, flags: nodeimage.New("--"), tables: map[string]func() (*jsonx.Schema, error){}}
}

// A usageError says that the command was called wrongly.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func usage(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// run runs the command with arguments; it returns the exit status.
func (a *app) run(ctx context.Context, args []string) int {
	a.args = args
	root := a.root()
	root.SetArgs(args)
	err := command.CheckOutput(a.stdout)
	if err == nil {
		err = root.ExecuteContext(ctx)
	}
	if a.meter != nil {
		a.meter.Clear()
	}
	if e, ok := errors.AsType[usageError](err); ok {
		fmt.Fprintf(a.stderr, "nodelens: %s\nnodelens --help lists the commands, and nodelens COMMAND --help says more of one\n", text.Message(e.error))
		return command.Usage
	}
	if err != nil {
		a.flags.Fail(a.stderr, "nodelens", err)
		return command.Failed
	}
	return a.status
}

const about = `Answers questions about a node whose memory was imaged: what is wrong, what ran in which pod, who talked to whom.

nodelens IMAGE prints the summary: what is wrong first. IMAGE is a LiME or AVML image, an ELF core, a kdump file or plain
memory, also compressed, or the https URL of one. The symbols of its kernel are found in the image.

Exit status: 0 the answer is whole; 3 something was lost on the way to it, and what is said; 1 there is no answer; 2 called
wrongly; 130 interrupted.`

// root returns the command with all its commands.
func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use: "nodelens IMAGE", Short: "Answers questions about a node whose memory was imaged", Long: about,
		Example: "  nodelens node.lime\n  nodelens ps node.lime --pod image-resizer\n  nodelens report node.lime -o node.html",
		Args:    func(_ *cobra.Command, args []string) error { return checkImage(args) },
		Version: command.Version(), SilenceErrors: true, SilenceUsage: true,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return c.Help()
			}
			return a.summary(c.Context(), args[0])
		},
	}
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.SetVersionTemplate("nodelens {{.Version}}\n")
	flags := flag.NewFlagSet("", flag.ContinueOnError)
	a.flags.Register(flags)
	root.PersistentFlags().AddGoFlagSet(flags)
	root.PersistentFlags().BoolVarP(&a.quiet, "quiet", "q", false, "show no progress")
	root.PersistentFlags().StringVar(&a.color, "color", "auto", "color the output: auto, always or never; auto is on terminals, unless NO_COLOR is set")
	root.PersistentPreRunE = func(*cobra.Command, []string) error { return a.check() }
	root.AddGroup(&cobra.Group{ID: "look", Title: "Questions:"}, &cobra.Group{ID: "take", Title: "To take things out of the image:"},
		&cobra.Group{ID: "many", Title: "Of many images:"})
	for _, c := range a.questions() {
		c.GroupID = "look"
		root.AddCommand(c)
	}
	for _, c := range a.takers() {
		c.GroupID = "take"
		root.AddCommand(c)
	}
	many := a.fleet()
	many.GroupID = "many"
	root.AddCommand(many, a.version(), a.schema())
	return root
}

// check refuses flags that contradict themselves.
func (a *app) check() error {
	if err := a.flags.Check(); err != nil {
		return usageError{err}
	}
	switch a.color {
	case "auto", "always", "never":
	default:
		return usage("--color %q is none of auto, always and never", a.color)
	}
	return nil
}

// checkImage refuses what is no name of one image.
func checkImage(args []string) error {
	switch {
	case len(args) > 1:
		return usage("%q is no command, or there is more than one image", args[0])
	case len(args) == 1 && command.IsWord(args[0]) && !nodeimage.Exists(args[0]):
		return usage("%s is no command, and there is no image of that name", args[0])
	}
	return nil
}

// oneImage is what commands take that have no other arguments.
func oneImage(_ *cobra.Command, args []string) error {
	if len(args) != 1 {
		return usage("name one image")
	}
	return nil
}

// colors reports whether output is to have color.
func (a *app) colors() bool {
	switch a.color {
	case "always":
		return true
	case "never":
		return false
	}
	return command.IsTerminal(a.stdout) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}

// paint returns a line as its mark has it.
func (a *app) paint(s string, m table.Mark) string { return table.Paint(s, m, a.colors()) }

// version returns the command that prints the version.
func (a *app) version() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			_, err := fmt.Fprintf(a.stdout, "nodelens %s\n", command.Version())
			return err
		},
	}
}

// examples indents lines for the help.
func examples(lines ...string) string { return "  " + strings.Join(lines, "\n  ") }
