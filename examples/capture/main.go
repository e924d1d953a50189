// Capture writes an image of this machine's memory to a file, to standard output or to a
// URL, from where it runs: a node, or a pod on it.
//
//	capture [flags] -o FILE
//	capture [flags] -o - | ...
//	capture [flags] -url URL
//
// The URL is one that takes a PUT of the whole image without more, such as a signed URL of
// a bucket of Google Cloud Storage; with -resumable it is the session of a resumable upload
// there. Nothing is written to disk then. The length of the image is sent before only where
// it is known: of a whole one in the format lime. Amazon S3 takes no others.
//
// It exits with 0 if the image has all memory that was asked for, with 3 if it lacks some,
// for reasons that are in the manifest, with 4 if the machine withholds its memory, with 1
// if there is no whole image for another reason, with 2 if it was called wrongly, and with
// 130 if it was interrupted. Where the machine withholds its memory no file is left.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"

	"github.com/nodelens/nodelens/capture"
	"github.com/nodelens/nodelens/internal/command"
	"github.com/nodelens/nodelens/internal/text"
	"github.com/nodelens/nodelens/kcore"
)

// Exit statuses, beside those of package command.
const (
	exitWhole    = command.OK
	exitFailed   = command.Failed
	exitUsage    = command.Usage
	exitNotWhole = 3
	exitRefused  = 4
)

func main() {
	smallPages()
	command.Main(run, os.Interrupt, syscall.SIGTERM)
}

// run is main with its surroundings as arguments; it returns the exit status.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	s := new(settings)
	c := s.command()
	rest, status, end := c.Parse(args, stdout, stderr)
	if end {
		return status
	}
	if err := s.check(rest); err != nil {
		return c.Refuse(stderr, err)
	}
	opts, done, err := s.options(ctx)
	if err != nil {
		return fail(stderr, err)
	}
	defer done()
	meter := command.NewMeter(stderr, s.quiet)
	opts.Progress = func(done, total int64) { meter.Show("capturing", done, total) }
	m, err := s.deliver(ctx, opts, stdout, meter)
	meter.Clear()
	if err = errors.Join(err, s.writeManifest(m, stderr)); err != nil {
		return fail(stderr, err)
	}
	fmt.Fprintf(stderr, "captured %d MiB of memory as %d MiB of %v, sha256 %s\n",
		m.Image.Memory>>20, m.Image.Bytes>>20, m.Image.Format, m.Image.SHA256)
	if m.Whole() {
		return exitWhole
	}
	explain(stderr, m)
	return exitNotWhole
}

// deliver captures to where the command line says.
func (s *settings) deliver(ctx context.Context, opts *capture.Options, stdout io.Writer, meter *command.Meter) (*capture.Manifest, error) {
	switch {
	case s.url != "" && s.resumable:
		return captureResumable(ctx, s.url, opts)
	case s.url != "":
		return capturePut(ctx, s.url, s.retries, opts, meter.Line)
	case s.out == "-":
		if err := command.CheckOutput(stdout); err != nil {
			return nil, err
		}
		return capture.Run(ctx, stdout, opts)
	}
	return captureFile(ctx, s.out, opts)
}

// captureFile captures to a file or a device. It does not overwrite a file, and leaves none
// if nothing was captured.
func captureFile(ctx context.Context, name string, opts *capture.Options) (*capture.Manifest, error) {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|exclusive(name), 0o600)
	if err != nil {
		return nil, err
	}
	m, err := capture.Run(ctx, f, opts)
	if err == nil && keeps(f) {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if info, statErr := os.Stat(name); err != nil && statErr == nil && info.Mode().IsRegular() && info.Size() == 0 {
		err = errors.Join(err, os.Remove(name))
	}
	return m, err
}

// exclusive returns the flag that keeps a file from being overwritten, but for devices and
// pipes.
func exclusive(name string) int {
	if info, err := os.Stat(name); err == nil && !info.Mode().IsRegular() {
		return 0
	}
	return os.O_EXCL
}

// keeps reports whether what is written to f is kept: a pipe or a terminal has nothing to
// sync.
func keeps(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&(os.ModeNamedPipe|os.ModeSocket|os.ModeCharDevice) == 0
}

func fail(stderr io.Writer, err error) int {
	fmt.Fprintln(stderr, "capture:", text.Message(err))
	if _, ok := errors.AsType[*kcore.Refusal](err); ok {
		return exitRefused
	}
	return exitFailed
}

// explain says what the image lacks.
func explain(w io.Writer, m *capture.Manifest) {
	var missing uint64
	for _, x := range m.Missing {
		missing += x.Size
	}
	fmt.Fprintf(w, "the image lacks %d KiB in %d places; see the manifest\n", missing>>10, len(m.Missing))
	for _, n := range m.Notes {
		fmt.Fprintln(w, text.Line(n))
	}
}
