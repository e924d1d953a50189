package nftables

import (
	"encoding/json"
	"errors"
	"math"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/linux/network"
	"github.com/nodelens/nodelens/linux/network/internal/nftest"
)

func ruleset(t *testing.T, n *nftest.Node, ns *network.Namespace) (tables []*Table) {
	t.Helper()
	if !n.Typed("nf_tables") {
		for table, err := range Tables(t.Context(), n.K, n.Mods, ns) {
			if table != nil || !errors.Is(err, kstruct.ErrUnsupported) {
				t.Errorf("without types, there are a table %v and the error %v", table, err)
			}
		}
		t.Skip("the image has no types of nf_tables")
	}
	for table, err := range Tables(t.Context(), n.K, n.Mods, ns) {
		if err != nil {
			t.Error(err)
			continue
		}
		tables = append(tables, table)
	}
	return tables
}

var (
	handles = regexp.MustCompile(` # handle \d+`)
	spaces  = regexp.MustCompile(`\s+`)
	expires = regexp.MustCompile(` expires [0-9dhms]+`)
	counts  = regexp.MustCompile(`packets \d+ bytes \d+`)
	quotes  = regexp.MustCompile(`devices? = \{ [^}]*\}`)
	compat  = regexp.MustCompile(`xt (match|target) "[^"]*"`)
)

// lines returns a ruleset as text with what moves, and how lines are broken, left out.
func lines(text string) (out []string) {
	text = handles.ReplaceAllString(text, "")
	text = regexp.MustCompile(`,\s*\n\s+`).ReplaceAllString(text, ", ")
	text = expires.ReplaceAllString(text, " expires T")
	text = counts.ReplaceAllString(text, "packets N bytes N")
	text = quotes.ReplaceAllStringFunc(text, func(s string) string { return strings.ReplaceAll(s, `"`, "") })
	for l := range strings.Lines(text) {
		if l = strings.TrimSpace(spaces.ReplaceAllString(l, " ")); l != "" && l[0] != '#' {
			out = append(out, l)
		}
	}
	return out
}

// The text of a ruleset is that of nft list ruleset, but for counts and times that move, and
// for what iptables has in rules: nft translates that, and it is told by name here.
func TestTrueText(t *testing.T) {
	nftest.Each(t, func(t *testing.T, n *nftest.Node) {
		for _, ns := range n.Namespaces {
			truth, ok := n.Truth(t, ns.Inum, "nft")
			var got strings.Builder
			for _, table := range ruleset(t, n, ns) {
				got.WriteString(table.String())
			}
			if !ok && got.String() != "" {
				t.Errorf("%v: a ruleset that nft did not show:\n%s", ns, got.String())
			}
			want, have := lines(truth), lines(got.String())
			if len(want) == len(have) {
				for i := range have {
					if compat.MatchString(have[i]) {
						want[i] = have[i]
					}
				}
			}
			if d := cmp.Diff(want, have); d != "" {
				t.Errorf("%v (-nft +image):\n%s", ns, d)
			}
		}
	})
}

// The structured form is that of nft -j list ruleset.
func TestTrueJSON(t *testing.T) {
	nftest.Each(t, func(t *testing.T, n *nftest.Node) {
		n.Needs(t, "nf_tables", "nft_register_expr")
		compared := 0
		for _, ns := range n.Namespaces {
			truth, ok := n.Truth(t, ns.Inum, "nft.json")
			if !ok {
				continue
			}
			var all []any
			for _, table := range ruleset(t, n, ns) {
				all = append(all, table.JSON()...)
			}
			b, err := json.Marshal(map[string]any{"nftables": all})
			if err != nil {
				t.Fatal(err)
			}
			want, got := objects(t, truth), objects(t, string(b))
			compared++
			if d := cmp.Diff(want, got, moving); d != "" {
				t.Errorf("%v (-nft +image):\n%s", ns, d)
			}
		}
		if compared == 0 {
			t.Error("no ruleset to compare with")
		}
	})
}

// moving compares the counts and times that go on between the truth and the image.
var moving = cmp.FilterPath(func(p cmp.Path) bool {
	for i := range p { // the value is a float64 in an any
		at, ok := p.Index(-1 - i).(cmp.MapIndex)
		if ok {
			return slices.Contains([]string{"packets", "bytes", "used", "expires"}, at.Key().String())
		}
	}
	return false
}, cmp.Comparer(near))

// near compares numbers that move.
func near(a, b float64) bool { return math.Abs(a-b) < 600 || math.Abs(a-b) < 0.01*math.Abs(a) }

