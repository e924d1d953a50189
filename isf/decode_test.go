package isf

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/nodelens/nodelens/internal/testimages"
)

func TestDecodeCompressed(t *testing.T) {
	for _, suffix := range []string{"", ".xz", ".gz", ".bz2", ".zst"} {
		name := "6.2.0.json" + suffix
		equal(t, contents62, contents(mustDecode(t, testdata(t, name))))
		f, err := Open("testdata/" + name)
		if err != nil {
			t.Fatal(err)
		}
		equal(t, contents62, contents(f))
	}
}

// Whatever is missing at the end must be noticed, packed or not.
func TestDecodeTruncated(t *testing.T) {
	for _, suffix := range []string{"", ".xz", ".gz", ".bz2", ".zst"} {
		b := bytes.TrimRight(testdata(t, "6.2.0.json"+suffix), "\n")
		if suffix != "" {
			b = testdata(t, "6.2.0.json"+suffix)
		}
		step := testimages.Trials(1, 13) // at some places that are always the same
		for n := 0; n < len(b); n += step {
			f, err := Decode(bytes.NewReader(b[:n]))
			if f != nil || err == nil {
				t.Fatalf("%s: %d of %d bytes: no error", suffix, n, len(b))
			}
			if _, ok := errors.AsType[*DecodeError](err); !ok {
				t.Fatalf("%s: %d of %d bytes: %T %v", suffix, n, len(b), err, err)
			}
			if suffix == "" && n > 0 && !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Fatalf("%d of %d bytes: %v", n, len(b), err)
			}
		}
	}
}

// What is wrong with the beginning is found inside of a compressed file, too.
func TestDecodePackedMark(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write([]byte("\xff\xfe{\x00}\x00")); err != nil {
		t.Fatal(err)
	}
	w.Close()
	if f, err := Decode(&b); f != nil || !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), "UTF-16") {
		t.Errorf("%v, %v", f, err)
	}
}

