package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kcore"
	"github.com/nodelens/nodelens/linux"
)

// leaveOut maps what -leave-out takes to the classes of pages.
var leaveOut = map[string]kcore.PageClass{"free": kcore.PageFree, "clean-files": kcore.PageCleanFile}

// A filter is what the command line says of pages to leave out.
type filter struct {
	symbols string
	classes []kcore.PageClass
}

func (f *filter) define(flags *flag.FlagSet) {
	flags.StringVar(&f.symbols, "isf", "", "symbols of the running kernel, which -leave-out needs and -order kernel-first can use: an ISF `FILE`")
	flags.Func("leave-out", "`PAGES` not to capture: free, clean-files, or free,clean-files", f.parse)
}

func (f *filter) parse(list string) error {
	for name := range strings.SplitSeq(list, ",") {
		class, ok := leaveOut[name]
		if !ok {
			return fmt.Errorf("%q can't be left out", name)
		}
		f.classes = append(f.classes, class)
	}
	return nil
}

func (f *filter) check() error {
	if len(f.classes) > 0 && f.symbols == "" {
		return errors.New("-leave-out needs -isf")
	}
	return nil
}

// apply finds the running kernel, if its symbols are given, and has it say what pages are
// used for. The caller must call done after the capture.
func (f *filter) apply(ctx context.Context, root string, o *kcore.CaptureOptions) (done func(), err error) {
	if f.symbols == "" {
		return func() {}, nil
	}
	symbols, err := isf.Open(f.symbols)
	if err != nil {
		return nil, err
	}
	live, err := kcore.OpenLive(os.DirFS(root))
	if err != nil {
		return nil, err
	}
	done = func() { live.Close() }
	k, err := linux.Open(ctx, live, &linux.Options{Symbols: symbols})
	if err != nil {
		done()
		return nil, fmt.Errorf("%s: %w", filepath.Base(f.symbols), err)
	}
	pages, err := k.Pages()
	if err != nil {
		done()
		return nil, err
	}
	o.Pages, o.LeaveOut = pages, f.classes
	return done, nil
}
