// Package command is what the commands of this module have in common: how they are called,
// how they show progress, and how they end.
package command

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path"
	"runtime"
	"slices"
	"strings"

	"github.com/nodelens/nodelens/internal/interrupt"
	"github.com/nodelens/nodelens/internal/text"
	"github.com/nodelens/nodelens/internal/version"
)

// Exit statuses of all commands. One that was interrupted ends with [interrupt.Status].
const (
	OK     = 0
	Failed = 1
	Usage  = 2
)

// A Command is how a command is called.
type Command struct {
	Flags    *flag.FlagSet // with the name of the command
	Args     string        // what stands beside the flags, such as [IMAGE]
	About    string        // what it does
	Examples []string      // command lines
	Statuses []string      // each exit status and its meaning, but for Usage and an interrupt
	version  bool
}

// New returns a command without flags of its own. It has -h and -version.
func New(name, args string) *Command {
	c := &Command{Flags: flag.NewFlagSet(name, flag.ContinueOnError), Args: args}
	c.Flags.SetOutput(io.Discard)
	c.Flags.Usage = func() {}
	c.Flags.BoolVar(&c.version, "version", false, "print the version")
	return c
}

// Parse reads a command line, in which flags stand anywhere before a --, and returns what
// is no flag. If end is true the command has nothing more to do: it was asked for help or
// its version, or called wrongly, and is to end with status.
func (c *Command) Parse(args []string, stdout, stderr io.Writer) (rest []string, status int, end bool) {
	rest, err := c.parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return nil, c.write(c.help(), stdout, stderr), true
	case err != nil:
		return nil, c.Refuse(stderr, err), true
	case c.version:
		return nil, c.write(c.Flags.Name()+" "+Version()+"\n", stdout, stderr), true
	}
	return rest, OK, false
}

func (c *Command) parse(args []string) (rest []string, err error) {
	after := []string(nil)
	if i := slices.Index(args, "--"); i >= 0 {
		args, after = args[:i], args[i+1:]
	}
	for {
		if err := c.Flags.Parse(args); err != nil {
			return nil, err
		}
		if args = c.Flags.Args(); len(args) == 0 {
			return append(rest, after...), nil
		}
		rest, args = append(rest, args[0]), args[1:]
	}
}

// Refuse says that the command was called wrongly, and returns the status for that.
func (c *Command) Refuse(stderr io.Writer, err error) int {
	name := c.Flags.Name()
	fmt.Fprintf(stderr, "%s: %s\nusage: %s; %s -h says more\n", name, text.Message(err), c.synopsis(), name)
	return Usage
}

var errInterrupted = errors.New("interrupted")

// Fail says why the command failed, and returns the status for that.
func (c *Command) Fail(stderr io.Writer, err error) int {
	if errors.Is(err, context.Canceled) {
		err = errInterrupted
	}
	fmt.Fprintf(stderr, "%s: %s\n", c.Flags.Name(), text.Message(err))
	return Failed
}

// write prints what the user asked for.
func (c *Command) write(s string, stdout, stderr io.Writer) int {
	err := CheckOutput(stdout)
	if err == nil {
		_, err = io.WriteString(stdout, s)
	}
	if err != nil {
		return c.Fail(stderr, err)
	}
	return OK
}

func (c *Command) synopsis() string {
	return strings.TrimSpace(c.Flags.Name() + " [flags] " + c.Args)
}

// help is the answer to -h.
func (c *Command) help() string {
	var b strings.Builder
	fmt.Fprintf(&b, "usage: %s\n\n%s\n\n", c.synopsis(), strings.TrimSpace(c.About))
	for _, example := range c.Examples {
		fmt.Fprintf(&b, "  %s\n", example)
	}
	b.WriteString("\nflags, before and after the rest:\n")
	c.Flags.SetOutput(&b)
	c.Flags.PrintDefaults()
	c.Flags.SetOutput(io.Discard)
	b.WriteString("\nexit status:\n")
	for _, s := range c.Statuses {
		fmt.Fprintf(&b, "  %s\n", s)
	}
	fmt.Fprintf(&b, "  %d  called wrongly\n  %d  interrupted\n", Usage, interrupt.Status)
	return b.String()
}

// Main runs a command with the process's arguments and streams, and ends the process. run
// is given a context that ends with the first of the signals.
func Main(run func(ctx context.Context, args []string, stdout, stderr io.Writer) int, signals ...os.Signal) {
	ctx, stop := interrupt.Context(signals...)
	status := interrupt.Exit(ctx, run(ctx, os.Args[1:], os.Stdout, os.Stderr))
	stop()
	os.Exit(status)
}

// Version returns the version of the program, and of Go.
func Version() string {
	return cmp.Or(version.Program(), "(devel)") + " " + runtime.Version()
}

// IsWord reports whether s is a word such as a command would be called: not the name of a
// file in another directory or with an extension.
func IsWord(s string) bool { return s != "" && s == path.Base(s) && !strings.ContainsAny(s, `.\`) }
