// Release makes what is released: for each target an archive of all commands of this module, static and the same bytes wherever it is
// built, a bill of materials of it, and SHA256SUMS of all.
//
//	go run ./release v1.2.3 -o dist                   all targets
//	go run ./release v1.2.3 -o dist linux/amd64
//	go run ./release v1.2.3 -bin bin linux/amd64      the programs alone, for a container image
//	go run ./release -sbom PROGRAM ...                a bill of materials of programs that there are
//
// It is run in a clone or in the files of one, with no changes of one's own. The same version, the same files and the same Go give the same bytes;
// GOTOOLCHAIN=go1.26.8 names a Go, and the bill of materials says which one it was. docs/release.md says more.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/nodelens/nodelens/internal/command"
)

func main() { command.Main(run, os.Interrupt) }

// targets are what is released, by the system and the architecture.
var targets = []string{"darwin/amd64", "darwin/arm64", "linux/amd64", "linux/arm64", "windows/amd64"}

// versions are the tags that Go takes for versions of a module before its second.
var versions = regexp.MustCompile(`^v[01]\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)(-[0-9A-Za-z.-]+)?$`)

// A wish is what the command line asks for.
type wish struct {
	version  string
	targets  []string
	out, bin string
	sbom     bool
	programs []string
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var w wish
	c := w.command()
	rest, status, end := c.Parse(args, stdout, stderr)
	if end {
		return status
	}
	if err := w.check(rest); err != nil {
		return c.Refuse(stderr, err)
	}
	if err := w.fulfil(ctx, stdout, stderr); err != nil {
		return c.Fail(stderr, err)
	}
	return command.OK
}

// command returns the command, which sets w when it is parsed.
func (w *wish) command() *command.Command {
	c := command.New("release", "VERSION [TARGET ...] | -sbom PROGRAM ...")
	c.About = "Makes what is released of this module as VERSION, such as v1.2.3: an archive of all commands for each TARGET, such as linux/amd64, a\n" +
		"bill of materials (CycloneDX) of each, and SHA256SUMS. Without a TARGET it makes all: " + strings.Join(targets, ", ") + "."
	c.Examples = []string{"go run ./release v1.2.3 -o dist", "go run ./release -sbom /usr/local/bin/nodelens"}
	c.Statuses = []string{"0  all of it was made", "1  it was not"}
	c.Flags.StringVar(&w.out, "o", "dist", "the `DIRECTORY` for what is made, which must be empty or missing")
	c.Flags.StringVar(&w.bin, "bin", "", "write the programs of one TARGET to this `DIRECTORY`, and nothing else")
	c.Flags.BoolVar(&w.sbom, "sbom", false, "print a bill of materials of programs that there are")
	return c
}

// check takes the arguments, and refuses what can't be.
func (w *wish) check(rest []string) error {
	switch {
	case w.sbom && len(rest) == 0:
		return errors.New("name the programs")
	case w.sbom:
		w.programs = rest
		return nil
	case len(rest) == 0:
		return errors.New("name the version")
	case !versions.MatchString(rest[0]):
		return fmt.Errorf("%q is no version such as v1.2.3", rest[0])
	case w.bin != "" && len(rest) != 2:
		return errors.New("-bin is for one target")
	}
	for _, t := range rest[1:] {
		if !slices.Contains(targets, t) {
			return fmt.Errorf("%q is none of %s", t, strings.Join(targets, ", "))
		}
	}
	w.version, w.targets = rest[0], targets
	if len(rest) > 1 {
		w.targets = slices.Compact(slices.Sorted(slices.Values(rest[1:])))
	}
	return nil
}

func (w *wish) fulfil(ctx context.Context, stdout, stderr io.Writer) error {
	if w.sbom {
		return w.print(stdout)
	}
	b, err := newBuilder(ctx, w.version, stderr)
	if err != nil {
		return err
	}
	if w.bin != "" {
		_, err := b.build(ctx, w.targets[0], w.bin)
		return err
	}
	if err := empty(w.out); err != nil {
		return err
	}
	for _, target := range w.targets {
		if err := b.release(ctx, target, w.out); err != nil {
			return fmt.Errorf("%s: %w", target, err)
		}
	}
	return writeSums(w.out)
}

// print prints a bill of materials of programs, with the version that the first says itself.
func (w *wish) print(stdout io.Writer) error {
	made, err := programsOf(w.programs)
	if err != nil {
		return err
	}
	names := make([]string, len(made))
	for i := range made {
		names[i] = made[i].name
	}
	return writeSBOM(stdout, strings.Join(names, ", "), made[0].info.Main.Version, made)
}

// empty makes a directory, which must have nothing in it: what is released is of one run.
func empty(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // it is for others
		return err
	}
	entries, err := os.ReadDir(dir)
	if err == nil && len(entries) > 0 {
		err = fmt.Errorf("%s is not empty: there is %s", dir, filepath.Base(entries[0].Name()))
	}
	return err
}
