package symbols

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/vmcoreinfo"
	"github.com/nodelens/nodelens/vmem/x86"
)

// minFacts is how many facts VMCOREINFO and the symbols must have in common for their
// agreement to say something. Kernels write some fifty to a hundred.
const minFacts = 8

// errFewFacts says that VMCOREINFO has too little that the symbols have.
var errFewFacts = errors.New("VMCOREINFO and the symbols have too little in common to tell whether they are of one kernel")

// checkNotes compares the addresses, sizes and offsets in VMCOREINFO (kernel/vmcore_info.c)
// with those of the symbols. What the symbols lack is passed over.
func checkNotes(notes *vmcoreinfo.Info, f *isf.File) error {
	shift, err := shiftOf(notes, f)
	if err != nil {
		return err
	}
	facts := 0
	for line := range strings.Lines(notes.Text()) {
		kind, name, value, ok := cutNote(line)
		if !ok {
			continue
		}
		have, ok := lookNote(f, kind, name, shift)
		switch {
		case !ok:
		case kind == "SYMBOL" && value < x86.StartKernelMap: // what a pointer holds, such as mem_section
		case have != value:
			return &MismatchError{What: kind + "(" + name + ")", Image: fmt.Sprintf("%#x", value), File: fmt.Sprintf("%#x", have)}
		default:
			facts++
		}
	}
	if facts < minFacts {
		return errFewFacts
	}
	return nil
}

// cutNote takes a line such as SIZE(page)=64 apart. Addresses are hexadecimal.
func cutNote(line string) (kind, name string, value uint64, ok bool) {
	key, text, _ := strings.Cut(strings.TrimSpace(line), "=")
	kind, name, ok = strings.Cut(strings.TrimSuffix(key, ")"), "(")
	radix := 10
	if kind == "SYMBOL" {
		radix = 16
	}
	value, err := strconv.ParseUint(text, radix, 64)
	return kind, name, value, ok && err == nil
}

// lookNote returns what the symbols have for a line of VMCOREINFO.
func lookNote(f *isf.File, kind, name string, shift uint64) (value uint64, ok bool) {
	switch kind {
	case "SYMBOL":
		s, err := f.Symbol(name)
		if err != nil {
			return 0, false
		}
		return s.Address + shift, true
	case "SIZE":
		u, err := f.UserType(name)
		if err != nil {
			return 0, false
		}
		return u.Size, true
	case "OFFSET":
		typ, path, _ := strings.Cut(name, ".")
		m, err := f.Field(typ, path)
		if err != nil {
			return 0, false
		}
		return m.Offset, true
	}
	return 0, false
}
