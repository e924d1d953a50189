package text

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// hostile are texts that do something to a terminal, and how they are shown.
var hostile = map[string]string{
	"a\nb\x00\x1b]0;x\a":                     `a\nb\x00\x1b]0;x\a`,
	"\b\t\v\f\r":                             `\b\t\v\f\r`,
	"\x7f":                                   `\x7f`,
	"\u0080\u009b31m\u0085":                  `\u0080\u009b31m\u0085`, // C1: CSI as one character, NEL
	"\x9b31m":                                `\x9b31m`,               // CSI as one byte
	"\xff\x0f\xc0":                           `\xff\x0f\xc0`,
	"\u202agnp\u202b\u202c\u202d\u202e":      `\u202agnp\u202b\u202c\u202d\u202e`,
	"\u2066a\u2067\u2068\u2069":              `\u2066a\u2067\u2068\u2069`,
	"\u200e\u200f\u061c":                     `\u200e\u200f\u061c`,
	"a\u200bb\u200c\u200d\u2060\ufeff\u00ad": `a\u200bb\u200c\u200d\u2060\ufeff\u00ad`,
	"\u2028\u2029":                           `\u2028\u2029`,
	"\u00a0\u2003\u3000\u1680":               `\u00a0\u2003\u3000\u1680`, // spaces that are not the common one
	"\u3164\u115f\uffa0\u2800":               `\u3164\u115f\uffa0\u2800`, // letters and a symbol that are blank
	"\ufe0f\U000e0100\u034f\u180e":           `\ufe0f\U000e0100\u034f\u180e`,
	"\ufff9\U000e0041\U0001d173":             `\ufff9\U000e0041\U0001d173`,
	"\ue000\U0010fffd":                       `\ue000\U0010fffd`, // private use: a font may have anything there
	"\u0338=":                                `\u0338=`,          // would strike out what stands before
	"e\u0301\u0301\u0301\u0301\u0301":        "e\u0301\u0301\u0301\u0301" + `\u0301`,
	"\xed\xa0\x80":                           `\xed\xa0\x80`,
}

func TestPrintable(t *testing.T) {
	for s, want := range hostile {
		if got := Printable(s); got != want {
			t.Errorf("%q: %s, want %s", s, got, want)
		}
	}
	for s, want := range map[string]string{
		"":                        "",
		"plain ünïcode 日本":        "plain ünïcode 日本",
		`a\nb`:                    `a\\nb`,
		"\ufffd":                  "\ufffd",
		"Vie\u0323\u0302t हिन्दी": "Vie\u0323\u0302t हिन्दी",
		`"quoted" (and more)…`:    `"quoted" (and more)…`,
	} {
		if got := Printable(s); got != want {
			t.Errorf("%q: %s, want %s", s, got, want)
		}
	}
}

func TestWord(t *testing.T) {
	for s, want := range map[string]string{
		"":                             `""`,
		"--flag=/a/b:c,d;e|f&g":        "--flag=/a/b:c,d;e|f&g",
		"/bin/httpd  (runs /bin/bash)": `"/bin/httpd  (runs /bin/bash)"`,
		"(runs":                        `"(runs"`,
		"uid 0":                        `"uid 0"`,
		"[kthreadd]":                   `"[kthreadd]"`,
		"{...}":                        `"{...}"`,
		"<unknown>":                    `"<unknown>"`,
		"it's":                         `"it's"`,
		"`id`":                         "\"`id`\"",
		`say "no"`:                     `"say \"no\""`,
		`a\b`:                          `a\\b`,
		"a\tb":                         `"a\tb"`,
		"\u2003":                       `"\u2003"`,
		"cut…  (zombie":                `"cut\u2026  (zombie"`,
		"\x1b[2J":                      `"\x1b[2J"`,
		"日本":                           "日本",
	} {
		if got := Word(s); got != want {
			t.Errorf("%q: %s, want %s", s, got, want)
		}
	}
	if got := Quoted("plain"); got != `"plain"` {
		t.Errorf("quoted: %s", got)
	}
}

func TestWords(t *testing.T) {
	for _, test := range []struct {
		all  []string
		n    int
		want string
	}{
		{nil, 10, ""},
		{[]string{"sh", "-c", "a b", ""}, 20, `sh -c "a b" ""`},
		{[]string{"abcdef"}, 6, "abcdef"},
		{[]string{"abcdefg"}, 6, "abcde…"},
		{[]string{"日本日本日本日"}, 6, "日本日本日…"},
		{[]string{"ab", strings.Repeat("y", 100), "z"}, 6, "ab yy…"},
	} {
		if got := Words(test.all, test.n); got != test.want {
			t.Errorf("%q: %s, want %s", test.all, got, test.want)
		}
	}
}

func TestHTML(t *testing.T) {
	const want = `&lt;/script&gt;&#39;&#34;&amp;\u202e\x1b`
	if got := HTML("</script>'\"&\u202e\x1b"); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// FuzzText checks what all functions promise, by the categories of Unicode.
func FuzzText(f *testing.F) {
	for s := range hostile {
		f.Add(s, "x")
	}
	f.Add(`"`, `\`)
	f.Fuzz(func(t *testing.T, a, b string) {
		for _, shown := range []string{Printable(a), Word(a), Quoted(a), HTML(a), Words([]string{a, b}, 8)} {
			checkShown(t, shown)
		}
		if w := Word(a); !strings.HasPrefix(w, `"`) && strings.ContainsAny(w, " ()[]\"") {
			t.Fatalf("%q is no word: %s", a, w)
		}
		if a != b && (Printable(a) == Printable(b) || Word(a) == Word(b)) {
			t.Fatalf("%q and %q look the same", a, b)
		}
	})
}

func checkShown(t *testing.T, s string) {
	t.Helper()
	if !utf8.ValidString(s) {
		t.Fatalf("%q is not UTF-8", s)
	}
	for _, r := range s {
		if r != ' ' && !unicode.In(r, unicode.L, unicode.M, unicode.N, unicode.P, unicode.S) {
			t.Fatalf("%q has %U", s, r)
		}
	}
}

func BenchmarkPrintable(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		Printable("/usr/bin/containerd-shim-runc-v2")
	}
}
