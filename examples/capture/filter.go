package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"runtime/debug"
	"strings"

	"github.com/nodelens/nodelens/capture"
	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kcore"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/memmap"
)

// leaveOut maps what -leave-out takes to the classes of pages.
var leaveOut = map[string]memmap.PageClass{"free": memmap.PageFree, "clean-files": memmap.PageCleanFile, "anon": memmap.PageAnon}

// A filter is what the command line says of pages to leave out.
type filter struct {
	symbols string
	classes []memmap.PageClass
}

func (f *filter) define(flags *flag.FlagSet) {
	flags.StringVar(&f.symbols, "isf", "", "symbols of the running kernel for -leave-out and -order kernel-first: an ISF `FILE`; default: for -leave-out, those in its memory")
	flags.Func("leave-out", "`PAGES` not to capture, such as free,clean-files: free ones, contents of files that are on disk and not mapped (clean-files), memory of processes but for stacks and files (anon)", f.parse)
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

// apply finds the running kernel, if that is needed, and has it say what pages are used
// for. The caller must call done after the capture.
func (f *filter) apply(ctx context.Context, root string, o *capture.Options) (done func(), err error) {
	if f.symbols == "" && len(f.classes) == 0 {
		return func() {}, nil
	}
	var symbols *isf.File // nil: those in memory
	if f.symbols != "" {
		if symbols, err = isf.Open(f.symbols); err != nil {
			return nil, err
		}
	}
	live, err := kcore.OpenLive(os.DirFS(root))
	if err != nil {
		return nil, err
	}
	done = func() { live.Close() }
	k, err := linux.Open(ctx, live, &linux.Options{Symbols: symbols})
	if err != nil {
		done()
		return nil, fmt.Errorf("what pages are used for is not known: %w", err)
	}
	pages, err := k.Pages()
	if err != nil {
		done()
		return nil, err
	}
	o.Pages, o.LeaveOut = pages, f.classes
	// The symbols took a hundred megabytes of the node's memory, and would be captured as
	// that of a process.
	debug.FreeOSMemory()
	return done, nil
}
