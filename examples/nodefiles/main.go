// Nodefiles lists and extracts files out of a memory image: of the node, or as a container sees them.
//
//	nodefiles [-container ID | -pid PID] [-tar FILE | -to DIR] IMAGE [PATH...]
//
// Without -tar and -to it lists what is in memory below each PATH (the root, if none is named): mode, owner, size, time, the SHA-256 of what is
// whole, or how much of the rest is there, and the path. With -tar it writes a tar archive, with -to the files below a directory,
// which nothing leaves. A part of a file that is not in memory is never written as zeros: of such a file its parts are written, each under the name
// PATH.part-OFFSET, and the file is told on standard error. In a directory there are no links, devices or setuid bits;
// those are told, too.
//
// Files that hold secrets are neither written nor told by a digest that contents could be tried against: volumes of secrets and tokens, keys and credentials of the
// node and of users, the records of the runtime, and small files in which a private key or a token is. They are listed with a digest whose key is drawn anew for
// each run. -show-secrets has them shown and written. Other files are as they are, whatever is in them.
//
// It exits with 0 if all went well, with 1 if there was an error, with 2 if it was called wrongly, with 3 if something was lost or is not whole, and with
// 130 if it was interrupted.
package main

import (
	"cmp"
	"context"
	"errors"
	"io"
	"os"
	"strings"

	"github.com/nodelens/nodelens/examples/internal/filesink"
	"github.com/nodelens/nodelens/image"
	"github.com/nodelens/nodelens/internal/command"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/linux/pagecache"
)

func main() { command.Main(run, os.Interrupt) }

// exitPartial is the status where something was lost or is not whole.
const exitPartial = 3

// settings are what the command line says.
type settings struct {
	container, tar, to string
	pid                int
	quiet, secrets     bool
}

func newCommand(s *settings) *command.Command {
	c := command.New("nodefiles", "IMAGE [PATH...]")
	c.About = "Lists and extracts files out of a memory image, as the node or a container sees them.\n" +
		"What is not in memory is never written as zeros: of a file that is not whole its parts are written, as PATH.part-OFFSET.\n" +
		"Files that hold secrets are left out unless -show-secrets is given."
	c.Examples = []string{"nodefiles node.lime run/containerd", "nodefiles -container 5bf670424bc7 -tar root.tar node.lime"}
	c.Statuses = []string{"0  all went well", "1  there was an error: standard error says which", "3  something was lost or is not whole"}
	c.Flags.StringVar(&s.container, "container", "", "the files as the container sees them whose ID begins with `ID`")
	c.Flags.IntVar(&s.pid, "pid", 0, "the files as the process `PID` sees them; without, those of process 1")
	c.Flags.StringVar(&s.tar, "tar", "", "write an archive to `FILE`, which must not exist; - for standard output")
	c.Flags.StringVar(&s.to, "to", "", "write the files below directory `DIR`, which is made if it is missing")
	c.Flags.BoolVar(&s.secrets, "show-secrets", false, "show and write files that hold secrets, too")
	c.Flags.BoolVar(&s.quiet, "q", false, "show no progress")
	return c
}

func (s *settings) check(args []string) error {
	switch {
	case len(args) == 0:
		return errors.New("name an image")
	case s.container != "" && s.pid != 0:
		return errors.New("-container and -pid contradict each other")
	case s.tar != "" && s.to != "":
		return errors.New("-tar and -to contradict each other")
	case s.container != "" && len(s.container) < 8:
		return errors.New("name at least eight digits of a container's ID")
	}
	return nil
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
	meter := command.NewMeter(stderr, s.quiet)
	defer meter.Clear()
	mem, err := image.Open(ctx, rest[0], &image.Options{Progress: meter.Show})
	if err != nil {
		meter.Clear()
		return c.Fail(stderr, err)
	}
	defer mem.Close()
	files, hidden, err := s.open(ctx, mem, meter)
	meter.Clear()
	if err != nil {
		return c.Fail(stderr, err)
	}
	w := &filesink.Work{Context: ctx, Files: files, Secrets: hidden, Tell: stderr}
	defer func() { hidden.Tell(stderr, "nodefiles: ", "-show-secrets") }()
	for _, g := range files.Gaps() {
		w.Say("mounts", g.Error())
	}
	if err := s.work(w, rest[1:], stdout); err != nil {
		return c.Fail(stderr, err)
	}
	if w.Lost {
		return exitPartial
	}
	return command.OK
}

// open finds the process whose files are asked for, and opens them; beside them it says which hold secrets.
func (s *settings) open(ctx context.Context, mem *image.File, meter *command.Meter) (*pagecache.FS, *filesink.Secrets, error) {
	kernel, err := image.OpenKernel(ctx, mem, &image.Options{Progress: meter.Show})
	if err != nil {
		return nil, nil, err
	}
	set, err := pagecache.Open(ctx, kernel.Kernel, nil)
	if err != nil {
		return nil, nil, err
	}
	for _, t := range set.Tasks() {
		if s.container == "" && t.PID == int32(cmp.Or(s.pid, 1)) || s.container != "" && s.within(ctx, t) {
			files, err := set.FS(ctx, t)
			return files, filesink.FindSecrets(ctx, set, s.secrets), err
		}
	}
	return nil, nil, errors.New("no such process in the image")
}

// within reports whether a process is in the container that is asked for, by its cgroup.
func (s *settings) within(ctx context.Context, t *linux.Task) bool {
	for c, err := range t.CgroupPaths(ctx) {
		if err != nil {
			continue
		}
		last := c.Path[strings.LastIndexByte(c.Path, '/')+1:]
		if i := strings.LastIndexAny(last, "-:"); i >= 0 {
			last = last[i+1:]
		}
		if strings.HasPrefix(last, s.container) {
			return true
		}
	}
	return false
}

// work does what is asked for with each path.
func (s *settings) work(w *filesink.Work, paths []string, stdout io.Writer) error {
	if len(paths) == 0 {
		paths = []string{"."}
	}
	switch {
	case s.tar == "-":
		return give(w, paths, filesink.NewTar(stdout))
	case s.tar != "":
		return command.Create(s.tar, func(f io.Writer) error { return give(w, paths, filesink.NewTar(f)) })
	case s.to != "":
		out, err := filesink.NewDirectory(s.to)
		if err != nil {
			return err
		}
		return give(w, paths, out)
	}
	return give(w, paths, filesink.NewListing(stdout))
}

// give gives all files below paths to a sink.
func give(w *filesink.Work, paths []string, out filesink.Sink) error {
	for _, p := range paths {
		if err := w.All(p, out); err != nil {
			return errors.Join(err, out.Close())
		}
	}
	return out.Close()
}
