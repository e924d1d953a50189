package inflate

import (
	"bufio"
	"bytes"
	"compress/flate"
	"io"
	"os"
	"testing"

	kflate "github.com/klauspost/compress/flate"

	"github.com/nodelens/nodelens/internal/packtest"
)

// BenchmarkDecode compares this decoder, with and without its checksum, with those of the
// standard library and of klauspost/compress. A file that NODELENS_BENCH names, such as
// a memory image, is taken instead of a made one.
func BenchmarkDecode(b *testing.B) {
	content := packtest.Memory(32 << 20)
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
