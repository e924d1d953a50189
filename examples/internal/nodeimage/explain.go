package nodeimage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/nodelens/nodelens/btfconv"
	"github.com/nodelens/nodelens/image"
	"github.com/nodelens/nodelens/internal/text"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/symbols"
)

// Fail says on w why a command has no report of an image, and what would help.
func (f *Flags) Fail(w io.Writer, name string, err error) {
	if errors.Is(err, context.Canceled) {
		fmt.Fprintf(w, "%s: interrupted\n", name)
		return
	}
	if e, ok := errors.AsType[*image.Error](err); ok { // says all, and what to do
		fmt.Fprintf(w, "%s: %s\n", name, text.Message(e))
		if f.Verbose || f.Symbols.Fetch || len(f.Symbols.Paths) > 0 { // where the user had symbols looked for
			fmt.Fprintf(w, "  %s\n", text.Message(e.Err))
		}
		return
	}
	fmt.Fprintf(w, "%s: %s\n", name, text.Message(err))
	if advice := f.Advise(err); advice != "" {
		fmt.Fprintln(w, advice)
	}
}

// adviseSymbols says where symbols are to be had; § is what stands before flags.
const adviseSymbols = "Name the vmlinux of the image's kernel with §vmlinux, or an ISF file with §isf; or a directory of such files with §symbols.\n" +
	"§fetch=NAME fetches it where NAME is that of the image of a Container-Optimized OS node: from\n" +
	"https://storage.googleapis.com/cos-tools/BUILD/vmlinux, with BUILD such as 18244.291.9. §fetch alone asks $DEBUGINFOD_URLS, too."

// Advise says what would help against err, if anything is known to.
func (f *Flags) Advise(err error) string {
	return strings.ReplaceAll(f.advise(err), "§", f.Symbols.dash)
}

func (f *Flags) advise(err error) string {
	switch {
	case errors.Is(err, ErrNoBundled):
		return "Name an image, or run this in a clone of the repository."
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrPermission):
		return ""
	case errors.Is(err, image.ErrFormat):
		return "Images can be LiME, AVML or ELF cores, kdump files, or nothing but memory, each also compressed by LZ4, gzip, zlib,\n" +
			"xz or zstd. qemu-img can make these of others.\n" +
			"If it is memory, symbols of its kernel may help: §vmlinux or §isf."
	case errors.Is(err, symbols.ErrMismatch) && !isMissing(err):
		return "Symbols must be those of the very kernel that ran. Without §isf and §vmlinux they are looked for, first in the image."
	case errors.Is(err, io.ErrUnexpectedEOF) && f.Symbols.ISF+f.Symbols.Vmlinux != "":
		return "The file of symbols is cut off: copy it again."
	case isMissing(err):
		return adviseSymbols
	case errors.Is(err, linux.ErrOtherKernel) && f.Symbols.ISF+f.Symbols.Vmlinux != "":
		return "Symbols must be those of the very kernel that ran: compare the release and the build above. Most images have their\n" +
			"own: leave out §isf and §vmlinux."
	case errors.Is(err, linux.ErrNoKernel) && f.Symbols.ISF+f.Symbols.Vmlinux != "":
		return "The image may be too damaged, or not the memory of a Linux machine; or the symbols are of another build of its kernel.\n" +
			"Most images have their own: leave out §isf and §vmlinux."
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
