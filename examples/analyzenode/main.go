// Analyzenode says what ran on a Kubernetes node whose memory was imaged, pod by pod.
//
//	analyzenode [-json] [-raw] [-isf FILE | -vmlinux FILE] [IMAGE]
//
// IMAGE is a LiME or AVML image, an ELF core, a kdump file, or nothing but memory if a
// kernel is found in it; each also compressed by LZ4, gzip, zlib, xz or zstd. With -raw it
// is nothing but memory, whatever it looks like. Without IMAGE the image is analysed that
// comes with the repository. The symbols of the kernel are taken from the image, unless
// -isf names them in Volatility's format, or -vmlinux the kernel's
// vmlinux with DWARF. With -json the whole report is printed, in the form
// nodelens/node/v2.
//
// It exits with 0 if the report is whole, with 3 if it isn't, for reasons that it gives
// on standard error, with 1 if there is no report, with 2 if it was called wrongly,
// and with 130 if it was interrupted: a second interrupt ends it at once.
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/nodelens/nodelens/cos"
	"github.com/nodelens/nodelens/image"
	"github.com/nodelens/nodelens/internal/interrupt"
)

// Exit statuses.
const (
	exitWhole = iota
	exitNoReport
	exitUsage
	exitNotWhole
)

func main() {
	ctx, stop := interrupt.Context(os.Interrupt)
	status := interrupt.Exit(ctx, run(ctx, os.Args[1:], os.Stdout, os.Stderr))
	stop()
	os.Exit(status)
}

// settings are what the command line says.
type settings struct {
	image, symbols, vmlinux string
	json, raw               bool
}

// run is main with its surroundings as arguments; it returns the exit status.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	s, err := parse(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return exitWhole
	case err != nil:
		return exitUsage
	}
	if s.image == "" {
		if err := s.useBundled("."); err != nil {
			return fail(stderr, err)
		}
	}
	meter := newMeter(stderr)
	opts := &cos.Options{Arguments: args, SymbolFile: s.symbols, Progress: meter.show}
	if s.vmlinux != "" {
		opts.SymbolSource = &vmlinux{s.vmlinux, meter.show}
	}
	if s.raw {
		opts.Format = image.FormatRaw
	}
	report, err := cos.AnalyzeNode(ctx, cos.File(s.image), opts)
	meter.clear()
	if err != nil {
		return fail(stderr, err)
	}
	return deliver(report, s.json, stdout, stderr)
}

func parse(args []string, stderr io.Writer) (settings, error) {
	var s settings
	flags := flag.NewFlagSet("analyzenode", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&s.symbols, "isf", "", "symbols of the image's kernel: an ISF `FILE`, also compressed")
	flags.StringVar(&s.vmlinux, "vmlinux", "", "the kernel's vmlinux with DWARF: a `FILE`, also compressed or inside a Debian -dbg package")
	flags.BoolVar(&s.json, "json", false, "print the whole report as JSON")
	flags.BoolVar(&s.raw, "raw", false, "take the image for nothing but memory, without headers, whatever its content looks like")
	flags.Usage = func() {
		fmt.Fprintln(stderr, "usage: analyzenode [-json] [-raw] [-isf FILE | -vmlinux FILE] [IMAGE]")
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); err != nil {
		return s, err
	}
	if flags.NArg() > 1 {
		err := fmt.Errorf("more than one image: %q", flags.Args())
		fmt.Fprintln(stderr, "analyzenode:", err)
		return s, err
	}
	s.image = flags.Arg(0)
	return s, nil
}

// deliver prints the report, and on stderr why it isn't whole.
func deliver(r *cos.NodeReport, asJSON bool, stdout, stderr io.Writer) int {
	w := bufio.NewWriter(stdout)
	if asJSON {
		text, err := r.MarshalJSON()
		if err != nil {
			return fail(stderr, err)
		}
		fmt.Fprintf(w, "%s\n", text)
	} else {
		printReport(w, r)
	}
	if err := w.Flush(); err != nil {
		return fail(stderr, err)
	}
	if r.Whole() {
		return exitWhole
	}
	explain(stderr, r.Gaps)
	return exitNotWhole
}
