package dwarfconv

import (
	"debug/elf"
	"slices"
	"strings"
	"testing"

	"github.com/nodelens/nodelens/isf"
)

// mistyped is how many objects dwarf2json 0.9.0 gives the type of another variable of the
// same name, most often a local one.
var mistyped = map[string]int{"6.1.0-56": 102}

// TestMistyped lists the objects that have another type in dwarf2json's symbols than the
// variable at their address, as debug/dwarf reads it, and checks that they have that
// one in ours. Those whose number of elements alone is missing, since some unit declares
// them without it, are counted apart.
func TestMistyped(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a minute for each kernel")
	}
	onKernels(t, func(t *testing.T, k kernel) {
		theirs := golden(t, k)
		ours := convertKernel(t, k)
		file, err := elf.Open(k.vmlinux)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		o := newOracle(t, file)
		types := map[string][]string{} // of the variables that are at the address of the symbol of their name
		for v := range o.variables() {
			if s, err := ours.Symbol(v.name); err == nil && s.Address == v.addr && v.addr != 0 {
				types[v.name] = append(types[v.name], o.typ(v))
			}
		}
		var wrong []string
		unbounded := 0
		for name, want := range types {
			w, err := theirs.Symbol(name)
			if err != nil || w.Type == nil || w.Type.Kind == isf.KindVoid || slices.Contains(want, shallow(theirs, w.Type)) {
				continue
			}
			have := shallow(theirs, w.Type)
			if slices.ContainsFunc(want, func(t string) bool { return uncounted(t) == uncounted(have) }) {
				unbounded++
			} else {
				wrong = append(wrong, name)
			}
			s, err := ours.Symbol(name)
			if err != nil || !slices.Contains(want, shallow(ours, s.Type)) {
				t.Errorf("%s: %v, %v; want one of %q", name, s, err, want)
				continue
			}
			t.Logf("%s is %s, dwarf2json has %s", name, shallow(ours, s.Type), have)
		}
		t.Logf("of %d objects dwarf2json gives %d the type of another variable, %d an array's without its length", len(types), len(wrong), unbounded)
		if want, ok := mistyped[k.version]; ok && len(wrong) != want {
			t.Errorf("%d, want %d", len(wrong), want)
		}
	})
}

// uncounted drops the number of elements from an array type as shallow writes it.
func uncounted(typ string) string {
	if _, elem, ok := strings.Cut(typ, "]"); ok && strings.HasPrefix(typ, "[") {
		return elem
	}
	return typ
}
