package isf

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/nodelens/nodelens/internal/alloctest"
)

// repeat is the same text again and again.
type repeat struct {
	text string
	at   int
}

func (r *repeat) Read(p []byte) (n int, err error) {
	for n < len(p) {
		m := copy(p[n:], r.text[r.at:])
		n, r.at = n+m, (r.at+m)%len(r.text)
	}
	return n, nil
}

// Files that are made to cost much are refused, or read in memory in proportion to them, and what is
// sound in them is there.
func TestHostileFiles(t *testing.T) {
	const head, sound = `{"metadata":{"format":"6.2.0"},`, `"base_types":{"int":{"size":4,"signed":true,"kind":"int","endian":"little"}}`
	n := strings.Repeat
	for name, c := range map[string]struct {
		text string
		want string // what is wrong with the file; empty where it is read
	}{
		"deep arrays":               {head + `"x":` + n("[", 1<<20) + n("]", 1<<20) + "," + sound + "}", "nested deeper"},
		"deep objects":              {head + `"x":` + n(`{"a":`, 1<<19) + "1" + n("}", 1<<19) + "," + sound + "}", "nested deeper"},
		"deep types":                {head + sound + `,` + field(n(`{"kind":"pointer","subtype":`, 1<<17)+`{"kind":"function"}`+n("}", 1<<17)) + "}", "nested deeper"},
		"a number of a megabyte":    {head + sound + `,"symbols":{"s":{"address":` + n("9", 1<<20) + "}}}", ""},
		"a fraction of a megabyte":  {head + sound + `,"symbols":{"s":{"address":1.` + n("0", 1<<20) + "}}}", ""},
		"an exponent of a megabyte": {head + sound + `,"symbols":{"s":{"address":1e` + n("9", 1<<20) + "}}}", ""},
		"a name of 8 MiB":           {head + sound + `,"symbols":{"` + n("s", 8<<20) + `":{"address":1}}}`, ""},
		"a name of escapes":         {head + sound + `,"symbols":{"` + n(`\u001b`, 1<<20) + `":{"address":1}}}`, ""},
		"half a million references": {head + sound + `,"user_types":{"s":{"size":8,"kind":"struct","fields":{"a":{"offset":0,"type":{"kind":"struct","name":"s"}}` + n(`,"a":{"offset":0,"type":{"kind":"struct","name":"s"}}`, 1<<18) + "}}}}", ""},
		"100,000 that are none":     {head + sound + `,"symbols":{"s":1` + n(`,"s":1`, 100_000) + "}}", "entries before"},
		"sections again and again":  {head + sound + n(`,"symbols":{"s":{"address":1}}`, 100_000) + "}", ""},
		"a struct of itself":        {head + sound + `,"user_types":{"s":{"size":8,"kind":"struct","fields":{"a":{"offset":0,"type":{"kind":"struct","name":"s"}}}}}}`, ""},
	} {
		var f *File
		var err error
		alloctest.AtMost(t, 24<<20+40*uint64(len(c.text)), name, func() { f, err = Decode(strings.NewReader(c.text)) })
		if err != nil {
			if c.want == "" || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: %.200v", name, err)
			}
			continue
		}
		if c.want != "" {
			t.Errorf("%s: read", name)
		}
		if _, err := f.BaseType("int"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if len(f.Malformed()) > maxMalformed+1 {
			t.Errorf("%s: %d complaints", name, len(f.Malformed()))
		}
		_, _ = f.Field("s", n("a.", 1000)+"a")
	}
}

// A file that unpacks to more than any has is refused when it gets there.
func TestHostileCompression(t *testing.T) {
	for name, text := range map[string]string{"spaces": " ", "members": `"x":1,`, "names": "x"} {
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		start := `{`
		if name == "names" {
			start = `{"`
		}
		if _, err := io.Copy(w, io.MultiReader(strings.NewReader(start), io.LimitReader(&repeat{text: strings.Repeat(text, 1<<12)}, 24<<20))); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		var err error
		alloctest.AtMost(t, 64<<20, name, func() { _, err = decodeUpTo(&b, 12<<20) })
		if !errors.Is(err, ErrTooLarge) && name != "names" || err == nil {
			t.Errorf("%s: %.200v", name, err)
		}
	}
}
