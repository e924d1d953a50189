package isf

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/nodelens/nodelens/internal/testimages"
)

// bulk returns the JSON of a database with n structs, enumerations and ten times as
// many symbols, made without the encoder and indented as dwarf2json does it.
func bulk(n int) []byte {
	var b bytes.Buffer
	section := func(name string, entries int, entry func(i int) string) {
		fmt.Fprintf(&b, ",\n  %q: {", name)
		for i := range entries {
			fmt.Fprint(&b, strings.Repeat(",", min(i, 1)), "\n    ", entry(i))
		}
		b.WriteString("\n  }")
	}
	b.WriteString("{\n  \"metadata\": {\n    \"format\": \"6.2.0\"\n  }")
	section("base_types", 1, func(int) string {
		return `"int": {"size": 4, "signed": true, "kind": "int", "endian": "little"}`
	})
	section("user_types", n, func(i int) string {
		const member = `
        %q: {
          "type": {
            "kind": "pointer",
            "subtype": {
              "kind": "struct",
              "name": "struct_%05d"
            }
          },
          "offset": %d
        }`
		var fields []string
		for j := range 8 {
			fields = append(fields, fmt.Sprintf(member, fmt.Sprint("member_", j), (i*7+j)%n, j*8))
		}
		return fmt.Sprintf("\"struct_%05d\": {\n      \"size\": 64,\n      \"fields\": {%s\n      },\n      \"kind\": \"struct\"\n    }", i, strings.Join(fields, ","))
	})
	section("enums", n/8, func(i int) string {
		return fmt.Sprintf(`"enum_%05d": {"size": 4, "base": "int", "constants": {"FIRST_%d": 0, "SECOND_%d": 1}}`, i, i, i)
	})
	section("symbols", n*10, func(i int) string {
		return fmt.Sprintf("\"symbol_%06d\": {\n      \"type\": {\n        \"kind\": \"base\",\n        \"name\": \"int\"\n      },\n      \"address\": %d\n    }", i, uint64(0xffffffff81000000)+uint64(i)*16)
	})
	b.WriteString("\n}\n")
	return b.Bytes()
}

func BenchmarkDecode(b *testing.B) {
	text := bulk(1000)
	mustDecode(b, text)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Decode(bytes.NewReader(text)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEncode(b *testing.B) {
	f := mustDecode(b, bulk(1000))
	b.SetBytes(int64(len(encode(b, f))))
	b.ReportAllocs()
	for b.Loop() {
		if err := f.Encode(io.Discard); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkField(b *testing.B) {
	f := file62(b)
	for _, path := range []string{"comm", "tasks.prev", "high", "grid[1][2]"} {
		b.Run(path, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := f.Field("task", path); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkSymbol(b *testing.B) {
	f := mustDecode(b, bulk(1000))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := f.Symbol("symbol_001234"); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkDecodeGoldenXZ includes unpacking; the bytes are those of the JSON.
func BenchmarkDecodeGoldenXZ(b *testing.B) {
	packed, err := os.ReadFile(testimages.Golden(b, goldens[0]))
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(golden(b, goldens[0]))))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Decode(bytes.NewReader(packed)); err != nil {
			b.Fatal(err)
		}
	}
}

func TestFieldAllocates(t *testing.T) {
	f := file62(t)
	for path, want := range map[string]float64{"comm": 0, "tasks.prev": 0, "comm[3]": 0} {
		if got := testing.AllocsPerRun(100, func() { _, _ = f.Field("task", path) }); got != want {
			t.Errorf("%s: %v allocations, want %v", path, got, want)
		}
	}
}

// BenchmarkNew makes a database of what comes in an order of its own, as kallsyms does.
func BenchmarkNew(b *testing.B) {
	f := mustDecode(b, bulk(10_000))
	order := rand.New(rand.NewPCG(1, 2)).Perm(len(f.symbols))
	b.ReportAllocs()
	for b.Loop() {
		symbols := make([]Symbol, len(order))
		for i, j := range order {
			symbols[i] = f.symbols[j]
		}
		if _, err := New(Contents{Types: slices.Clone(f.types), Symbols: symbols}); err != nil {
			b.Fatal(err)
		}
	}
}