// objects returns the list of a ruleset as JSON, without what versions of nft before 1.0.7
// leave out of it, and in the order of kinds and names.
func objects(t *testing.T, text string) map[string]any {
	t.Helper()
	var doc struct {
		NFTables []map[string]map[string]any `json:"nftables"`
	}
	if err := json.Unmarshal([]byte(text), &doc); err != nil {
		t.Fatal(err)
	}
	out := map[string]any{}
	for _, o := range doc.NFTables {
		for kind, m := range o {
			if kind == "metainfo" {
				continue
			}
			if kind != "rule" && m["elem"] == nil {
				delete(m, "comment")
			}
			delete(m, "dev")
			delete(m, "flags")
			delete(m, "auto-merge")
			key := []string{kind}
			for _, k := range []string{"family", "table", "chain", "name", "handle"} {
				b, err := json.Marshal(m[k])
				if err != nil {
					t.Fatal(err)
				}
				key = append(key, string(b))
			}
			out[strings.Join(key, " ")] = m
		}
	}
	return out
}

// What is tested says something: there are rules of all kinds in the node's truth.
func TestTruthIsRich(t *testing.T) {
	nftest.EachOnce(t, func(t *testing.T, n *nftest.Node) {
		n.Needs(t, "nf_tables", "nft_register_expr")
		if strings.HasPrefix(n.Name, "m-") {
			t.Skip("made for one kind of truth")
		}
		var words []string
		for _, ns := range n.Namespaces {
			text, _ := n.Truth(t, ns.Inum, "nft")
			words = append(words, strings.Fields(text)...)
		}
		for _, w := range []string{"vmap", "masquerade", "limit", "reject", "interval", "map", "fib"} {
			if !slices.Contains(words, w) {
				t.Errorf("no %s in the truth", w)
			}
		}
	})
}

// iptablesLines returns what iptables-save says of a table, by tables: without counts, which move,
// and comments, and with its chains in order of their names.
func iptablesLines(text string) map[string][]string {
	out := map[string][]string{}
	table := ""
	for l := range strings.Lines(text) {
		l = strings.TrimSpace(regexp.MustCompile(`\[\d+:\d+\] ?`).ReplaceAllString(l, ""))
		switch {
		case l == "" || l[0] == '#' || l == "COMMIT":
		case l[0] == '*':
			table = l
			out[table] = []string{}
		default:
			out[table] = append(out[table], l)
		}
	}
	for _, lines := range out {
		chain := func(l string) string {
			if f := strings.Fields(l); f[0] == "-A" {
				return "~" + f[1]
			}
			return strings.Fields(l)[0]
		}
		slices.SortStableFunc(lines, func(a, b string) int { return strings.Compare(chain(a), chain(b)) })
	}
	return out
}

// The rules of tables that iptables made are those of iptables-save, with all matches and targets.
func TestTrueIPTables(t *testing.T) {
	nftest.Each(t, func(t *testing.T, n *nftest.Node) {
		n.Needs(t, "nf_tables", "nft_register_expr")
		rules := 0
		for _, ns := range n.Namespaces {
			tables := ruleset(t, n, ns)
			for family, file := range map[string]string{"ip": "iptables-save", "ip6": "ip6tables-save"} {
				truth, _ := n.Truth(t, ns.Inum, file)
				var got strings.Builder
				for _, table := range tables {
					if table.Family == family {
						got.WriteString(table.IPTables())
					}
				}
				want := iptablesLines(truth)
				for _, lines := range want {
					rules += len(lines)
				}
				if d := cmp.Diff(want, iptablesLines(got.String())); d != "" {
					t.Errorf("%v, %s (-truth +image):\n%s", ns, family, d)
				}
			}
		}
		if rules < 50 {
			t.Errorf("%d rules were compared", rules)
		}
	})
}

// Whatever bytes a value has, it is written, and nothing that takes it apart reads beyond it.
func FuzzValues(f *testing.F) {
	f.Add([]byte{10, 0, 0, 1}, uint32(7), true)
	f.Add([]byte{0, 80}, uint32(13), true)
	f.Add([]byte("eth0\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"), uint32(41), false)
	f.Add([]byte{8, 0, 0, 0}, uint32(26), false)
	f.Add([]byte{0, 5, 'w', 'e', 'b', 0, 2, 4, 1, 0, 0, 0}, uint32(7<<6|13), true)
	f.Fuzz(func(t *testing.T, b []byte, number uint32, big bool) {
		for _, dt := range append(splitTypes(number), typeInteger) {
			if words, js := dt.format(b, big); words == "" && js == nil {
				t.Errorf("%s of %x is nothing", dt.name, b)
			}
			(&prefix{&value{data: b, order: big, dt: dt}, 8}).text()
		}
		for _, v := range userData(b) {
			if len(v) > len(b) {
				t.Errorf("user data of %d bytes in %d", len(v), len(b))
			}
		}
		if n, ok := prefixBits(b); ok && n > 8*len(b) {
			t.Errorf("a prefix of %d bits", n)
		}
		before(b)
	})
}
