package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/nodelens/nodelens/capture"
	"github.com/nodelens/nodelens/internal/command"
	"github.com/nodelens/nodelens/internal/text"
	"github.com/nodelens/nodelens/internal/version"
)

// settings are what the command line says.
type settings struct {
	out, url, manifest string
	root, node         string
	resumable, quiet   bool
	retries            int
	format             capture.Format
	order              capture.Order
	filter             filter
}

// command returns the command, which sets s when it is parsed.
func (s *settings) command() *command.Command {
	c := command.New("capture", "-o FILE | -url URL")
	c.About = "Writes an image of this machine's memory to a file, to standard output or to a URL that takes a PUT,\n" +
		"such as a signed URL of a bucket. A manifest says what is in the image. It needs root and /proc/kcore."
	c.Examples = []string{
		"capture -o node.lime",
		"capture -o node.lime.lz4 -format lime.lz4 -leave-out free,clean-files",
		"capture -o node.elf.zst -format elf.zst",
		"capture -o - | ssh analyst 'cat > node.lime'",
		"capture -url \"$SIGNED_URL\" -manifest node.json",
		"capture -url \"$SESSION\" -resumable",
	}
	c.Statuses = []string{
		"0  the image has all memory that was asked for",
		"1  there is no whole image: standard error says why",
		"3  the image lacks some memory: the manifest says what and why",
		"4  the machine withholds its memory: standard error says what to change",
	}
	flags := c.Flags
	flags.StringVar(&s.out, "o", "", "write the image to `FILE`, which must not exist, or to a device; - is standard output")
	flags.StringVar(&s.url, "url", "", "send the image to `URL` by HTTP PUT")
	flags.BoolVar(&s.resumable, "resumable", false, "the URL is the session of a resumable upload")
	flags.IntVar(&s.retries, "retries", 2, "capture anew so many times if a PUT fails")
	flags.StringVar(&s.manifest, "manifest", "", "write the manifest to `FILE`; default: FILE.json beside the image, or standard error")
	flags.StringVar(&s.root, "root", "/", "the node's root `DIRECTORY`, which has proc")
	flags.StringVar(&s.node, "node", os.Getenv("NODE_NAME"), "`NAME` of the node in the manifest; default: $NODE_NAME")
	flags.TextVar(&s.format, "format", capture.FormatLiME, "`FORMAT` of the image: lime, avml, lime.lz4 or elf.zst")
	flags.TextVar(&s.order, "order", capture.OrderAscending, "`ORDER` of reading: ascending, or kernel-first, which not every tool reads")
	flags.BoolVar(&s.quiet, "q", false, "show no progress")
	s.filter.define(flags)
	return c
}

func (s *settings) check(rest []string) error {
	switch {
	case len(rest) > 0:
		return fmt.Errorf("unexpected: %q; -o or -url says where the image goes", rest)
	case (s.out == "") == (s.url == ""):
		return errors.New("give -o or -url, and not both")
	case s.resumable && s.url == "":
		return errors.New("-resumable needs -url")
	case s.retries < 0:
		return errors.New("-retries is negative")
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
	return strings.TrimSpace("nodelens capture " + version.Program())
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