func TestOpenContext(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "symbols.json")
	if err := os.WriteFile(name, []byte(`{"metadata":{"format":"6.2.0"}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	if f, err := OpenContext(ctx, name); f == nil || err != nil {
		t.Errorf("%v, %v", f, err)
	}
	cancel()
	if f, err := OpenContext(ctx, name); f != nil || !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v, %v", f, err)
	}
}

func TestDecodeErrors(t *testing.T) {
	for _, c := range []struct {
		text   string
		path   string
		offset int64
		reason error
		err    string
	}{
		{``, "", 0, ErrFormat, "isf: offset 0: not an ISF file: it is empty"},
		{"\x7fELF\x02\x01\x01", "", 0, ErrFormat, "isf: offset 0: not an ISF file: it begins with 7f 45 4c 46 02 01"},
		{`[1,2,3]`, "", 0, ErrFormat, "isf: offset 0: not an ISF file: it is a JSON text"},
		{"\xef\xbb\xbf{}", "", 0, ErrFormat, "isf: offset 0: not an ISF file: it begins with a byte order mark: save it as UTF-8 without one"},
		{"\xff\xfe{\x00}\x00", "", 0, ErrFormat, "isf: offset 0: not an ISF file: it is a text in UTF-16: save it as UTF-8 without a byte order mark"},
		{"\xff\xd8\xff\xe0\x00\x10JFIF", "", 0, ErrFormat, "isf: offset 0: not an ISF file: it is a JPEG picture"},
		{strings.Repeat(" ", headSize) + `[1]`, "", headSize + 3, ErrMalformed, "isf: offset 515: malformed: the file is an array, want an object"},
		{`{}`, "metadata.format", 2, ErrVersion, `isf: metadata.format: offset 2: unsupported ISF version: ""`},
		{`{"metadata":{"format":"1.0.0"}}`, "metadata.format", 31, ErrVersion, `isf: metadata.format: offset 31: unsupported ISF version: "1.0.0"`},
		{`{"metadata":{"format":"7.0.0"}}`, "metadata.format", 31, ErrVersion, `isf: metadata.format: offset 31: unsupported ISF version: "7.0.0"`},
		{`{"metadata":{"format":"60.0.0"}}`, "metadata.format", 32, ErrVersion, `isf: metadata.format: offset 32: unsupported ISF version: "60.0.0"`},
		{`{"metadata":{"format":"6.2.0"}} {}`, "", 32, ErrSyntax, "isf: offset 32: invalid JSON: unexpected '{', want nothing more"},
		{`{"enums":{"e":{"size":4,}}}`, "enums.e", 24, ErrSyntax, "isf: enums.e: offset 24: invalid JSON: unexpected '}', want a key"},
		{`{"symbols":{"a":{"address":01}}}`, "symbols.a", 27, ErrSyntax, `isf: symbols.a: offset 27: invalid JSON: bad number "01"`},
		{`{"symbols":{"a":{"address":?}}}`, "symbols.a", 27, ErrSyntax, "isf: symbols.a: offset 27: invalid JSON: unexpected '?', want a value"},
		{`{"symbols":{"a":{"address" 1}}}`, "symbols.a", 27, ErrSyntax, "isf: symbols.a: offset 27: invalid JSON: unexpected '1', want ':'"},
		{`{"user_types":{"a":{"fields":{"x":{"type":{"kind":"\q"}}}}}}`, "user_types.a.fields.x", 52, ErrSyntax, "isf: user_types.a.fields.x: offset 52: invalid JSON: unexpected 'q', want an escape sequence"},
		{"{\"user_types\":{\"a\x01\":{}}}", "user_types", 17, ErrSyntax, "isf: user_types: offset 17: invalid JSON: unexpected '\\x01', want a printable character"},
		{`{"user_types":{"a":{"size":1]}}`, "user_types.a", 28, ErrSyntax, "isf: user_types.a: offset 28: invalid JSON: unexpected ']', want ',' or }"},
		{`{"x":` + strings.Repeat("[", 300), "", 261, ErrSyntax, "isf: offset 261: invalid JSON: nested deeper than 256"},
		{`{"enums":{"e":{"size":4`, "enums.e", 23, io.ErrUnexpectedEOF, "isf: enums.e: offset 23: invalid JSON: unexpected EOF, want ',' or }"},
	} {
		f, err := Decode(strings.NewReader(c.text))
		e, ok := errors.AsType[*DecodeError](err)
		if !ok || f != nil || !errors.Is(err, c.reason) {
			t.Errorf("%.40s: %v, want %v", c.text, err, c.reason)
			continue
		}
		equal(t, DecodeError{Path: c.path, Offset: c.offset}, DecodeError{Path: e.Path, Offset: e.Offset})
		equal(t, c.err, err.Error())
	}
}

func TestDecodeLimit(t *testing.T) {
	text := testdata(t, "6.2.0.json")
	for _, suffix := range []string{"", ".xz", ".gz", ".bz2", ".zst"} {
		b := testdata(t, "6.2.0.json"+suffix)
		if _, err := decodeUpTo(bytes.NewReader(b), int64(len(text))); err != nil {
			t.Errorf("%s: %v", suffix, err)
		}
		_, err := decodeUpTo(bytes.NewReader(b), int64(len(text))-1)
		if !errors.Is(err, ErrTooLarge) {
			t.Errorf("%s: %v", suffix, err)
		}
	}
}

func TestDecodeReadErrors(t *testing.T) {
	text := testdata(t, "6.2.0.json")
	failure := errors.New("bad disk")
	for _, n := range []int{0, 3, 6, 100, len(text) - 1} {
		_, err := Decode(io.MultiReader(bytes.NewReader(text[:n]), iotest.ErrReader(failure)))
		if !errors.Is(err, failure) || errors.Is(err, ErrSyntax) || errors.Is(err, ErrFormat) {
			t.Errorf("after %d bytes: %v", n, err)
		}
	}
	if _, err := Decode(idle{}); !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("reader that gives nothing: %v", err)
	}
	if _, err := Open("testdata/absent.json"); err == nil {
		t.Error("no error for a file that is not there")
	}
}

type idle struct{}

func (idle) Read([]byte) (int, error) { return 0, nil }

// However little at a time the input comes, the result is the same.
func TestDecodeSlowly(t *testing.T) {
	f, err := Decode(iotest.OneByteReader(bytes.NewReader(testdata(t, "6.2.0.json"))))
	if err != nil {
		t.Fatal(err)
	}
	equal(t, contents62, contents(f))
}

func TestDecodeDuplicates(t *testing.T) {
	f, err := Decode(strings.NewReader(`{
		"metadata":{"format":"9.0.0","producer":{"name":"a"}},
		"symbols":{"gone":{"address":1}},
		"user_types":{
			"u":{"kind":"struct","size":1,"fields":{}},
			"v":{"kind":"struct","kind":"union","size":1,"size":2,"fields":{"gone":{}},"fields":{
				"x":{"offset":0,"type":{"kind":"function"}},
				"a":{"offset":2,"offset":1,"type":{"kind":"function"}},
				"x":{"offset":1,"type":{"kind":"function"},"type":{"kind":"base","kind":"struct","name":"a","name":"b"}}}},
			"u":{"kind":"class","size":3,"fields":{}}},
		"enums":{"e":{"size":1,"base":"int","constants":{"A":1,"B":2,"A":3}}},
		"symbols":{"s":{"address":1},"r":{"address":2},"s":{"address":3,"address":4,"constant_data":"YQ==","constant_data":""}},
		"metadata":{"format":"6.2.0","format":"6.1.0"}}`))
	if err != nil {
		t.Fatal(err)
	}
	equal(t, Contents{
		Metadata: Metadata{Format: "6.1.0"},
		Types: []UserType{
			{Name: "u", Kind: KindClass, Size: 3},
			{Name: "v", Kind: KindUnion, Size: 2, Fields: []Field{
				{Name: "a", Offset: 1, Type: &Type{Kind: KindFunction}},
				{Name: "x", Offset: 1, Type: structure("b")},
			}},
		},
		Enums:   []Enum{{Name: "e", Size: 1, Base: "int", Constants: []Constant{{"B", 2}, {"A", 3}}}},
		Symbols: []Symbol{{Name: "r", Address: 2}, {Name: "s", Address: 4}},
	}, contents(f))
	// The fields that were replaced were looked at all the same.
	if m := f.Malformed(); len(m) != 1 || m[0].Path != "user_types.v.fields.gone" {
		t.Errorf("malformed: %v", m)
	}
}

func TestDecodeNumbers(t *testing.T) {
	for text, want := range map[string]uint64{
		"0": 0, "-0": 0, "0.0": 0, "-0e9": 0, "7": 7, "1e3": 1000, "1E+3": 1000, "1.5e1": 15, "15.0": 15, "1500e-2": 15, "0.01e2": 1,
		"1.8446744073709551615e19": 1<<64 - 1, "18446744073709551615": 1<<64 - 1, "18446744073709551615.000": 1<<64 - 1,
		"1844674407370955161": 1844674407370955161, "18446744073709551610": 18446744073709551610, "0e99999999999999999999": 0,
		"1" + strings.Repeat("0", 300) + "e-300": 1,
	} {
		f := file(t, `"symbols":{"s":{"address":`+text+`},"t":{"address":1}}`)
		equal(t, []Symbol{{Name: "s", Address: want}, {Name: "t", Address: 1}}, f.symbols)
	}
	for text, want := range map[string]int64{
		"-1": -1, "-1e0": -1, "-9223372036854775808": -1 << 63, "9223372036854775807": 1<<63 - 1,
		"18446744073709551615": -1, "9223372036854775808": -1 << 63, // unsigned ones wrap
	} {
		f := file(t, `"enums":{"e":{"size":8,"base":"int","constants":{"C":`+text+`}}}`)
		if got, err := f.Constant("e", "C"); got != want || err != nil {
			t.Errorf("%s: %d, %v, want %d", text, got, err, want)
		}
	}
}

// Names are bytes, whether JSON can hold them or not.
func TestDecodeNames(t *testing.T) {
	for text, want := range map[string]string{
		`plain`: "plain", ``: "", `a\"b\\c\/d\b\f\n\r\t`: "a\"b\\c/d\b\f\n\r\t", `\u0041\u00e9\u20AC`: "Aé€", `é`: "é",
		`\ud83d\ude00!`: "😀!", `x\udcffy\udc80`: "x\xffy\x80", `\udcc3\udca9`: "é", "raw\xff": "raw\xff",
		`\ud83d`: "\ufffd", `\ud83dx`: "\ufffdx", `\ud83d\u0041`: "\ufffdA", `\ude00`: "\ufffd", `\udc7f`: "\ufffd", `\udd00`: "\ufffd",
		`\u0000`: "\x00", strings.Repeat("long", 1000): strings.Repeat("long", 1000), strings.Repeat(`\n`, 300_000): strings.Repeat("\n", 300_000),
	} {
		f := file(t, `"symbols":{"`+text+`":{"address":5}},"enums":{"e":{"base":"`+text+`","size":1,"constants":{"`+text+`":1}}}`)
		equal(t, []Symbol{{Name: want, Address: 5}}, f.symbols)
		equal(t, []Enum{{Name: "e", Size: 1, Base: cmp.Or(want, "void"), Constants: []Constant{{want, 1}}}}, f.enums)
		equal(t, f.symbols, mustDecode(t, encode(t, f)).symbols)
	}
}
