package image

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/nodelens/nodelens/btfconv"
	"github.com/nodelens/nodelens/internal/extent"
	"github.com/nodelens/nodelens/internal/filetype"
	"github.com/nodelens/nodelens/internal/httprange"
	"github.com/nodelens/nodelens/internal/source"
	"github.com/nodelens/nodelens/kcore"
	"github.com/nodelens/nodelens/kdump"
	"github.com/nodelens/nodelens/lime"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/vmem"
)

// The reasons for which an image can't be opened, or its kernel can't be found.
var (
	// ErrFormat: the file is not in a known image format.
	ErrFormat = errors.New("not in a known image format")
	// ErrNotFile: what the name is of has no random access: a directory, a pipe, a device
	// that is no disk.
	ErrNotFile = errors.New("not a file with random access")
	// ErrTruncated: the file ends early, and what is needed is in the part that is missing.
	ErrTruncated = vmem.NewReason("truncated", "the image is cut off")
)

// An Error says in a user's words what a file is that can't be used as an image. It wraps
// one of the reasons above.
type Error struct {
	Name string // of the file
	Is   string // what it is, such as "a JPEG picture, not memory"
	Do   string // what to do about it; empty where nothing helps
	Err  error  // the reason, and what was tried
}

// Error returns what the file is, and what to do about it.
func (e *Error) Error() string {
	text := e.Name + " is " + e.Is
	if e.Do != "" {
		text += ": " + strings.ReplaceAll(e.Do, "NAME", filepath.Base(e.Name))
	}
	return text
}

// Detail returns how that was found, for those who look into why.
func (e *Error) Detail() string { return e.Err.Error() }

// Unwrap returns the reason.
func (e *Error) Unwrap() error { return e.Err }

// Of files that are cut off.
const (
	cutAtOnce = "cut off before its first byte of memory"
	copyAgain = "copy it again"
)

// nameless stands for a file without a name.
const nameless = "the image"

// explain returns an *Error for an error of opening the file s, which is nil if it could
// not be opened at all; or err itself where that says all there is to say.
func explain(name string, s *source.Source, err error) error {
	if name == "" {
		name = nameless
	}
	e := &Error{Name: name, Err: err}
	switch {
	case errors.Is(err, source.ErrDirectory):
		e.Is, e.Do, e.Err = "a directory", "name the image in it", fmt.Errorf("%w: %w", ErrNotFile, err)
	case errors.Is(err, source.ErrPipe):
		e.Is, e.Do, e.Err = "a pipe", "an image is read here and there, so save it to a file first", fmt.Errorf("%w: %w", ErrNotFile, err)
	case errors.Is(err, source.ErrDevice):
		e.Is, e.Do, e.Err = "a device that is no disk", "the memory of this machine is in /proc/kcore", fmt.Errorf("%w: %w", ErrNotFile, err)
	case errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, ErrFormat): // which may be of the symbols
		e.Is, e.Do, e.Err = cutAtOnce, copyAgain, fmt.Errorf("%w: %w", ErrTruncated, err)
	case s != nil && (errors.Is(err, ErrFormat) || ofFormat(err)):
		return e.foreign(s)
	default:
		return fmt.Errorf("%s: %w", name, withoutName(name, err))
	}
	return e
}

// withoutName returns an error of the system without the name, which is told already.
func withoutName(name string, err error) error {
	if e, ok := err.(*fs.PathError); ok && e.Path == name { //nolint:errorlint // what wraps it would be lost
		return e.Err
	}
	return err
}

// explainRemote returns an *Error for an object that can't be read in parts; or err itself,
// which names it.
func explainRemote(rawURL string, err error) error {
	if !errors.Is(err, httprange.ErrNoRanges) {
		return err
	}
	return &Error{
		Name: PublicURL(rawURL), Is: "on a server that sends files as a whole only",
		Do: "download it first", Err: fmt.Errorf("%w: %w", ErrNotFile, err),
	}
}

// ofFormat reports whether an error is of a format's package, about a file that only
// begins like one of its own.
func ofFormat(err error) bool {
	return errors.Is(err, kcore.ErrFormat) || errors.Is(err, lime.ErrFormat) || errors.Is(err, kdump.ErrFormat)
}

