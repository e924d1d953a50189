package main

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/nodelens/nodelens/cos"
	"github.com/nodelens/nodelens/examples/internal/filesink"
	"github.com/nodelens/nodelens/findings"
	"github.com/nodelens/nodelens/internal/command"
	"github.com/nodelens/nodelens/internal/text"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/linux/memory"
	"github.com/nodelens/nodelens/linux/module"
	"github.com/nodelens/nodelens/linux/pagecache"
	"github.com/nodelens/nodelens/report"
)

// takers returns the commands that write files.
func (a *app) takers() []*cobra.Command {
	return []*cobra.Command{a.page(), a.dump(), a.ls()}
}

// create writes a file that was not there before: whole, or not at all. - is standard output.
func (a *app) create(name string, write func(w io.Writer) error) error {
	if name == "-" {
		w := bufio.NewWriter(a.stdout)
		return errors.Join(write(w), w.Flush())
	}
	return command.Create(name, write)
}

// outFlag adds the flag that names the file to write.
func outFlag(c *cobra.Command, out *string, what string) {
	c.Flags().StringVarP(out, "out", "o", "", "write "+what+" to `FILE`, which must not exist; - is standard output")
	_ = c.MarkFlagRequired("out") // fails where there is no such flag
}

// page returns the command that writes the page to read in a browser.
func (a *app) page() *cobra.Command {
	var out, title string
	c := &cobra.Command{
		Use: "report IMAGE -o FILE.html", Short: "Write all of it as one page to read in a browser", Args: oneImage,
		Long: "Write all of it as one page to read in a browser.\n\nThe page is one file that loads nothing and sends nothing. It begins with what is wrong. Values of arguments and\n" +
			"environments that look like secrets are hidden, unless --show-secrets is given.",
		Example: examples("nodelens report node.lime -o node.html"),
		RunE: func(c *cobra.Command, args []string) error {
			return a.ask(c.Context(), args[0], cos.AllSections, func(v *view) error {
				result, err := findings.Run(v.ctx, v.index, nil)
				if err != nil {
					return err
				}
				v.whole(v.stderr)
				return a.create(out, func(w io.Writer) error {
					return report.HTML(w, v.report, result, &report.Options{Secrets: a.flags.Secrets, Title: title})
				})
			})
		},
	}
	outFlag(c, &out, "the page")
	c.Flags().StringVar(&title, "title", "", "the title of the page; default: the name of the node")
	return c
}

// dump returns the command that takes things out of an image.
func (a *app) dump() *cobra.Command {
	c := &cobra.Command{
		Use: "dump", Short: "Write the memory of a process, a program, a file, a container's files or a module",
		Long: "Write the memory of a process, a program, a file, a container's files or a module.\n\nWhat is not in the image is never made up: it is a hole, or a part of a file is missing, and is told.",
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usage("%q is nothing that can be dumped; there are: core, exe, file, root, module", args[0])
			}
			return c.Help()
		},
	}
	c.AddCommand(a.dumpCore(), a.dumpExe(), a.dumpFile(), a.dumpRoot(), a.dumpModule())
	return c
}

// one is what of an image is dumped.
func (a *app) one(use, short, example, what string, arguments int, filtered bool, write func(v *view, args []string, w io.Writer) error) *cobra.Command {
	var out string
	c := &cobra.Command{
		Use: use + " -o FILE", Short: short, Example: examples(example),
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1+arguments {
				return usage("%s is expected", strings.Join(strings.Fields(use)[1:], " "))
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			return a.askNode(c.Context(), args[0], func(v *view) error {
				return errors.Join(a.create(out, func(w io.Writer) error { return write(v, args[1:], w) }), v.ctx.Err())
			})
		},
	}
	outFlag(c, &out, what)
	if filtered {
		a.filter.register(c)
	}
	return c
}

