package ipset

import (
	"errors"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/linux/network/internal/nftest"
)

var (
	random  = regexp.MustCompile(` bucketsize \d+| initval \S+`)
	timeout = regexp.MustCompile(` timeout [1-9]\d*`)
)

// lines returns what ipset save says, sorted, for the order of elements is that of a hash table,
// and without what is random or moves.
func lines(text string) (out []string) {
	for l := range strings.Lines(text) {
		l = strings.TrimSpace(random.ReplaceAllString(l, ""))
		if strings.HasPrefix(l, "add") {
			l = timeout.ReplaceAllString(l, " timeout T")
		}
		if l != "" {
			out = append(out, l)
		}
	}
	slices.Sort(out)
	return out
}

// The sets of a namespace are those of ipset save.
func TestTrueSets(t *testing.T) {
	nftest.Each(t, func(t *testing.T, n *nftest.Node) {
		n.Needs(t, "ip_set", "ip_set_type_register")
		found := 0
		for _, ns := range n.Namespaces {
			var got strings.Builder
			for s, err := range Sets(t.Context(), n.K, n.Mods, ns) {
				if errors.Is(err, kstruct.ErrUnsupported) && !n.Typed(setModule) {
					t.Skip("the image has no types of ip_set")
				}
				if err != nil {
					t.Error(err)
					continue
				}
				found++
				got.WriteString(s.String())
				if s.Count != 0 && int(s.Count) != len(s.Elements) && !strings.HasPrefix(s.Type, "list:") && !strings.HasPrefix(s.Type, "bitmap:") {
					t.Errorf("%s has %d elements, and %d are told", s.Name, s.Count, len(s.Elements))
				}
			}
			truth, _ := n.Truth(t, ns.Inum, "ipset")
			if d := cmp.Diff(lines(truth), lines(got.String())); d != "" {
				t.Errorf("%v (-truth +image):\n%s", ns, d)
			}
		}
		if found == 0 {
			t.Error("no set was compared")
		}
	})
}

// The bundled node has no ipset.
func TestBundled(t *testing.T) {
	n := nftest.Bundled(t)
	for _, ns := range n.Namespaces {
		for s, err := range Sets(t.Context(), n.K, n.Mods, ns) {
			t.Errorf("%v: %+v, %v", ns, s, err)
		}
	}
}

func FuzzFormat(f *testing.F) {
	f.Add([]byte{10, 0, 0, 1, 0, 80, 6, 0}, false)
	f.Fuzz(func(t *testing.T, b []byte, wide bool) {
		family := "inet"
		if wide {
			family = "inet6"
		}
		for typ := range layouts {
			if s, _, err := format(typ, family, b); err == nil && s == "" {
				t.Errorf("an element of %s is nothing", typ)
			}
		}
	})
}
