package text

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

// stringTests are texts, how AppendJSON writes them, and how AppendJSONBytes does where
// that differs.
var stringTests = []struct{ text, json, bytes string }{
	{"", `""`, ""},
	{"plain", `"plain"`, ""},
	{`quote " and \`, `"quote \" and \\"`, ""},
	{"\x00\t\n\x1b\x1f\x7f", `"\u0000\u0009\u000a\u001b\u001f\u007f"`, ""},
	{"</script>&", `"\u003c/script\u003e\u0026"`, `"</script>&"`},
	{"é€😀\ufffd", "\"é€😀\ufffd\"", ""},
	{"\u0080\u009b31m\u0085", `"\u0080\u009b31m\u0085"`, ""},
	{"\u2028\u202e\u2066\u200b\ufeff", `"\u2028\u202e\u2066\u200b\ufeff"`, ""},
	{"\U000e0041\U0010ffff", `"\udb40\udc41\udbff\udfff"`, ""},
	{"\x80\xff", "\"\ufffd\ufffd\"", `"\udc80\udcff"`},
	{"a\xe9b", "\"a\ufffdb\"", `"a\udce9b"`},                                           // Latin-1
	{"\xe2\x82", "\"\ufffd\ufffd\"", `"\udce2\udc82"`},                                 // cut off
	{"\xc0\xaf", "\"\ufffd\ufffd\"", `"\udcc0\udcaf"`},                                 // overlong
	{"\xed\xa0\x80", "\"\ufffd\ufffd\ufffd\"", `"\udced\udca0\udc80"`},                 // an encoded surrogate
	{"\xf4\x90\x80\x80", "\"\ufffd\ufffd\ufffd\ufffd\"", `"\udcf4\udc90\udc80\udc80"`}, // beyond Unicode
}

func TestAppendJSON(t *testing.T) {
	for _, test := range stringTests {
		if got := string(AppendJSON(nil, test.text)); got != test.json {
			t.Errorf("%q: %s, want %s", test.text, got, test.json)
		}
		want := test.json
		if test.bytes != "" {
			want = test.bytes
		}
		if got := string(AppendJSONBytes(nil, test.text)); got != want {
			t.Errorf("%q: %s, want %s", test.text, got, want)
		}
	}
}

func TestEscapeJSON(t *testing.T) {
	indented, err := json.MarshalIndent(map[string]string{"a\u202e": "\x7f\u009b\U000e0041é"}, "", "\t")
	if err != nil {
		t.Fatal(err)
	}
	const want = "{\n\t\"a\\u202e\": \"\\u007f\\u009b\\udb40\\udc41é\"\n}"
	if diff := cmp.Diff(want, string(EscapeJSON(indented))); diff != "" {
		t.Errorf("escaped (-want +got):\n%s", diff)
	}
}

// python says which strings of a JSON array differ from what their bytes, in hexadecimal
// on a line each, decode to.
const python = `
import json, sys
how = sys.argv[3]
strings = json.load(open(sys.argv[1], encoding="utf-8", errors="strict"))
wanted = [bytes.fromhex(line) for line in open(sys.argv[2])]
assert len(strings) == len(wanted), (len(strings), len(wanted))
for s, w in zip(strings, wanted):
    if how == "surrogateescape":
        assert s.encode("utf-8", how) == w, (s, w)
    else:
        s.encode("utf-8", "strict")
        try:
            assert s == w.decode("utf-8", "strict"), (s, w)
        except UnicodeDecodeError:
            assert "\ufffd" in s, (s, w)
`

// TestJSONInPython has Python decode all strings of the table, and all pairs of bytes.
func TestJSONInPython(t *testing.T) {
	program, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("no python3 to decode with")
	}
	var all []string
	for _, test := range stringTests {
		all = append(all, test.text)
	}
	for a := range 256 {
		for b := range 256 {
			all = append(all, "x"+string([]byte{byte(a), byte(b)})+"y")
		}
	}
	for how, encode := range map[string]func([]byte, string) []byte{"strict": AppendJSON, "surrogateescape": AppendJSONBytes} {
		var parts []string
		var wanted []byte
		for _, s := range all {
			parts = append(parts, string(encode(nil, s)))
			wanted = fmt.Appendf(wanted, "%x\n", s)
		}
		dir := t.TempDir()
		files := map[string][]byte{"json": []byte("[" + strings.Join(parts, ",") + "]"), "wanted": wanted}
		for name, data := range files {
			if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		cmd := exec.CommandContext(t.Context(), program, "-c", python, filepath.Join(dir, "json"), filepath.Join(dir, "wanted"), how)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v: %s", how, err, out)
		}
	}
}

func FuzzAppendJSON(f *testing.F) {
	for _, test := range stringTests {
		f.Add(test.text)
	}
	f.Fuzz(func(t *testing.T, s string) {
		text := AppendJSON(nil, s)
		var got string
		if err := json.Unmarshal(text, &got); err != nil {
			t.Fatalf("%q: %s: %v", s, text, err)
		}
		if want := string([]rune(s)); got != want {
			t.Fatalf("%q: %s", s, text)
		}
		checkShown(t, string(text))
		if !utf8.ValidString(s) {
			return
		}
		if again := EscapeJSON(text); string(again) != string(text) {
			t.Fatalf("%q: %s, escaped %s", s, text, again)
		}
	})
}
