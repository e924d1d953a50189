package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/nodelens/nodelens/btfconv"
	"github.com/nodelens/nodelens/image"
	"github.com/nodelens/nodelens/internal/text"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/symbols"
)

// fail says why there is no report, and what would help.
func (s *settings) fail(stderr io.Writer, err error) int {
	if errors.Is(err, context.Canceled) {
		fmt.Fprintln(stderr, "analyzenode: interrupted")
		return exitNoReport
	}
	if e, ok := errors.AsType[*image.Error](err); ok { // says all, and what to do
		fmt.Fprintf(stderr, "analyzenode: %s\n", text.Message(e))
		if s.verbose || s.symbols.fetch || len(s.symbols.paths) > 0 { // where the user had symbols looked for
			fmt.Fprintf(stderr, "  %s\n", text.Message(e.Err))
		}
		return exitNoReport
	}
	fmt.Fprintf(stderr, "analyzenode: %s\n", text.Message(err))
	if advice := s.advise(err); advice != "" {
		fmt.Fprintln(stderr, advice)
	}
	return exitNoReport
}

const adviseSymbols = "Name the vmlinux of the image's kernel with -vmlinux, or an ISF file with -isf; or a directory of such files with -symbols.\n" +
	"-fetch=NAME fetches it where NAME is that of the image of a Container-Optimized OS node: from\n" +
	"https://storage.googleapis.com/cos-tools/BUILD/vmlinux, with BUILD such as 18244.291.9. -fetch alone asks $DEBUGINFOD_URLS, too."

// advise says what would help against err, if anything is known to.
func (s *settings) advise(err error) string {
	switch {
	case errors.Is(err, errNoBundled):
		return "Name an image, or run this in a clone of the repository."
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrPermission):
		return ""
	case errors.Is(err, image.ErrFormat):
		return "Images can be LiME, AVML or ELF cores, kdump files, or nothing but memory, each also compressed by LZ4, gzip, zlib,\n" +
			"xz or zstd. qemu-img can make these of others.\n" +
			"If it is memory, symbols of its kernel may help: -vmlinux or -isf."
	case errors.Is(err, symbols.ErrMismatch) && !isMissing(err):
		return "Symbols must be those of the very kernel that ran. Without -isf and -vmlinux they are looked for, first in the image."
	case errors.Is(err, io.ErrUnexpectedEOF) && s.symbols.isf+s.symbols.vmlinux != "":
		return "The file of symbols is cut off: copy it again."
	case isMissing(err):
		return adviseSymbols
	case errors.Is(err, linux.ErrOtherKernel) && s.symbols.isf+s.symbols.vmlinux != "":
		return "Symbols must be those of the very kernel that ran: compare the release and the build above. Most images have their\n" +
			"own: leave out -isf and -vmlinux."
	case errors.Is(err, linux.ErrNoKernel) && s.symbols.isf+s.symbols.vmlinux != "":
		return "The image may be too damaged, or not the memory of a Linux machine; or the symbols are of another build of its kernel.\n" +
			"Most images have their own: leave out -isf and -vmlinux."
	case errors.Is(err, linux.ErrNoKernel):
		return "The image may be too damaged, or not the memory of a Linux machine."
	case errors.Is(err, kstruct.ErrUnsupported):
		return "The symbols lack types that every kernel has. " + adviseSymbols
	}
	return ""
}

// isMissing reports whether the image does not give its own symbols.
func isMissing(err error) bool {
	_, ok := errors.AsType[*btfconv.MissingError](err)
	return ok
}
