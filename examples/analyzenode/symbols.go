package main

import (
	"errors"
	"flag"
	"fmt"
	"slices"
	"strconv"

	"github.com/nodelens/nodelens/cos"
	"github.com/nodelens/nodelens/symbols"
	"github.com/nodelens/nodelens/symbols/remote"
	"github.com/nodelens/nodelens/symbols/vmlinux"
)

// symbolFlags are what the command line says of where symbols are from.
type symbolFlags struct {
	isf, vmlinux string
	paths        []string
	fetch        bool
	build        string // of Container-Optimized OS, with fetch; empty: as memory says
	arch         string // of that build
}

// register adds the flags to those of a command.
func (s *symbolFlags) register(f *flag.FlagSet) {
	f.StringVar(&s.isf, "isf", "", "symbols of the image's kernel: an ISF `FILE`, also compressed")
	f.StringVar(&s.vmlinux, "vmlinux", "", "the kernel's vmlinux with DWARF: a `FILE`, also compressed or in a -dbg or -debuginfo package (.deb, .rpm)")
	f.Func("symbols", "where the image does not give its symbols, look in `PATH`: a file, or a directory of files for many kernels;\nmay be given several times", func(path string) error {
		s.paths = append(s.paths, path)
		return nil
	})
	f.Var((*fetchFlag)(s), "fetch", "where nothing else has the symbols, fetch them from Container-Optimized OS's bucket and from the servers in\n"+
		"$DEBUGINFOD_URLS, which so learn what kernel is looked into; -fetch=NAME says the build of the node's image by its name")
}

// A fetchFlag is -fetch, which may have the name of an image.
type fetchFlag symbolFlags

// IsBoolFlag makes the value optional.
func (*fetchFlag) IsBoolFlag() bool { return true }

// String implements [flag.Value].
func (f *fetchFlag) String() string { return "" }

// Set implements [flag.Value].
func (f *fetchFlag) Set(value string) (err error) {
	if f.fetch, err = strconv.ParseBool(value); err == nil {
		return nil
	}
	image, err := cos.ParseImageName(value)
	if err != nil {
		return err
	}
	f.fetch, f.build, f.arch = true, image.Build, image.Arch
	return nil
}

// check refuses what contradicts itself.
func (s *symbolFlags) check() error {
	switch {
	case s.isf != "" && s.vmlinux != "":
		return errors.New("-isf and -vmlinux contradict each other: name one of them")
	case s.isf+s.vmlinux == "":
		return nil
	case s.fetch || len(s.paths) > 0:
		return fmt.Errorf("%s names the symbols, so there is nothing to look for with -symbols or -fetch", s.given())
	}
	return nil
}

// given returns the flag that names the symbols.
func (s *symbolFlags) given() string {
	if s.isf != "" {
		return "-isf"
	}
	return "-vmlinux"
}

// options returns where to look, and to keep what was converted; that may be nil.
func (s *symbolFlags) options(store *symbols.Store, progress func(stage string, done, total int64)) *symbols.Options {
	o := &symbols.Options{
		Given: s.isf + s.vmlinux, Store: store, Paths: slices.Concat(s.paths, symbols.UserDirectories()),
		Converters: []symbols.Converter{vmlinux.Converter}, Progress: progress,
	}
	if s.fetch {
		client := &remote.Client{Store: store}
		o.Fetch = []symbols.Source{
			&remote.COS{Build: s.build, Arch: s.arch, Client: client},
			&remote.Debuginfod{URLs: remote.DebuginfodURLs(), Client: client},
		}
	}
	return o
}
