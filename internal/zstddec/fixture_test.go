package zstddec

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nodelens/nodelens/internal/checkpoint"
	"github.com/nodelens/nodelens/internal/packtest"
)

func mixed() []byte {
	b := append(packtest.Text(), packtest.Noise(15000)...)
	b = append(b, make([]byte, 200_000)...)
	for p := []byte(base64.StdEncoding.EncodeToString(packtest.Noise(15000))); len(p) > 0; p = p[min(60, len(p)):] {
		b = append(append(b, p[:min(60, len(p))]...), '\n')
	}
	for i, c := range packtest.Text()[:16*1500] {
		b = fmt.Appendf(b, " %02x", c)
		if i%16 == 15 {
			b = append(b, '\n')
		}
	}
	return append(append(b, packtest.Noise(15000)...), packtest.Text()...)
}

func low() []byte {
	var b []byte
	for _, c := range packtest.Noise(15000) {
		b = append(b, c>>4&3, c&3)
	}
	return b
}

// input returns the content of a fixture, by its name.
func input(name string) []byte {
	what, _, _ := strings.Cut(strings.TrimSuffix(name, ".zst"), "-")
	return map[string]func() []byte{
		"text":  packtest.Text,
		"mixed": mixed,
		"low":   low,
		"zeros": func() []byte { return make([]byte, 9_000_000) },
		"empty": func() []byte { return nil },
		"one":   func() []byte { return []byte("x") },
	}[what]()
}

func fixture(tb testing.TB, name string) []byte {
	tb.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// refused are the fixtures that are refused.
var refused = map[string]error{"text-dictionary.zst": errDictionary, "text-long31.zst": errWindow}

// fixtures returns the names of the fixtures that can be decoded.
func fixtures(tb testing.TB) []string {
	tb.Helper()
	paths, err := filepath.Glob("testdata/*.zst")
	if err != nil || len(paths) == 0 {
		tb.Fatal("no fixtures", err)
	}
	var names []string
	for _, p := range paths {
		if name := filepath.Base(p); refused[name] == nil {
			names = append(names, name)
		}
	}
	return names
}

func open(tb testing.TB, file []byte, at *checkpoint.State) checkpoint.Decoder {
	tb.Helper()
	d, err := Format.NewDecoder(bytes.NewReader(file), int64(len(file)), at)
	if err != nil {
		tb.Fatal(err)
	}
	return d
}

// A stop is where decoding can be taken up.
type stop struct {
	content int // bytes before it
	state   *checkpoint.State
}

// drain decodes what is left of d. The error is nil at the end of the content. Doubts
// are counted.
func drain(tb testing.TB, d checkpoint.Decoder) (content []byte, doubts int, err error) {
	tb.Helper()
	for {
		piece, err := d.Next()
		if len(piece) > checkpoint.MaxPiece || len(piece) > 0 && err != nil {
			tb.Fatalf("Next returns %d bytes and %v", len(piece), err)
		}
		content = append(content, piece...)
		if _, ok := errors.AsType[*checkpoint.Mismatch](err); ok {
			doubts++
			continue
		}
		if errors.Is(err, io.EOF) {
			return content, doubts, nil
		}
		if err != nil {
			return content, doubts, err
		}
	}
}

// stops returns the stops of d before each piece, and at the end of the content.
func stops(d checkpoint.Decoder) []stop {
	var list []stop
	for n := 0; ; {
		if s := d.State(); s != nil {
			list = append(list, stop{n, s})
		}
		piece, err := d.Next()
		if err != nil {
			return list
		}
		n += len(piece)
	}
}
