// Kernellayout makes the layout of a kernel, by which Nodelens reads images whose own types
// and symbols are damaged.
//
//	kernellayout [-o DIR] [-build-id ID] FILE...
//	kernellayout [-o DIR] [-build-id ID] -modules KERNEL FILE...
//
// FILE is whatever has the symbols of a kernel: a vmlinux with DWARF, as it is, compressed, or
// in a -dbg or -debuginfo package (.deb, .rpm); an ISF file; or an undamaged memory image of a machine
// that runs it. The layout, of some twenty kilobytes, goes to the directory that -o names, under the build
// id and the release of the kernel. -build-id says the build id where FILE does not: ISF files and packages
// don't.
//
// With -modules, each FILE is a module with DWARF (.ko, .ko.debug) of the kernel that KERNEL has the symbols of, and
// the layout is of the types that these modules have and the kernel lacks. It is for kernels before 5.11, in whose
// memory there are no types of modules.
//
// It exits with 0 if all went well, with 1 if a layout could not be made, with 2 if it was
// called wrongly, and with 130 if it was interrupted.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/nodelens/nodelens/btfconv"
	"github.com/nodelens/nodelens/image"
	"github.com/nodelens/nodelens/internal/command"
	"github.com/nodelens/nodelens/internal/text"
	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/layouts"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/symbols"
	"github.com/nodelens/nodelens/symbols/vmlinux"
)

func main() { command.Main(run, os.Interrupt) }

// settings are what the command line says.
type settings struct {
	output, buildID string
	modules         string
	quiet           bool
}

// newCommand returns the command, which sets s when it is parsed.
func newCommand(s *settings) *command.Command {
	c := command.New("kernellayout", "FILE...")
	c.About = "Makes the layout of a kernel, by which images are read whose own types and symbols are damaged.\n" +
		"FILE is a vmlinux with DWARF, a package with one, an ISF file, or an undamaged image of a machine that runs the kernel."
	c.Examples = []string{
		"kernellayout vmlinux-6.6.72",
		"kernellayout -o ~/.cache/nodelens/layouts node.lime",
	}
	c.Statuses = []string{"0  all went well", "1  a layout could not be made: standard error says why"}
	c.Flags.StringVar(&s.output, "o", ".", "write to directory `DIR`, which is made if it is missing")
	c.Flags.StringVar(&s.buildID, "build-id", "", "the build id of the kernel in hexadecimal is `ID`, where FILE does not say it")
	c.Flags.StringVar(&s.modules, "modules", "", "make the layout of the modules FILE of the kernel that file `KERNEL` has the symbols of")
	c.Flags.BoolVar(&s.quiet, "q", false, "show no progress")
	return c
}

// run is main with its surroundings as arguments; it returns the exit status.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var s settings
	c := newCommand(&s)
	files, status, end := c.Parse(args, stdout, stderr)
	switch {
	case end:
		return status
	case len(files) == 0:
		return c.Refuse(stderr, errors.New("name a file that has the symbols of a kernel"))
	case s.buildID != "" && len(files) > 1 && s.modules == "":
		return c.Refuse(stderr, errors.New("-build-id is that of one kernel: name one file with it"))
	}
	meter := command.NewMeter(stderr, s.quiet)
	defer meter.Clear()
	if s.modules != "" {
		made, differ, err := s.makeModules(ctx, files, meter)
		meter.Clear()
		if err != nil {
			return c.Fail(stderr, err)
		}
		if len(differ) > 0 {
			fmt.Fprintln(stderr, text.Printable("left out, since there are several of the name: "+strings.Join(differ, " ")))
		}
		fmt.Fprintln(stdout, text.Printable(made))
		return command.OK
	}
	for _, name := range files {
		made, err := s.make(ctx, name, meter)
		if err != nil {
			meter.Clear()
			return c.Fail(stderr, err)
		}
		meter.Clear()
		fmt.Fprintln(stdout, text.Printable(made))
	}
	return command.OK
}

// make makes one layout and returns the name of its file.
func (s *settings) make(ctx context.Context, name string, meter *command.Meter) (string, error) {
	f, buildID, err := read(ctx, name, meter)
	if err != nil {
		return "", err
	}
	if s.buildID != "" {
		buildID = s.buildID
	}
	if lost := f.Lost(); len(lost) > 0 {
		return "", fmt.Errorf("%s: not whole: %w", name, lost[0])
	}
	if _, err := f.UserType("task_struct"); err != nil {
		return "", fmt.Errorf("%s: no types of a kernel: %w", name, err)
	}
	small, err := layouts.Extract(f, linux.Needs(f))
	if err != nil {
		return "", err
	}
	return s.write(small, name, f.Banner(), buildID)
}

// write writes the layout of the kernel with a banner, which the file of some name has.
func (s *settings) write(small *isf.File, name, banner, buildID string) (string, error) {
	release := releaseOf(banner)
	if release == "" {
		return "", fmt.Errorf("%s: the symbols hold no banner, so that it is not known of which kernel they are", name)
	}
	if err := os.MkdirAll(s.output, 0o777); err != nil {
		return "", err
	}
	made := filepath.Join(s.output, layouts.FileName(buildID, release))
	return made, small.WriteFile(made)
}

// makeModules makes the layout of modules, and returns the name of its file and the types
// that are not in it.
func (s *settings) makeModules(ctx context.Context, files []string, meter *command.Meter) (made string, differ []string, err error) {
	kernel, buildID, err := read(ctx, s.modules, meter)
	if err != nil {
		return "", nil, err
	}
	if s.buildID != "" {
		buildID = s.buildID
	}
	m, err := layouts.NewMerger(kernel)
	if err != nil {
		return "", nil, err
	}
	for _, name := range files {
		f, _, err := symbols.Read(ctx, name, &symbols.Options{Converters: []symbols.Converter{vmlinux.Converter}, Progress: meter.Show})
		if err == nil {
			err = m.Add(f, nil)
		}
		if err != nil {
			return "", nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	small, differ, err := m.File()
	if err != nil {
		return "", nil, err
	}
	made, err = s.write(small, s.modules, kernel.Banner(), buildID)
	return made, differ, err
}

// read returns the symbols in a file, and the build id of their kernel if it says it.
func read(ctx context.Context, name string, meter *command.Meter) (*isf.File, string, error) {
	f, buildID, err := symbols.Read(ctx, name, &symbols.Options{Converters: []symbols.Converter{vmlinux.Converter}, Progress: meter.Show})
	if err == nil || ctx.Err() != nil {
		return f, buildID, err
	}
	mem, err2 := image.Open(ctx, name, nil)
	if err2 != nil {
		return nil, "", errors.Join(err, err2)
	}
	defer mem.Close()
	f, report, err := btfconv.FromMemory(ctx, mem, nil)
	if err != nil {
		return nil, "", fmt.Errorf("%s: %w", name, err)
	}
	return f, report.BuildID, nil
}

// releaseOf returns the release that a banner says.
func releaseOf(banner string) string {
	release, _, _ := strings.Cut(strings.TrimPrefix(banner, "Linux version "), " ")
	return release
}
