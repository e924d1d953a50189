// Analyzenode says what ran on a Kubernetes node whose memory was imaged, pod by pod.
//
//	analyzenode [flags] [IMAGE]
//
// IMAGE is a LiME or AVML image, an ELF core, a kdump file, or nothing but memory if a
// kernel is found in it; each also compressed by LZ4, gzip, zlib, xz or zstd. With -raw it
// is nothing but memory, whatever it looks like. Without IMAGE the image is analysed that
// comes with the repository. The symbols of the kernel are taken from the image, unless
// -isf names them in Volatility's format, or -vmlinux the kernel's
// vmlinux with DWARF. Where the image has none they are looked for where -symbols says and
// where this machine may have them, and with -fetch on servers. With -json the whole report
// is printed, in the form nodelens/node/v3. With -with the report has more sections, and with -all
// all of them: network is who talks to whom, from which pod. What was read of an image, symbols that were converted, and what it takes to
// open a compressed image faster the next time, are kept in the directory that
// NODELENS_CACHE names, or else in nodelens of the user's cache directory, unless -no-cache
// is given. Layouts of kernels that kernellayout made are read from the directory layouts there: what
// a damaged image has lost of its types and symbols comes from them, and from those that the
// library carries. With -v what is wrong is told by addresses too.
//
// Secrets are hidden: values of environments, passwords and tokens in arguments, what keys hold. Of each the name, the length and a
// digest are in the JSON; -show-secrets shows them. Digests of several nodes compare where -secret-key names the same file, which is as secret as they are.
//
// It exits with 0 if the report is whole, with 3 if it isn't, for reasons that stand in the
// report, with 1 if there is no report, with 2 if it was called wrongly, and with 130 if it
// was interrupted: a second interrupt ends it at once.
package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/nodelens/nodelens/cos"
	"github.com/nodelens/nodelens/examples/internal/nodeimage"
	"github.com/nodelens/nodelens/internal/command"
)

// Exit statuses, beside those of package command.
const (
	exitWhole    = command.OK
	exitNoReport = command.Failed
	exitUsage    = command.Usage
	exitNotWhole = 3
)

func main() { command.Main(run, os.Interrupt) }

// settings are what the command line says.
type settings struct {
	image    string
	open     *nodeimage.Flags
	sections sectionFlags
	modules  string

	json, quiet bool
}

// newCommand returns the command, which sets s when it is parsed.
func newCommand(s *settings) *command.Command {
	c := command.New("analyzenode", "[IMAGE]")
	c.About = "Says what ran on a Kubernetes node whose memory was imaged, pod by pod. IMAGE is a LiME or AVML image,\n" +
		"an ELF core, a kdump file or plain memory, also compressed. Without IMAGE it is the one that comes with\n" +
		"the repository. The symbols of its kernel are found in the image, unless -isf or -vmlinux names them;\n" +
		"where it has none, -symbols and -fetch say where else to look."
	c.Examples = []string{
		"analyzenode node.lime",
		"analyzenode -json node.lime.zst > report.json",
		"analyzenode -with network node.lime",
		"analyzenode node.elf -vmlinux vmlinux-6.6.72",
		"analyzenode node.elf -fetch=gke-1309-gke1046000-cos-113-18244-291-9-c-pre",
		"sudo analyzenode /proc/kcore",
	}
	c.Statuses = []string{
		"0  the report is whole",
		"1  there is no report: standard error says why",
		"3  the report is not whole: it says what is missing",
	}
	f := c.Flags
	s.open = nodeimage.New("-")
	s.open.Register(f)
	s.sections.register(f)
	f.StringVar(&s.modules, "modules", "", "with -with hooks and -vmlinux, compare the code of modules with their files below `DIRECTORY`, too")
	f.BoolVar(&s.json, "json", false, "print the whole report as JSON: docs/report.md describes it")
	f.BoolVar(&s.quiet, "q", false, "show no progress")
	f.BoolVar(&s.open.Verbose, "v", false, "tell each loss with its address, and how the file was found to be no image")
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
	if err := s.check(rest); err != nil {
		return c.Refuse(stderr, err)
	}
	err := command.CheckOutput(stdout)
	if err == nil && s.image == "" {
		s.image, err = nodeimage.Bundled(".")
	}
	if err != nil {
		return s.fail(stderr, err)
	}
	meter := command.NewMeter(stderr, s.quiet)
	report, err := cos.AnalyzeNode(ctx, cos.File(s.image), s.options(args, meter.Show))
	meter.Clear()
	if err != nil {
		return s.fail(stderr, err)
	}
	return s.deliver(report, stdout, stderr)
}

// check takes what is no flag, and refuses what contradicts itself.
func (s *settings) check(rest []string) error {
	if err := cmp.Or(s.open.Check(), s.sections.check()); err != nil {
		return err
	}
	switch {
	case len(rest) > 1:
		return fmt.Errorf("more than one image: %q", rest)
	case s.quiet && s.open.Verbose:
		return errors.New("-q and -v contradict each other")
	case len(rest) == 1 && command.IsWord(rest[0]) && !nodeimage.Exists(rest[0]):
		return fmt.Errorf("%s is no command, for there are none, and there is no image of that name", rest[0])
	case len(rest) == 1:
		s.image = rest[0]
	}
	return nil
}

// options returns how to analyse the image.
func (s *settings) options(args []string, progress func(stage string, done, total int64)) *cos.Options {
	opts := s.open.Options(args, progress)
	opts.Sections, opts.ModuleFiles = s.sections.sections(), s.modules
	return opts
}

// fail says why there is no report.
func (s *settings) fail(stderr io.Writer, err error) int {
	s.open.Fail(stderr, "analyzenode", err)
	return exitNoReport
}

// deliver prints the report, and on stderr whether it is whole.
func (s *settings) deliver(r *cos.NodeReport, stdout, stderr io.Writer) int {
	w := bufio.NewWriter(stdout)
	if s.json {
		text, err := r.MarshalJSON()
		if err != nil {
			return s.fail(stderr, err)
		}
		fmt.Fprintf(w, "%s\n", text)
	} else {
		printReport(w, r)
	}
	if err := w.Flush(); err != nil {
		return s.fail(stderr, err)
	}
	if r.Whole() {
		return exitWhole
	}
	s.explain(stderr, r)
	return exitNotWhole
}
