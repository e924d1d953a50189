package xtables

import (
	"errors"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/linux/network/internal/nftest"
)

var counts = regexp.MustCompile(`\[\d+:\d+\] ?`)

// recent is a match that is told by name alone.
var recent = regexp.MustCompile(`-m recent .*`)

// split returns what iptables-save says by tables, without counts, which move.
func split(text string) map[string][]string {
	out := map[string][]string{}
	table := ""
	for l := range strings.Lines(text) {
		l = strings.TrimSpace(counts.ReplaceAllString(l, ""))
		l = recent.ReplaceAllString(l, "-m recent")
		switch {
		case l == "" || l[0] == '#' || l == "COMMIT":
		case l[0] == '*':
			table = l
			out[table] = []string{}
		default:
			out[table] = append(out[table], l)
		}
	}
	return out
}

// The tables of a namespace are those of iptables-legacy-save and ip6tables-legacy-save.
func TestTrueTables(t *testing.T) {
	nftest.Each(t, func(t *testing.T, n *nftest.Node) {
		rules := 0
		for _, ns := range n.Namespaces {
			got := map[string]string{}
			for table, err := range Tables(t.Context(), n.K, n.Mods, ns) {
				if errors.Is(err, kstruct.ErrUnsupported) && !n.Typed("x_tables") {
					t.Skip("the image has no types of x_tables")
				}
				if err != nil {
					t.Error(err)
					continue
				}
				got[table.Family] += table.String()
				for _, c := range table.Chains {
					rules += len(c.Rules)
				}
			}
			for family, file := range map[string]string{"ip": "iptables-legacy-save", "ip6": "ip6tables-legacy-save"} {
				truth, _ := n.Truth(t, ns.Inum, file)
				if d := cmp.Diff(split(truth), split(got[family])); d != "" {
					t.Errorf("%v, %s (-truth +image):\n%s", ns, family, d)
				}
			}
		}
		if rules == 0 {
			t.Error("no rule was compared")
		}
	})
}

// The bundled node has no tables of iptables.
func TestBundled(t *testing.T) {
	n := nftest.Bundled(t)
	for _, ns := range n.Namespaces {
		for table, err := range Tables(t.Context(), n.K, n.Mods, ns) {
			t.Errorf("%v: %+v, %v", ns, table, err)
		}
	}
}

// What the options of matches and targets are written as does not depend on how long the memory
// behind them is, and no bytes make it panic.
func FuzzFormats(f *testing.F) {
	f.Add([]byte{1, 2, 3, 4}, "ip")
	f.Add(make([]byte, 300), "ip6")
	f.Add([]byte(strings.Repeat("\xff", 300)), "ip")
	f.Fuzz(func(t *testing.T, data []byte, family string) {
		r := &reader{sets: func(uint16) string { return "set" }}
		for key, format := range matchFormats {
			m := Extension{Name: key.name, Revision: key.revision}
			r.formatMatch(family, &m, data)
			if known := len(data) >= format.size; known == (m.Bytes != nil && len(data) > 0) && len(data) > 0 {
				t.Errorf("%v of %d bytes: %+v", key, len(data), m)
			}
		}
		for key := range targetFormats {
			formatTarget(family, &Extension{Name: key.name, Revision: key.revision}, data)
		}
	})
}

// A block of rules that lies about its sizes ends with an error.
func FuzzBlock(f *testing.F) {
	f.Add(make([]byte, 400), uint8(0))
	f.Fuzz(func(t *testing.T, data []byte, which uint8) {
		for _, l := range layoutOf {
			b := &block{data: data, layout: l}
			for at := 0; at < len(data); {
				e, err := b.entryAt(at)
				if err != nil {
					break
				}
				if e.next < l.size {
					t.Fatalf("a rule of %d bytes", e.next)
				}
				at += e.next
			}
		}
	})
}
