package xzdec

import (
	"bytes"
	"io"
	"math"
	"os"
	"os/exec"
	"testing"

	"github.com/ulikunitz/xz"
)

// BenchmarkImage decodes a whole image that xz -6 packs beforehand, or the file that
// NODELENS_XZ names; the bytes are those of the content.
func BenchmarkImage(b *testing.B) {
	name := os.Getenv("NODELENS_XZ")
	if name == "" {
		name = b.TempDir() + "/image.xz"
		if err := os.WriteFile(name, command(b, bytes.NewReader(image(b, math.MaxInt64)), "-6"), 0o600); err != nil {
			b.Fatal(err)
		}
	}
	file, err := os.ReadFile(name)
	if err != nil {
		b.Fatal(err)
	}
	bench := func(name string, decode func() (int64, error)) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				n, err := decode()
				if err != nil {
					b.Fatal(err)
				}
				b.SetBytes(n)
			}
		})
	}
	bench("xzdec", func() (int64, error) { return io.Copy(io.Discard, NewReader(bytes.NewReader(file))) })
	bench("command", func() (int64, error) {
		c := exec.CommandContext(b.Context(), "xz", "-dc", name)
		out, err := c.StdoutPipe()
		if err != nil {
			return 0, err
		}
		if err := c.Start(); err != nil {
			return 0, err
		}
		n, err := io.Copy(io.Discard, out)
		if err != nil {
			return 0, err
		}
		return n, c.Wait()
	})
	bench("ulikunitz", func() (int64, error) {
		r, err := xz.NewReader(bytes.NewReader(file))
		if err != nil {
			return 0, err
		}
		return io.Copy(io.Discard, r)
	})
}

// BenchmarkState copies what a checkpoint needs, with a window of 8 MiB.
func BenchmarkState(b *testing.B) {
	content := memory(10 << 20)
	d := open(b, command(b, bytes.NewReader(content), "-0", "--lzma2=preset=0,dict=8MiB"), nil)
	for off := 0; off < len(content)*9/10 || d.State() == nil; {
		p, err := d.Next()
		if err != nil {
			b.Fatal(err)
		}
		off += len(p)
	}
	b.SetBytes(int64(len(d.State().Window)))
	b.ReportAllocs()
	for b.Loop() {
		d.State()
	}
}
