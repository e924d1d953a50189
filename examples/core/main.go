// Core writes the memory of processes out of a memory image as ELF cores, which gdb and others open, and searches it.
//
//	core -pid PID -o FILE IMAGE
//	core -search EXPRESSION [-pid PID] IMAGE
//
// The core goes to FILE, whole or not at all. What could not be read is told on standard error; it is a hole in the core, or zeros.
//
// It exits with 0 if all went well, with 1 if there was an error, with 2 if it was called wrongly, with 3 if something was lost, and with
// 130 if it was interrupted.
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"

	"github.com/nodelens/nodelens/image"
	"github.com/nodelens/nodelens/internal/command"
	"github.com/nodelens/nodelens/internal/text"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/linux/memory"
)

func main() { command.Main(run, os.Interrupt) }

// exitPartial is the status where something was lost.
const exitPartial = 3

// settings are what the command line says.
type settings struct {
	pid         int
	out, search string
	quiet       bool

	expr *regexp.Regexp // of search
}

func newCommand(s *settings) *command.Command {
	c := command.New("core", "IMAGE")
	c.About = "Writes the memory of a process out of a memory image as an ELF core, or searches that of processes."
	c.Examples = []string{"core -pid 748 -o core.748 node.lime", "core -search 'BEGIN [A-Z ]*PRIVATE KEY' node.lime"}
	c.Statuses = []string{"0  all went well", "1  there was an error: standard error says which", "3  something was lost: standard error says what"}
	c.Flags.IntVar(&s.pid, "pid", 0, "the process `PID`, by its number in the initial namespace")
	c.Flags.StringVar(&s.out, "o", "", "write its core to `FILE`, which must not exist")
	c.Flags.StringVar(&s.search, "search", "", "look for an `EXPRESSION` instead, in the memory of all processes or of that of -pid")
	c.Flags.BoolVar(&s.quiet, "q", false, "show no progress")
	return c
}

func (s *settings) check(args []string) (err error) {
	switch {
	case len(args) != 1:
		return errors.New("name one image")
	case s.search != "" && s.out != "":
		return errors.New("-search and -o contradict each other")
	case s.search == "" && (s.out == "" || s.pid == 0):
		return errors.New("name a process with -pid and a file with -o, or what to look for with -search")
	}
	if s.search != "" {
		s.expr, err = regexp.Compile(s.search)
	}
	return err
}

// run is main with its surroundings as arguments; it returns the exit status.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var s settings
	c := newCommand(&s)
	rest, status, end := c.Parse(args, stdout, stderr)
	if end {
		return status
	}
	if err := s.check(rest); err != nil {
		return c.Refuse(stderr, err)
	}
	w := &work{ctx: ctx, stderr: stderr}
	if err := s.work(w, rest[0], stdout); err != nil {
		return c.Fail(stderr, err)
	}
	if w.lost {
		return exitPartial
	}
	return command.OK
}

// work is what goes on, and what is lost of it.
type work struct {
	ctx    context.Context //nolint:containedctx // it lives as long as one call
	kernel *linux.Kernel
	stderr io.Writer
	lost   bool
}

// lose tells what was lost.
func (w *work) lose(err error) {
	w.lost = true
	fmt.Fprintln(w.stderr, "core:", text.Line(err.Error()))
}

// work does what is asked for with an image.
func (s *settings) work(w *work, name string, stdout io.Writer) error {
	meter := command.NewMeter(w.stderr, s.quiet)
	defer meter.Clear()
	file, err := image.Open(w.ctx, name, &image.Options{Progress: meter.Show})
	if err != nil {
		return err
	}
	defer file.Close() // it was only read
	k, err := image.OpenKernel(w.ctx, file, &image.Options{Progress: meter.Show})
	if err != nil {
		return err
	}
	meter.Clear()
	w.kernel = k.Kernel
	var tasks []*linux.Task
	for t, err := range w.kernel.Processes(w.ctx) {
		switch {
		case err != nil:
			w.lose(err)
		case s.pid == 0 || int(t.PID) == s.pid:
			tasks = append(tasks, t)
		}
	}
	switch {
	case w.ctx.Err() != nil:
		return w.ctx.Err()
	case len(tasks) == 0:
		return fmt.Errorf("no process %d in the image", s.pid)
	case s.expr != nil:
		return w.search(tasks, s.expr, stdout)
	}
	return w.write(tasks[0], s.out)
}

// search prints a line for each hit: the process, the address, the mapping, and what was found.
func (w *work) search(tasks []*linux.Task, expr *regexp.Regexp, stdout io.Writer) error {
	out := bufio.NewWriter(stdout)
	for hit, err := range memory.New(w.kernel, nil).Search(w.ctx, tasks, []memory.Pattern{{Expr: expr}}) {
		if err != nil {
			w.lose(err)
			continue
		}
		if _, err := fmt.Fprintf(out, "%v %v %v %s %q\n", hit.Task, hit.Address, hit.Mapping.Flags, text.Line(hit.Mapping.Path), hit.Data); err != nil {
			return err
		}
	}
	return errors.Join(out.Flush(), w.ctx.Err())
}

// write writes the core of a process to a file that was not there before.
func (w *work) write(t *linux.Task, name string) error {
	return command.Create(name, func(out io.Writer) error {
		core, err := memory.New(w.kernel, nil).WriteCore(w.ctx, out, t)
		if err != nil {
			return err
		}
		for _, g := range core.Gaps {
			w.lose(g)
		}
		fmt.Fprintf(w.stderr, "core: %v: threads: %d, mappings: %d, bytes: %d, of which lost: %d\n", t, core.Threads, core.Segments, core.Bytes, core.Lost)
		return nil
	})
}