// foreign completes an error about a file that is no image.
func (e *Error) foreign(s *source.Source) error {
	if !errors.Is(e.Err, ErrFormat) {
		e.Err = fmt.Errorf("%w: %w", ErrFormat, e.Err)
	}
	t, ok := filetype.Of(s)
	switch {
	case ok && t.Is == "empty" && s.Compressed() != "" && len(s.Gaps(new(extent.Table))) > 0:
		e.Is, e.Do, e.Err = cutAtOnce, copyAgain, fmt.Errorf("%w: %w", ErrTruncated, s.Gaps(new(extent.Table))[0])
		return e
	case ok && t.Is == "empty":
		e.Is, e.Do = t.Is, "copy it again, or look whether it was written at all"
	case ok:
		e.Is, e.Do = t.Is+", not memory", t.Do
	case ofFormat(e.Err):
		return fmt.Errorf("%s: %w", e.Name, e.Err)
	case onlyZeros(s):
		e.Is, e.Do = "nothing but zeros", "look whether it was written at all"
	default:
		e.Is = "in no known image format, and no kernel is in it to tell what memory it could be"
		e.Do = "if it is memory, the symbols of its kernel may help to find that"
		if symbols, ok := errors.AsType[*symbolsError](e.Err); ok && !isAbsent(symbols) {
			e.Do = "the symbols did not help: " + symbols.Error()
		}
	}
	if c := s.Compressed(); c != "" {
		e.Is += " (inside of " + c + ")"
	}
	return e
}

// samples is how many pages of a file are looked at for anything but zeros.
const samples = 1024

// onlyZeros reports whether a file that is not compressed holds zeros wherever it is looked
// at, such as one of which only the size was set.
func onlyZeros(s *source.Source) bool {
	if s.Compressed() != "" {
		return false
	}
	var zero, b [vmem.PageSize]byte
	for i := range int64(samples) {
		n, _ := s.ReadAt(b[:], s.Size()/samples*i)
		if !bytes.Equal(b[:n], zero[:n]) {
			return false
		}
	}
	return true
}

// explainKernel returns an *Error where the kernel of an image was not found, or has no
// symbols in it, because the image is cut off; or err itself.
func explainKernel(mem vmem.Memory, err error) error {
	m, ok := vmem.As[vmem.Lossy](mem)
	what, do := lacking(err)
	if !ok || what == "" {
		return err
	}
	cut, lost := false, uint64(0)
	for _, g := range m.Gaps() {
		if g.Reason() == vmem.ReasonOf(ErrTruncated) {
			cut = true
			lost += g.Place.Physical().Size
		}
	}
	if !cut {
		return err
	}
	e := &Error{Name: nameless, Do: do, Err: fmt.Errorf("%w: %w", ErrTruncated, err)}
	if f, ok := vmem.As[*File](mem); ok && f.Info.Name != "" {
		e.Name = f.Info.Name
	}
	have := total(mem.Ranges())
	e.Is = fmt.Sprintf("cut off: it has %s, and %s", mebibytes(have), what)
	if lost > 0 {
		e.Is = fmt.Sprintf("cut off: it has %d of the %s that its headers announce, and %s", have>>20, mebibytes(have+lost), what)
	}
	return e
}

// lacking says what an image lacks by an error, and what to do if that is in a part that was
// cut off; what is empty where it lacks neither the kernel nor symbols.
func lacking(err error) (what, do string) {
	m, ok := errors.AsType[*btfconv.MissingError](err)
	switch {
	case ok && m.Release != "":
		return "not all symbols of its kernel, " + m.Release + ", are among them", copyAgain + ", or name the vmlinux of that kernel"
	case isAbsent(err):
		return "the kernel is not among them", copyAgain
	}
	return "", ""
}

func mebibytes(n uint64) string { return fmt.Sprintf("%d MiB", n>>20) }

// isAbsent reports whether an error is that there is no kernel, and no sign of one.
func isAbsent(err error) bool {
	if m, ok := errors.AsType[*btfconv.MissingError](err); ok {
		return m.Release == ""
	}
	return errors.Is(err, linux.ErrNoKernel)
}
