package inflate

import (
	"bufio"
	"bytes"
	"compress/flate"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"os"
	"testing"

	kflate "github.com/klauspost/compress/flate"
)

// memory returns n bytes that compress about as the memory of a machine does: of
// each four pages one is zeros, one text, one of pointers, one without pattern.
func memory(n int) []byte {
	b := make([]byte, 0, n)
	rng := rand.New(rand.NewPCG(1, 2))
	for page := 0; len(b) < n; page++ {
		end := len(b) + 4096
		switch page % 4 {
		case 0:
			b = append(b, make([]byte, 4096)...)
		case 1:
			b = append(b, text()[rng.IntN(100_000):][:4096]...)
		case 2:
			for len(b) < end {
				b = binary.LittleEndian.AppendUint64(b, 0xffff888000000000|rng.Uint64N(1<<20)<<6)
			}
		default:
			for len(b) < end {
				b = binary.LittleEndian.AppendUint64(b, rng.Uint64())
			}
		}
	}
	return b
}

// BenchmarkDecode compares this decoder, with and without its checksum, with those of the
// standard library and of klauspost/compress. A file that NODELENS_BENCH names, such as
// a memory image, is taken instead of a made one.
func BenchmarkDecode(b *testing.B) {
	content := memory(32 << 20)
	if name := os.Getenv("NODELENS_BENCH"); name != "" {
		var err error
		if content, err = os.ReadFile(name); err != nil {
			b.Fatal(err)
		}
	}
	var packed bytes.Buffer
	packed.WriteString("\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03")
	w, err := flate.NewWriter(&packed, 6)
	if err != nil {
		b.Fatal(err)
	}
	if _, err := w.Write(content); err != nil {
		b.Fatal(err)
	}
	if err := w.Close(); err != nil {
		b.Fatal(err)
	}
	file := packed.Bytes()
	b.Run("ours", func(b *testing.B) {
		b.SetBytes(int64(len(content)))
		b.ReportAllocs()
		for b.Loop() {
			d, err := Gzip.NewDecoder(bytes.NewReader(file), int64(len(file)), nil)
			for err == nil {
				_, err = d.Next()
			}
		}
	})
	for name, open := range map[string]func(io.Reader) io.ReadCloser{"std": flate.NewReader, "klauspost": kflate.NewReader} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(content)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := io.Copy(io.Discard, open(bufio.NewReader(bytes.NewReader(file[10:])))); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
