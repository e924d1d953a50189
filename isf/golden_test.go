package isf

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"os"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/ulikunitz/xz"

	"github.com/nodelens/nodelens/internal/testimages"
)

// goldens are databases that dwarf2json 0.9.0 wrote.
var goldens = []string{"6.1.0-56.dwarf2json.isf.json.xz", "6.12.107+deb13.dwarf2json.isf.json.xz"}

// golden returns the JSON of a golden file.
func golden(t testing.TB, name string) []byte {
	t.Helper()
	f, err := os.Open(testimages.Golden(t, name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := xz.NewReader(bufio.NewReader(f)) // which reads a byte at a time
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestGolden decodes databases of whole kernels and compares what Encode makes of them
// with what encoding/json makes of the original, whole.
func TestGolden(t *testing.T) {
	t.Parallel()
	for i, name := range goldens {
		if i > 0 && !testimages.Thorough() {
			break
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text := golden(t, name)
			f, err := Decode(bytes.NewReader(text))
			if err != nil {
				t.Fatal(err)
			}
			if len(f.Malformed()) > 0 {
				t.Errorf("malformed: %v", f.Malformed())
			}
			var out bytes.Buffer
			if err := f.Encode(&out); err != nil {
				t.Fatal(err)
			}
			var want, got any
			if err := json.Unmarshal(text, &want); err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal(out.Bytes(), &got); err != nil {
				t.Fatal(err)
			}
			if !equalJSON(want, got) { // which takes a thousandth of the time
				t.Errorf("(-want +got):\n%.4000s", cmp.Diff(want, got))
			}
		})
	}
}

// equalJSON compares what encoding/json makes of any JSON.
func equalJSON(a, b any) bool {
	switch a := a.(type) {
	case map[string]any:
		b, ok := b.(map[string]any)
		return ok && maps.EqualFunc(a, b, equalJSON)
	case []any:
		b, ok := b.([]any)
		return ok && slices.EqualFunc(a, b, equalJSON)
	}
	return a == b // of one type, and no more than a number, a string, a bool or nil
}

func BenchmarkDecodeGolden(b *testing.B) {
	text := golden(b, goldens[0])
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Decode(bytes.NewReader(text)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEncodeGolden(b *testing.B) {
	f, err := Decode(bytes.NewReader(golden(b, goldens[0])))
	if err != nil {
		b.Fatal(err)
	}
	var size countWriter
	b.ReportAllocs()
	for b.Loop() {
		size = 0
		if err := f.Encode(&size); err != nil {
			b.Fatal(err)
		}
	}
	b.SetBytes(int64(size))
}

type countWriter int64

func (c *countWriter) Write(p []byte) (int, error) {
	*c += countWriter(len(p))
	return len(p), nil
}
