package symbols

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/vmcoreinfo"
	"github.com/nodelens/nodelens/vmem/x86"
)

// ErrMismatch is the reason for symbols that are of another kernel than the image.
var ErrMismatch = errors.New("of another kernel")

// A MismatchError says by what symbols were found to be of another kernel than the image.
// It wraps ErrMismatch.
type MismatchError struct {
	What  string // "release", "banner", "build id", or a line of VMCOREINFO such as "SIZE(page)"
	Image string // what the image has
	File  string // what the symbols have
}

// Error returns what differs.
func (e *MismatchError) Error() string {
	if e.What == "release" {
		return fmt.Sprintf("%v: the image runs %s, the file is of %s", ErrMismatch, e.Image, e.File)
	}
	return fmt.Sprintf("%v: the image has the %s %s, the file has %s", ErrMismatch, e.What, e.Image, e.File)
}

// Unwrap returns ErrMismatch.
func (e *MismatchError) Unwrap() error { return ErrMismatch }

// errNoBanner says that a file can't be told from that of another kernel.
var errNoBanner = errors.New("it has no banner, and the image has no VMCOREINFO to hold it against")

// Check holds symbols against what the image says about its kernel. The error is a
// *MismatchError, or says what is missing to decide, or is that of ctx.
//
// Where VMCOREINFO is known to be the kernel's own, the release has to be the one it
// says, and the banner has to stand where the symbols and VMCOREINFO together say. Where
// the page of the banner was lost, or the symbols have none, the addresses, sizes and
// offsets in VMCOREINFO have to be those of the symbols. Without VMCOREINFO, the banner
// of the symbols has to stand anywhere in memory: that shows that they may fit, and
// finding the kernel with them shows that they do.
func (k *Kernel) Check(ctx context.Context, f *isf.File) error {
	notes, placed, err := k.readNotes(ctx)
	if err != nil {
		return err
	}
	banner := strings.TrimRight(f.Banner(), "\n")
	switch {
	case placed:
		return k.checkPlaced(notes, f, banner)
	case banner == "":
		return errNoBanner
	}
	banners, err := k.Banners(ctx)
	if err != nil {
		return err
	}
	return checkBanner(banners, banner)
}

// checkBanner looks for a banner among those in memory.
func checkBanner(image []string, file string) error {
	switch {
	case slices.Contains(image, file):
		return nil
	case len(image) == 0:
		return fmt.Errorf("%w: no banner in memory, the file is of %s", ErrMismatch, releaseOf(file))
	}
	var names []string
	same := slices.ContainsFunc(image, func(b string) bool { return releaseOf(b) == releaseOf(file) })
	for _, b := range image {
		if same {
			names = append(names, strconv.Quote(b))
		} else {
			names = append(names, releaseOf(b))
		}
	}
	if same { // another build of one release: only the whole tells the difference
		return &MismatchError{What: "banner", Image: strings.Join(names, " or "), File: strconv.Quote(file)}
	}
	return &MismatchError{What: "release", Image: strings.Join(slices.Compact(names), " or "), File: releaseOf(file)}
}

// checkPlaced holds symbols against the VMCOREINFO of the kernel in memory.
func (k *Kernel) checkPlaced(notes *vmcoreinfo.Info, f *isf.File, banner string) error {
	if have := releaseOf(banner); banner != "" && have != notes.Release() {
		return &MismatchError{What: "release", Image: notes.Release(), File: have}
	}
	found, ok := k.bannerAt(notes, f)
	switch {
	case ok && banner != "" && found == banner:
		return nil
	case ok && banner != "" && isBanner([]byte(found)) && !strings.HasPrefix(banner, found): // or it is cut off
		return &MismatchError{What: "banner", Image: strconv.Quote(found), File: strconv.Quote(banner)}
	}
	if err := checkNotes(notes, f); err != nil {
		return err
	}
	if ok && banner == "" && !strings.HasPrefix(found, bannerStart+notes.Release()+" ") {
		return &MismatchError{What: "release", Image: notes.Release(), File: "one that has its banner elsewhere"}
	}
	return nil
}

// bannerAt reads the banner where the symbols say that it is in the kernel that wrote
// notes; ok is false if that can't be read.
func (k *Kernel) bannerAt(notes *vmcoreinfo.Info, f *isf.File) (text string, ok bool) {
	base, err := notes.Number("phys_base")
	shift, err2 := shiftOf(notes, f)
	s, err3 := f.Symbol("linux_banner")
	if errors.Join(err, err2, err3) != nil {
		return "", false
	}
	b := make([]byte, maxBanner)
	n, err := k.mem.ReadAt(b, int64(s.Address+shift-x86.StartKernelMap+uint64(base)))
	if n < len(bannerStart) && err != nil {
		return "", false
	}
	text, _, _ = strings.Cut(string(b[:n]), "\n")
	return text, len(text) > len(bannerStart)
}

// shiftOf returns how far the kernel that wrote notes runs from where the symbols were
// linked.
func shiftOf(notes *vmcoreinfo.Info, f *isf.File) (uint64, error) {
	at, err := notes.Symbol("_stext")
	if err != nil {
		return 0, err
	}
	s, err := f.Symbol("_stext")
	if err != nil {
		return 0, err
	}
	return at - s.Address, nil
}
