// Vmlinux2isf converts a kernel's debug information to ISF, the symbol format of
// Volatility 3, which is also what analyzenode takes.
//
//	vmlinux2isf [-o FILE] [-system-map FILE] VMLINUX
//
// VMLINUX is a vmlinux or a module with DWARF, as it is, compressed (.xz, .gz, .zst), or
// in a -dbg or -debuginfo package (.deb, .rpm). The result goes to the file that -o names, compressed
// if its name ends in .xz, .gz or .zst; without -o it is named after VMLINUX, with
// .isf.json.xz in the working directory. -system-map names the System.map of the same build: it
// adds symbols, and overrides the addresses of those that VMLINUX has elsewhere.
//
// It exits with 0 if all went well, with 3 if parts of the debug information were
// damaged and left out, which it tells on standard error, with 1 if there is no
// result, with 2 if it was called wrongly, and with 130 if it was interrupted.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/nodelens/nodelens/dwarfconv"
	"github.com/nodelens/nodelens/internal/command"
	"github.com/nodelens/nodelens/internal/text"
)

// Exit statuses, beside those of package command.
const (
	exitWhole    = command.OK
	exitNoResult = command.Failed
	exitUsage    = command.Usage
	exitNotWhole = 3
)

func main() { command.Main(run, os.Interrupt) }

// settings are what the command line says.
type settings struct {
	vmlinux, output, systemMap string
	quiet                      bool
}

// newCommand returns the command, which sets s when it is parsed.
func newCommand(s *settings) *command.Command {
	c := command.New("vmlinux2isf", "VMLINUX")
	c.About = "Converts a kernel's debug information to ISF, the symbol format of Volatility 3 and of analyzenode.\n" +
		"VMLINUX is a vmlinux or a module with DWARF, also compressed, or a -dbg or -debuginfo package (.deb, .rpm)."
	c.Examples = []string{
		"vmlinux2isf vmlinux-6.6.72.xz",
		"vmlinux2isf -o node.isf.json linux-image-6.1.0-44-amd64-dbg.deb",
		"vmlinux2isf vmlinux -system-map System.map-6.6.72",
	}
	c.Statuses = []string{
		"0  all went well",
		"1  there is no result: standard error says why",
		"3  parts of the debug information were damaged and left out",
	}
	c.Flags.StringVar(&s.output, "o", "", "write to `FILE`, compressed if it ends in .xz, .gz or .zst; default: named after VMLINUX, with .isf.json.xz")
	c.Flags.StringVar(&s.systemMap, "system-map", "", "take symbols from `FILE`, a System.map, too")
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
	if len(rest) != 1 {
		return c.Refuse(stderr, fmt.Errorf("one file is expected, not %d", len(rest)))
	}
	if s.vmlinux = rest[0]; s.output == "" {
		s.output = outputName(s.vmlinux)
	}
	lost, err := s.convert(ctx, command.NewMeter(stderr, s.quiet))
	switch {
	case err != nil:
		return c.Fail(stderr, err)
	case lost > 0:
		fmt.Fprintf(stderr, "vmlinux2isf: %s is not whole\n", text.Printable(s.output))
		return exitNotWhole
	}
	return exitWhole
}

// outputName returns the name of the result for a file: its own, less what says how it
// is packed.
func outputName(vmlinux string) string {
	name := filepath.Base(vmlinux)
	for _, ext := range []string{".xz", ".gz", ".zst", ".deb", ".rpm", ".ko", ".debug"} {
		name = strings.TrimSuffix(name, ext)
	}
	return name + ".isf.json.xz"
}

// convert converts, and returns how many complaints there were.
func (s *settings) convert(ctx context.Context, meter *command.Meter) (lost int, err error) {
	defer meter.Clear()
	opts := &dwarfconv.Options{
		Hash:     true,
		Progress: meter.Show,
		Warn: func(err error) {
			lost++
			meter.Line(text.Message(err))
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
		return lost, err
	}
	if !s.quiet {
		meter.Line("writing " + text.Printable(s.output))
	}
	return lost, f.WriteFile(s.output)
}
