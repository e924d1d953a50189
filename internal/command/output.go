package command

import (
	"errors"
	"io"
	"os"
	"strconv"

	"golang.org/x/term"
)

// ErrClosed is the reason of an output that goes nowhere: standard output is closed.
var ErrClosed = errors.New("standard output is closed, or is /dev/null for reading and writing: what would be printed is lost")

// CheckOutput returns ErrClosed if w is standard output, and the program was started
// without one. Go's runtime then opens /dev/null in its place, for reading and writing, so
// that nothing fails; shells and most programs open it for writing alone if they mean it.
func CheckOutput(w io.Writer) error {
	f, ok := w.(*os.File)
	if !ok || !isNull(f) || !readable(f) {
		return nil
	}
	return ErrClosed
}

// isNull reports whether f is the null device.
func isNull(f *os.File) bool {
	null, err := os.Stat(os.DevNull)
	if err != nil {
		return false
	}
	info, err := f.Stat()
	return err == nil && os.SameFile(info, null)
}

// isTerminal reports whether w is a terminal.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && !isNull(f)
}

// readable reports whether f was opened for reading too.
func readable(f *os.File) bool {
	_, err := f.Read(make([]byte, 1))
	return err == nil || errors.Is(err, io.EOF)
}

// IsTerminal reports whether w is a terminal.
func IsTerminal(w io.Writer) bool { return isTerminal(w) }

// Width returns how many characters a line of a terminal has: as $COLUMNS says, or the terminal itself. It is 0 where w is no
// terminal, or that is not known: lines may then have any length.
func Width(w io.Writer) int {
	f, ok := w.(*os.File)
	if !ok || !isTerminal(w) {
		return 0
	}
	if n, err := strconv.Atoi(os.Getenv("COLUMNS")); err == nil && n > 0 {
		return n
	}
	n, _, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return 0
	}
	return n
}
