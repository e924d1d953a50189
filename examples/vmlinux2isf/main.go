// Vmlinux2isf converts a kernel's debug information to ISF, the symbol format of
// Volatility 3, which is also what analyzenode takes.
//
//	vmlinux2isf [-o FILE] [-system-map FILE] VMLINUX
//
// VMLINUX is a vmlinux or a module with DWARF, as it is, compressed (.xz, .gz, .zst), or
// in a Debian -dbg package (.deb). The result goes to the file that -o names, compressed
// if its name ends in .xz, .gz or .zst; without -o it is named after VMLINUX, with
// .isf.json.xz in the working directory. -system-map names the System.map of the same build: it
// adds symbols, and overrides the addresses of those that VMLINUX has elsewhere.
//
// It exits with 0 if all went well, with 3 if parts of the debug information were
// damaged and left out, which it tells on standard error, with 1 if there is no
// result, with 2 if it was called wrongly, and with 130 if it was interrupted: a second
// interrupt ends it at once.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/nodelens/nodelens/dwarfconv"
	"github.com/nodelens/nodelens/internal/interrupt"
	"github.com/nodelens/nodelens/internal/text"
)

// Exit statuses.
const (
	exitWhole = iota
	exitNoResult
	exitUsage
	exitNotWhole
)

func main() {
	ctx, stop := interrupt.Context(os.Interrupt)
	status := interrupt.Exit(ctx, run(ctx, os.Args[1:], os.Stderr))
	stop()
	os.Exit(status)
}

// settings are what the command line says.
type settings struct {
	vmlinux, output, systemMap string
}

// run is main with its surroundings as arguments; it returns the exit status.
func run(ctx context.Context, args []string, stderr io.Writer) int {
	s, err := parse(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return exitWhole
	case err != nil:
		return exitUsage
	}
	lost, err := convert(ctx, s, stderr)
	switch {
	case err != nil:
		fmt.Fprintf(stderr, "vmlinux2isf: %s\n", text.Message(err))
		return exitNoResult
	case lost > 0:
		fmt.Fprintf(stderr, "vmlinux2isf: %s is not whole\n", text.Printable(s.output))
		return exitNotWhole
	}
	return exitWhole
}

func parse(args []string, stderr io.Writer) (settings, error) {
	var s settings
	flags := flag.NewFlagSet("vmlinux2isf", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprintln(stderr, "usage: vmlinux2isf [-o FILE] [-system-map FILE] VMLINUX")
		flags.PrintDefaults()
	}
	flags.StringVar(&s.output, "o", "", "write to `FILE`, compressed if it ends in .xz, .gz or .zst")
	flags.StringVar(&s.systemMap, "system-map", "", "take symbols from `FILE`, a System.map, too")
	if err := flags.Parse(args); err != nil {
		return s, err
	}
	if flags.NArg() != 1 {
		flags.Usage()
		return s, errors.New("one file is expected")
	}
	s.vmlinux = flags.Arg(0)
	if s.output == "" {
		s.output = outputName(s.vmlinux)
	}
	return s, nil
}

// outputName returns the name of the result for a file: its own, less what says how it
// is packed.
func outputName(vmlinux string) string {
	name := filepath.Base(vmlinux)
	for _, ext := range []string{".xz", ".gz", ".zst", ".deb", ".ko", ".debug"} {
		name = strings.TrimSuffix(name, ext)
	}
	return name + ".isf.json.xz"
}

// convert converts, and returns how many complaints there were.
func convert(ctx context.Context, s settings, stderr io.Writer) (lost int, err error) {
	show := newMeter(stderr)
	opts := &dwarfconv.Options{
		Hash:     true,
		Progress: show.update,
		Warn: func(err error) {
			lost++
			show.line(text.Message(err))
		},
	}
	if s.systemMap != "" {
		m, err := os.Open(s.systemMap)
		if err != nil {
			return 0, err
		}
		defer m.Close()
		opts.SystemMap, opts.SystemMapName = m, filepath.Base(s.systemMap)
	}
	f, err := dwarfconv.ConvertFile(ctx, s.vmlinux, opts)
	if err != nil {
		show.clear()
		return lost, err
	}
	show.line("writing " + text.Printable(s.output))
	return lost, f.WriteFile(s.output)
}
