// Core writes the memory of processes out of a memory image as ELF cores, which gdb and others open, and searches it.
//
//	core -pid PID -o FILE IMAGE
//	core -search TEXT [-pid PID] IMAGE
//
// The core goes to FILE, whole or not at all. What could not be read is told on standard error; it is a hole in the core.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"regexp"

	"github.com/nodelens/nodelens/image"
	"github.com/nodelens/nodelens/internal/text"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/linux/memory"
)

func main() {
	if err := run(context.Background(), os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "core:", text.Line(err.Error()))
		os.Exit(1)
	}
}

// A command is what the command line asks for.
type command struct {
	pid    int
	out    string
	search *regexp.Regexp
	image  string
}

// errUsage says that the command line asks for nothing, or for too much.
var errUsage = errors.New("usage: core -pid PID -o FILE IMAGE, or core -search EXPRESSION [-pid PID] IMAGE")

func parse(args []string, stderr io.Writer) (*command, error) {
	f := flag.NewFlagSet("core", flag.ContinueOnError)
	f.SetOutput(stderr)
	c := new(command)
	f.IntVar(&c.pid, "pid", 0, "the `process`, by its number in the initial namespace")
	f.StringVar(&c.out, "o", "", "write its core to `FILE`")
	expr := f.String("search", "", "look for an `expression` instead, in the memory of all processes or of that of -pid")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	if f.NArg() != 1 || (*expr == "") == (c.out == "") || *expr == "" && c.pid == 0 {
		return nil, errUsage
	}
	c.image = f.Arg(0)
	if *expr == "" {
		return c, nil
	}
	var err error
	c.search, err = regexp.Compile(*expr)
	return c, err
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	c, err := parse(args, stderr)
	if err != nil {
		return err
	}
	file, err := image.Open(ctx, c.image, nil)
	if err != nil {
		return err
	}
	defer file.Close() // it was only read
	k, err := linux.Open(ctx, file, nil)
	if err != nil {
		return err
	}
	var tasks []*linux.Task
	for t, err := range k.Processes(ctx) {
		switch {
		case err != nil:
			fmt.Fprintln(stderr, "core:", text.Line(err.Error()))
		case c.pid == 0 || int(t.PID) == c.pid:
			tasks = append(tasks, t)
		}
	}
	if len(tasks) == 0 {
		return fmt.Errorf("no process %d", c.pid)
	}
	if c.search != nil {
		return search(ctx, k, tasks, c.search, stdout, stderr)
	}
	return write(ctx, k, tasks[0], c.out, stderr)
}

// search prints a line for each hit: the process, the address, the mapping, and what was found.
func search(ctx context.Context, k *linux.Kernel, tasks []*linux.Task, expr *regexp.Regexp, stdout, stderr io.Writer) error {
	for hit, err := range memory.New(k).Search(ctx, tasks, []memory.Pattern{{Expr: expr}}) {
		if err != nil {
			fmt.Fprintln(stderr, "core:", text.Line(err.Error()))
			continue
		}
		if _, err := fmt.Fprintf(stdout, "%v %v %v %s %q\n", hit.Task, hit.Address, hit.Mapping.Flags, text.Line(hit.Mapping.Path), hit.Data); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// write writes the core of a process to a file that was not there before.
func write(ctx context.Context, k *linux.Kernel, t *linux.Task, name string, stderr io.Writer) (err error) {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err = errors.Join(err, f.Close()); err != nil {
			os.Remove(name) // it is not whole
		}
	}()
	core, err := memory.New(k).WriteCore(ctx, f, t)
	if err != nil {
		return err
	}
	for _, g := range core.Gaps {
		fmt.Fprintln(stderr, "core:", text.Line(g.Error()))
	}
	fmt.Fprintf(stderr, "core: %v: %d threads, %d mappings, %d bytes, %d bytes lost\n", t, core.Threads, core.Segments, core.Bytes, core.Lost)
	return nil
}
