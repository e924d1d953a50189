// Kstruct prints objects of the kernel in an image, as drgn does and as crash's command
// struct does.
//
//	kstruct [flags] VARIABLE[.MEMBER[,MEMBER...]] IMAGE
//	kstruct [flags] TYPE[.MEMBER[,MEMBER...]] ADDRESS IMAGE
//
// VARIABLE is a symbol, and TYPE a type as C has it. A MEMBER is a path with dots, -> and
// indexes, as package kstruct has them. ADDRESS is hexadecimal, with or without 0x. IMAGE
// is an image in any format that package image opens; the symbols of its kernel are taken
// from it, unless -isf names them.
//
// It exits with 0 if all could be read, with 3 if not, with 1 if nothing could, with 2 if it
// was called wrongly, and with 130 if it was interrupted.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/nodelens/nodelens/examples/internal/query"
	"github.com/nodelens/nodelens/image"
	"github.com/nodelens/nodelens/internal/command"
	"github.com/nodelens/nodelens/internal/text"
	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/vmem"
)

// exitNotWhole says that some of it could not be read.
const exitNotWhole = 3

func main() { command.Main(run, os.Interrupt) }

// settings are what the command line says.
type settings struct {
	query   query.Query
	image   string
	isf     string
	cpu     int
	quiet   bool
	printer kstruct.Printer
}

// newCommand returns the command, which sets s when it is parsed.
func newCommand(s *settings) *command.Command {
	c := command.New("kstruct", "VARIABLE[.MEMBER,...]|TYPE[.MEMBER,...] [ADDRESS] IMAGE")
	c.About = "Prints objects of the kernel in an image: a variable, or what has a type at an address; whole, or some members."
	c.Examples = []string{
		"kstruct init_uts_ns.name.nodename node.lime",
		"kstruct 'task_struct.comm,real_cred->uid' ffff8a0b82d50000 node.lime",
		"kstruct -cpu 0 'runqueues.curr->comm' node.lime",
	}
	c.Statuses = []string{
		"0  all could be read",
		"1  nothing could be read: standard error says why",
		"3  some could not be read: standard error says why",
	}
	c.Flags.StringVar(&s.isf, "isf", "", "take the symbols from `FILE`, in Volatility's format")
	c.Flags.IntVar(&s.cpu, "cpu", -1, "VARIABLE is the copy of the CPU with number `N` of a per-CPU variable")
	c.Flags.BoolVar(&s.printer.OmitTypes, "no-types", false, "leave the types out")
	c.Flags.BoolVar(&s.printer.OmitZeros, "no-zeros", false, "leave out members that are zero")
	c.Flags.IntVar(&s.printer.MaxDepth, "depth", 0, "print `N` levels of structures; 0: all")
	c.Flags.BoolVar(&s.quiet, "q", false, "show no progress")
	return c
}

// run is main with its surroundings as arguments; it returns the exit status.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var s settings
	c := newCommand(&s)
	rest, status, end := c.Parse(args, stdout, stderr)
	if end {
		return status
	}
	if err := s.take(rest); err != nil {
		return c.Refuse(stderr, err)
	}
	if err := command.CheckOutput(stdout); err != nil {
		return c.Fail(stderr, err)
	}
	meter := command.NewMeter(stderr, s.quiet)
	lost, err := s.print(ctx, stdout, meter)
	meter.Clear()
	switch {
	case err != nil:
		return c.Fail(stderr, err)
	case lost != nil:
		fmt.Fprintf(stderr, "kstruct: %s\n", text.Message(lost))
		return exitNotWhole
	}
	return command.OK
}

// take takes what is no flag.
func (s *settings) take(rest []string) error {
	if len(rest) != 2 && len(rest) != 3 {
		return fmt.Errorf("two or three arguments are expected, not %d", len(rest))
	}
	s.query = query.Parse(rest[0])
	s.image = rest[len(rest)-1]
	if len(rest) == 2 {
		return nil
	}
	if s.cpu >= 0 {
		return errors.New("-cpu is for variables, not for what is at an address")
	}
	return s.query.At(rest[1])
}

// print prints what is asked for. lost is the first error of what could not be read.
func (s *settings) print(ctx context.Context, w io.Writer, meter *command.Meter) (lost, err error) {
	file, err := image.Open(ctx, s.image, &image.Options{Progress: meter.Show, IndexDir: command.CacheDir("index")})
	if err != nil {
		return nil, err
	}
	defer file.Close()
	kernel, err := s.open(ctx, file, meter)
	if err != nil {
		return nil, err
	}
	meter.Clear()
	v := s.query.Value(kernel.Objects(), s.cpu)
	if v.Err() != nil {
		return nil, v.Err()
	}
	return s.query.Print(w, &s.printer, v)
}

// open finds the kernel in an image.
func (s *settings) open(ctx context.Context, mem vmem.Memory, meter *command.Meter) (*linux.Kernel, error) {
	if s.isf != "" {
		symbols, err := isf.Open(s.isf)
		if err != nil {
			return nil, err
		}
		return linux.Open(ctx, mem, &linux.Options{Symbols: symbols, Progress: meter.Show})
	}
	kernel, err := image.OpenKernel(ctx, mem, &image.Options{Progress: meter.Show})
	if err != nil {
		return nil, err
	}
	return kernel.Kernel, nil
}
