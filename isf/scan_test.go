package isf

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
)

// scanned scans one value of any kind, and makes of it what encoding/json makes of it:
// but numbers are integers.
func scanned(b []byte, src func(io.Reader) io.Reader, window int) (any, error) {
	s := scanner{src: src(bytes.NewReader(b)), window: make([]byte, 0, window)}
	v := anyValue(&s)
	s.end()
	return v, s.err
}

func whole(r io.Reader) io.Reader { return r }

func anyValue(s *scanner) any {
	switch s.peek() {
	case '{':
		m := map[string]any{}
		for ok := s.open('{'); ok; ok = s.more('{') {
			k := string(s.member())
			m[k] = anyValue(s)
		}
		return m
	case '[':
		a := []any{}
		for ok := s.open('['); ok; ok = s.more('[') {
			a = append(a, anyValue(s))
		}
		return a
	case '"':
		return string(s.str())
	case 't', 'f':
		return s.boolean("boolean")
	case 'n':
		s.literal("null")
		return nil
	}
	return s.number()
}

// oracle is what encoding/json makes of b.
func oracle(b []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("something follows")
	}
	return v, nil
}

// sameValue compares what was scanned with what encoding/json makes of it, and returns
// the first difference.
func sameValue(got, want any) error {
	switch want := want.(type) {
	case map[string]any:
		m, ok := got.(map[string]any)
		if !ok {
			return fmt.Errorf("%v, want %v", got, want)
		}
		valid := map[string]any{}
		for k, v := range m {
			valid[string([]rune(k))] = v
		}
		if len(valid) != len(want) {
			return fmt.Errorf("%v, want %v", got, want)
		}
		for k := range want {
			if err := sameValue(valid[k], want[k]); err != nil {
				return err
			}
		}
	case []any:
		a, ok := got.([]any)
		if !ok || len(a) != len(want) {
			return fmt.Errorf("%v, want %v", got, want)
		}
		for i := range want {
			if err := sameValue(a[i], want[i]); err != nil {
				return err
			}
		}
	case string:
		// What is no UTF-8 stays, where encoding/json has U+FFFD for each byte.
		if s, ok := got.(string); !ok || string([]rune(s)) != want {
			return fmt.Errorf("%q, want %q", got, want)
		}
	case json.Number:
		return sameNumber(got, want.String())
	default:
		if got != want {
			return fmt.Errorf("%v, want %v", got, want)
		}
	}
	return nil
}

func sameNumber(v any, text string) error {
	got, ok := v.(integer)
	if !ok {
		return fmt.Errorf("%v, want %s", v, text)
	}
	if _, exponent, _ := strings.Cut(strings.ToLower(text), "e"); len(exponent) > 4 {
		return nil // too large for the oracle
	}
	want, ok := new(big.Rat).SetString(text)
	if !ok {
		return fmt.Errorf("no number for math/big: %s", text)
	}
	if !want.IsInt() || new(big.Int).Abs(want.Num()).BitLen() > 64 {
		if got.err == nil {
			return fmt.Errorf("%v is none, but %s", got, text)
		}
		return nil
	}
	n := new(big.Int).SetUint64(got.magnitude)
	if got.negative {
		n.Neg(n)
	}
	if got.err != nil || n.Cmp(want.Num()) != 0 {
		return fmt.Errorf("%v, want %s", got, text)
	}
	return nil
}

// values are texts that the scanner and encoding/json must agree on, JSON or not.
var values = []string{
	``, ` `, `{}`, `[]`, `[ ]`, `{ }`, `{"a":1}`, `{"a" : 1 , "b" :2}`, `{"a":1,"a":2}`, `[1,[2,[3,{}]]]`,
	`{"a":1,}`, `[1,]`, `[,1]`, `{,}`, `{"a"}`, `{"a":}`, `{1:2}`, `{"a":1 "b":2}`, `[1 2]`, `[1}`, `{"a":1]`, `{`, `[`, `"`, `{"a`, `{"a"`, `}`,
	`true`, `false`, `null`, `tru`, `nul`, `truex`, `True`, `[true,false,null]`, `nothing`, `1 2`, `{} {}`, `{}x`,
	`0`, `-0`, `00`, `01`, `-01`, `-`, `+1`, `1.`, `.5`, `1.5`, `1.50e1`, `150e-1`, `1e3`, `1E+3`, `1e`, `1e+`, `1ex`, `0.0`, `0e999999999999999999999`,
	`[1e3,2]`, `{"a":1e19}`, `1e20`, `100e-2`, `1e-1`, `10.0`, `0.10e1`, `-1e3`, `--1`, `1-1`, `1e1e1`, `1.2.3`, `0x10`, `Infinity`, `NaN`,
	`18446744073709551615`, `18446744073709551616`, `-18446744073709551615`, `1844674407370955161`, `1844674407370955162`, `18446744073709551615.0`,
	`184467440737095516150e-1`, `9223372036854775808`, `99999999999999999999`, `1e999999999999999999999`, `1e-999999999999999999999`,
	`""`, `"a"`, `"é"`, `"\u00e9"`, `"\u00E9x"`, `"\ud83d\ude00"`, `"\"\\\/\b\f\n\r\t"`, `"\x"`, `"\u12"`, `"\u123g"`, `"\`, `"\u`, `"a`, "\"\x01\"", "\"\n\"", "\"\x7f\"", "\"\x00\"",
	`"\ud83d"`, `"\ud83dx"`, `"\ud83d\n"`, `"\ud83d\u0041"`, `"\ude00"`, `"\ud83d\ud83d\ude00"`, `"\ud83d\`, `"\ud83d\u`, "\"\xff\"", "\"\xc3\"", "\"\xe2\x82\"", "\"\xed\xa0\x80\"",
	"\t{\r\n}\n", "\v{}", "\ufeff{}", "{}\x00", "\x00", "[\x00]", "/* */ {}", "'a'", strings.Repeat(" ", 100) + "[]",
	`"` + strings.Repeat("long ", 100) + `"`, `{"` + strings.Repeat("k", 50) + `"` + strings.Repeat(" ", 50) + `:"\n` + strings.Repeat("v", 50) + `"}`,
	`[` + strings.Repeat("1234567890,", 50) + `1]`, strings.Repeat("[", 256) + strings.Repeat("]", 256),
}

// against compares the scanner with encoding/json, and with itself where it reads
// little at a time.
func against(t *testing.T, b []byte) {
	t.Helper()
	got, err := scanned(b, whole, 1024)
	slow, slowErr := scanned(b, iotest.OneByteReader, 1)
	if fmt.Sprint(err) != fmt.Sprint(slowErr) || err == nil && !reflect.DeepEqual(got, slow) {
		t.Fatalf("%q: %v, %v; byte by byte %v, %v", b, got, err, slow, slowErr)
	}
	if err != nil && strings.Contains(err.Error(), "nested deeper") {
		return
	}
	want, wantErr := oracle(b)
	if (err != nil) != (wantErr != nil) {
		t.Fatalf("%q: %v, but encoding/json says: %v", b, err, wantErr)
	}
	if err != nil || bytes.Contains(bytes.ToLower(b), []byte(`\udc`)) {
		return // a lone surrogate is a byte, and bytes may make a character
	}
	if err := sameValue(got, want); err != nil {
		t.Fatalf("%q: %v", b, err)
	}
}

func TestScanner(t *testing.T) {
	for _, v := range values {
		against(t, []byte(v))
	}
}

func FuzzScanner(f *testing.F) {
	for _, v := range values {
		f.Add([]byte(v))
	}
	f.Fuzz(against)
}
