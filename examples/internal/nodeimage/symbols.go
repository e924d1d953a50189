package nodeimage

import (
	"flag"
	"fmt"
	"slices"
	"strconv"

	"github.com/nodelens/nodelens/cos"
	"github.com/nodelens/nodelens/symbols"
	"github.com/nodelens/nodelens/symbols/remote"
	"github.com/nodelens/nodelens/symbols/vmlinux"
)

// Symbols are what a command line says of where symbols are from.
type Symbols struct {
	ISF, Vmlinux string   // the file that has them
	Paths        []string // where to look
	Fetch        bool     // from servers

	dash  string // before the names of flags
	build string // of Container-Optimized OS, with Fetch; empty: as memory says
	arch  string // of that build
}

// register adds the flags to those of a command.
func (s *Symbols) register(f *flag.FlagSet) {
	f.StringVar(&s.ISF, "isf", "", "symbols of the image's kernel: an ISF `FILE`, also compressed")
	f.StringVar(&s.Vmlinux, "vmlinux", "", "the kernel's vmlinux with DWARF: a `FILE`, also compressed or in a -dbg or -debuginfo package (.deb, .rpm)")
	f.Func("symbols", "where the image does not give its symbols, look in `PATH`: a file, or a directory of files for many kernels;\nmay be given several times", func(path string) error {
		s.Paths = append(s.Paths, path)
		return nil
	})
	f.Var((*fetchFlag)(s), "fetch", "where nothing else has the symbols, fetch them from Container-Optimized OS's bucket and from the servers in\n"+
		"$DEBUGINFOD_URLS, which so learn what kernel is looked into; "+s.dash+"fetch=NAME says the build of the node's image by its name")
}

// A fetchFlag is the flag fetch, which may have the name of an image.
type fetchFlag Symbols

// IsBoolFlag makes the value optional.
func (*fetchFlag) IsBoolFlag() bool { return true }

// String implements [flag.Value].
func (f *fetchFlag) String() string { return "" }

// Set implements [flag.Value].
func (f *fetchFlag) Set(value string) (err error) {
	if f.Fetch, err = strconv.ParseBool(value); err == nil {
		return nil
	}
	image, err := cos.ParseImageName(value)
	if err != nil {
		return err
	}
	f.Fetch, f.build, f.arch = true, image.Build, image.Arch
	return nil
}

// check refuses what contradicts itself.
func (s *Symbols) check() error {
	switch {
	case s.ISF != "" && s.Vmlinux != "":
		return fmt.Errorf("%sisf and %[1]svmlinux contradict each other: name one of them", s.dash)
	case s.ISF+s.Vmlinux == "":
		return nil
	case s.Fetch || len(s.Paths) > 0:
		return fmt.Errorf("%s%s names the symbols, so there is nothing to look for with %[1]ssymbols or %[1]sfetch", s.dash, s.given())
	}
	return nil
}

// given returns the flag that names the symbols.
func (s *Symbols) given() string {
	if s.ISF != "" {
		return "isf"
	}
	return "vmlinux"
}

// options returns where to look, and to keep what was converted; that may be nil.
func (s *Symbols) options(store *symbols.Store, progress func(stage string, done, total int64)) *symbols.Options {
	o := &symbols.Options{
		Given: s.ISF + s.Vmlinux, Store: store, Paths: slices.Concat(s.Paths, symbols.UserDirectories()),
		Converters: []symbols.Converter{vmlinux.Converter}, Progress: progress,
	}
	if s.Fetch {
		client := &remote.Client{Store: store}
		o.Fetch = []symbols.Source{
			&remote.COS{Build: s.build, Arch: s.arch, Client: client},
			&remote.Debuginfod{URLs: remote.DebuginfodURLs(), Client: client},
		}
	}
	return o
}