// process returns the one process that was asked for: of a container, the one that was started first.
func (v *view) process() (*cos.Process, error) {
	all := v.processes()
	switch {
	case v.chosen.all:
		return v.index.Process(1), nil
	case len(all) == 0:
		return nil, errors.New("no process of what was asked for is in the image")
	case len(v.chosen.pids) > 1:
		return nil, usage("name one process")
	}
	first := all[0]
	for _, p := range all[1:] {
		if !v.index.Sandbox(p.PodUID, p.ContainerID) && (v.index.Sandbox(first.PodUID, first.ContainerID) || p.StartTime.Before(first.StartTime)) {
			first = p
		}
	}
	return first, nil
}

// processTask returns the process that was named with --pid, and its task.
func (v *view) processTask() (*cos.Process, *linux.Task, error) {
	if len(v.chosen.pids) != 1 {
		return nil, nil, usage("name a process with --pid")
	}
	p, err := v.process()
	if err != nil {
		return nil, nil, err
	}
	t, err := v.node.Process(v.ctx, p.PID)
	return p, t, err
}

// say tells something that was lost of what is dumped.
func (v *view) say(err error) {
	v.status = exitNotWhole
	fmt.Fprintf(v.stderr, "nodelens: %s\n", text.Message(err))
}

func (a *app) dumpCore() *cobra.Command {
	return a.one("core IMAGE --pid PID", "Write the memory of a process as an ELF core, which gdb and others open", "nodelens dump core node.lime --pid 748 -o core.748", "the core", 0, true,
		func(v *view, _ []string, w io.Writer) error {
			_, t, err := v.processTask()
			if err != nil {
				return err
			}
			core, err := memory.New(v.node.Kernel(), nil).WriteCore(v.ctx, w, t)
			if err != nil {
				return err
			}
			for _, g := range core.Gaps {
				v.say(g)
			}
			fmt.Fprintf(v.stderr, "%v: threads: %d, mappings: %d, bytes: %d, of which lost: %d\n", t, core.Threads, core.Segments, core.Bytes, core.Lost)
			return nil
		})
}

func (a *app) dumpModule() *cobra.Command {
	return a.one("module IMAGE NAME", "Write a module of the kernel as an ELF file", "nodelens dump module node.lime overlay -o overlay.elf", "the module", 1, false,
		func(v *view, args []string, w io.Writer) error {
			set, err := module.Open(v.ctx, v.node.Kernel(), nil)
			if err != nil {
				return err
			}
			m := set.Find(args[0])
			if m == nil {
				return fmt.Errorf("no module %s in the image", args[0])
			}
			gaps, err := set.WriteELF(w, m)
			for _, g := range gaps {
				v.say(g)
			}
			return err
		})
}

func (a *app) dumpExe() *cobra.Command {
	return a.one("exe IMAGE --pid PID", "Write the program of a process, also one without a file", "nodelens dump exe node.lime --pid 748 -o update.elf", "the program", 0, true,
		func(v *view, _ []string, w io.Writer) error {
			p, t, err := v.processTask()
			if err != nil {
				return err
			}
			set, err := pagecache.Open(v.ctx, v.node.Kernel(), nil)
			if err != nil {
				return err
			}
			nameless, _ := set.Nameless(v.ctx)
			for _, n := range nameless {
				for _, h := range n.Holders {
					if h.PID == p.PID && h.How == "exe" {
						return v.content(set, &n.Inode, n.Path, w)
					}
				}
			}
			files, err := set.FS(v.ctx, t)
			if err != nil {
				return err
			}
			f, err := files.Find(cmp.Or(p.Exe, "(no program)"), true)
			if err != nil {
				return err
			}
			return v.content(set, f.Inode, p.Exe, w)
		})
}

