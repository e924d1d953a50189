package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime/debug"

	"github.com/nodelens/nodelens/capture"
	"github.com/nodelens/nodelens/internal/text"
)

// settings are what the command line says.
type settings struct {
	out, url, manifest string
	root, node         string
	resumable          bool
	retries            int
	format             capture.Format
	order              capture.Order
	filter             filter
}

// parse reads the command line; without settings the status is to exit with.
func parse(args []string, stderr io.Writer) (*settings, int) {
	s := new(settings)
	flags := flag.NewFlagSet("capture", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&s.out, "o", "", "write the image to `FILE`, which must not exist, or to a device; - is standard output")
	flags.StringVar(&s.url, "url", "", "send the image to `URL` by HTTP PUT")
	flags.BoolVar(&s.resumable, "resumable", false, "the URL is the session of a resumable upload")
	flags.IntVar(&s.retries, "retries", 2, "capture anew so many times if a PUT fails")
	flags.StringVar(&s.manifest, "manifest", "", "write the manifest to `FILE`; default: FILE.json beside the image, or standard error")
	flags.StringVar(&s.root, "root", "/", "the node's root `DIRECTORY`, which has proc")
	flags.StringVar(&s.node, "node", os.Getenv("NODE_NAME"), "`NAME` of the node in the manifest; default: $NODE_NAME")
	flags.TextVar(&s.format, "format", capture.FormatLiME, "`FORMAT` of the image: lime, avml or lime.lz4")
	flags.TextVar(&s.order, "order", capture.OrderAscending, "`ORDER` of reading: ascending, or kernel-first, which not every tool reads")
	s.filter.define(flags)
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return nil, exitWhole
	case err != nil:
		return nil, exitUsage
	}
	if err := s.check(flags.Args()); err != nil {
		fmt.Fprintln(stderr, "capture:", text.Message(err))
		return nil, exitUsage
	}
	return s, exitWhole
}

func (s *settings) check(rest []string) error {
	switch {
	case len(rest) > 0:
		return fmt.Errorf("what is %q for?", rest)
	case (s.out == "") == (s.url == ""):
		return errors.New("give -o or -url, and not both")
	case s.resumable && s.url == "":
		return errors.New("-resumable needs -url")
	}
	return nil
}

// options returns how to capture. The caller must call done after the capture.
func (s *settings) options(ctx context.Context) (o *capture.Options, done func(), err error) {
	o = &capture.Options{
		Root: os.DirFS(s.root), Format: s.format, Order: s.order, Node: s.node, Tool: tool(),
	}
	done, err = s.filter.apply(ctx, s.root, o)
	return o, done, err
}

// tool returns the name and version of this program.
func tool() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "nodelens capture"
	}
	return "nodelens capture " + info.Main.Version
}

// writeManifest writes the manifest, if there is one, to where the command line says.
func (s *settings) writeManifest(m *capture.Manifest, stderr io.Writer) error {
	if m == nil {
		return nil
	}
	encoded, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	encoded = append(text.EscapeJSON(encoded), '\n')
	switch {
	case s.manifest != "":
		return os.WriteFile(s.manifest, encoded, 0o600)
	case s.out == "" || s.out == "-" || exclusive(s.out) == 0:
		_, err = stderr.Write(encoded)
		return err
	}
	return os.WriteFile(s.out+".json", encoded, 0o600)
}
