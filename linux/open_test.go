package linux

import (
	"errors"
	"strings"
	"testing"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
)

// Symbols without types are said to be without, rather than to lack one after another.
func TestOpenWithoutTypes(t *testing.T) {
	n := openBundled(t)
	empty, err := isf.New(isf.Contents{Symbols: []isf.Symbol{{Name: "init_task", Address: 0xffffffff82000000}}})
	if err != nil {
		t.Fatal(err)
	}
	for name, open := range map[string]func() error{
		"Open":  func() error { _, err := Open(t.Context(), n.mem, &Options{Symbols: empty}); return err },
		"Place": func() error { _, err := Place(t.Context(), n.mem, &Options{Symbols: empty}); return err },
	} {
		if err := open(); !errors.Is(err, kstruct.ErrUnsupported) || !strings.Contains(err.Error(), "reduced debug information") || len(err.Error()) > 300 {
			t.Errorf("%s: %v", name, err)
		}
	}
}