// content writes the content of a file as far as it is in memory. What is missing is an error: it is not written as zeros.
func (v *view) content(set *pagecache.Set, n *pagecache.Inode, name string, w io.Writer) error {
	c, err := set.Content(v.ctx, n)
	if err != nil {
		return err
	}
	if !c.Whole() {
		sum := int64(0)
		for _, e := range c.Cached() {
			sum += e.Size
		}
		return fmt.Errorf("%s is not whole in memory: %d of %d bytes are; dump root writes its parts", name, sum, c.Size)
	}
	_, err = io.Copy(w, io.NewSectionReader(c, 0, c.Size))
	return err
}

// fileSystem opens the files as the process sees them that was asked for.
func (v *view) fileSystem() (*pagecache.Set, *pagecache.FS, error) {
	p, err := v.process()
	if err != nil {
		return nil, nil, err
	}
	set, err := pagecache.Open(v.ctx, v.node.Kernel(), nil)
	if err != nil {
		return nil, nil, err
	}
	for _, t := range set.Tasks() {
		if p != nil && t.PID == p.PID {
			files, err := set.FS(v.ctx, t)
			return set, files, err
		}
	}
	return nil, nil, errors.New("the mounts of that process are not in the image")
}

func (a *app) dumpFile() *cobra.Command {
	return a.one("file IMAGE PATH", "Write a file of the node, or as a container or process sees it", "nodelens dump file node.lime /etc/hosts --pod checkout -o hosts", "the file", 1, true,
		func(v *view, args []string, w io.Writer) error {
			set, files, err := v.fileSystem()
			if err != nil {
				return err
			}
			f, err := files.Find(strings.TrimPrefix(args[0], "/"), true)
			if err != nil {
				return err
			}
			if f.IsRegular() && filesink.FindSecrets(v.ctx, set, v.flags.Secrets).Hides(v.ctx, f) {
				return fmt.Errorf("%s holds a secret: --show-secrets writes it", args[0])
			}
			return v.content(set, f.Inode, args[0], w)
		})
}

func (a *app) dumpRoot() *cobra.Command {
	return a.one("root IMAGE", "Write all files that a container or the node has in memory as a tar archive", "nodelens dump root node.lime --pod checkout --container metrics -o metrics.tar", "the archive", 0, true,
		func(v *view, _ []string, w io.Writer) error { return v.walk(filesink.NewTar(w), []string{"."}) })
}

// walk gives all files below paths to a sink.
func (v *view) walk(out filesink.Sink, paths []string) error {
	set, files, err := v.fileSystem()
	if err != nil {
		return err
	}
	secrets := filesink.FindSecrets(v.ctx, set, v.flags.Secrets)
	defer func() { secrets.Tell(v.stderr, "", "--show-secrets") }()
	w := &filesink.Work{Context: v.ctx, Files: files, Secrets: secrets, Tell: v.stderr}
	for _, g := range files.Gaps() {
		w.Say("mounts", g.Error())
	}
	for _, p := range paths {
		if err := w.All(cmp.Or(strings.Trim(p, "/"), "."), out); err != nil {
			return errors.Join(err, out.Close())
		}
	}
	if w.Lost {
		v.status = exitNotWhole
	}
	return out.Close()
}

// ls returns the command that lists files.
func (a *app) ls() *cobra.Command {
	c := &cobra.Command{
		Use: "ls IMAGE [PATH...]", Short: "List the files of the node or a container that are in memory, with their SHA-256",
		Long: "List the files of the node or a container that are in memory: mode, owner, size, time, path, and the SHA-256 of what is whole in memory,\n" +
			"or how much of it is there. Without a filter they are those of the node.",
		Example: examples("nodelens ls node.lime run/containerd", "nodelens ls node.lime --pod checkout --container metrics /etc"),
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usage("name an image")
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			paths := args[1:]
			if len(paths) == 0 {
				paths = []string{"."}
			}
			return a.askNode(c.Context(), args[0], func(v *view) error { return v.walk(filesink.NewListing(v.stdout), paths) })
		},
	}
	a.filter.register(c)
	return c
}
